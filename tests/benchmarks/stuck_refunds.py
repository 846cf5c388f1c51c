"""A backlog of stuck refunds and the reconciler, by hand: pytest tests/benchmarks/stuck_refunds.py -s

    REFUNDS=10000 RATE=60 LATENCY=0.2 pytest tests/benchmarks/stuck_refunds.py -s

The provider has given all of them back and none of its webhooks came. It is one tick of the reconciler, which ends
after a minute by itself. Prints how many a second were settled and the most calls in any second, and asserts that the
rate was kept and that no row was asked about twice.
"""

import os
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from payments import reconcile
from payments.accounts import PSP_CLEARING, seller_account
from payments.models import Payment, Posting, Refund
from tests.connect.factories import make_order, make_seller
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)
REFUNDS = int(os.environ.get("REFUNDS", "10000"))
RATE = int(os.environ.get("RATE", "60"))
LATENCY = float(os.environ.get("LATENCY", "0"))
REFUNDS_OF_A_PAYMENT = 10  # More are refused by the provider.
AGE = timedelta(hours=1)


def test_a_backlog_of_stuck_refunds_drains_at_the_rate_we_are_allowed(sandbox, settings):
    seller = make_seller()
    for _ in range(REFUNDS // REFUNDS_OF_A_PAYMENT):
        make_order((seller, REFUNDS_OF_A_PAYMENT * 1_00))
    made = [refund for payment in Payment.objects.all() for refund in given_back(sandbox, payment, seller)]
    Refund.objects.bulk_create(made, batch_size=1_000)
    settings.HYPERSWITCH_RATE_PER_SECOND = RATE
    if LATENCY:
        sandbox.fault("latency", "^/refunds/", method="GET", seconds=LATENCY, times=0)
    started = time.perf_counter()

    tally = reconcile.run(cause=reconcile.by_reconciler())["refunds"]

    seconds, settled = time.perf_counter() - started, Refund.objects.filter(status="succeeded").count()
    asked = [one for one in sandbox.calls() if one["method"] == "GET" and one["path"].startswith("/refunds/")]
    busiest = max(Counter(one["at"][:19] for one in asked).values())
    print(f"\n{settled} of {len(made)} stuck refunds settled in {seconds:.0f} s: {settled / seconds:.1f} a second,")
    print(f"{RATE} calls a second allowed, {busiest} in the busiest one, {tally}")
    assert (len(asked), tally.failed) == (settled, 0)
    assert max(Counter(one["path"] for one in asked).values()) == 1
    # A second of the wall clock may hold the last call of the one before.
    assert busiest <= RATE + 1
    assert Posting.objects.filter(credit=PSP_CLEARING).count() == settled


def given_back(sandbox, payment: Payment, seller) -> list[Refund]:
    """The refunds of a payment as they are at the provider, and our rows as they were before."""
    fields = {"payment_id": payment.provider_key, "amount": payment.amount_minor, "currency": "EUR"}
    sandbox.hyperswitch("POST", "/payments", json={**fields, "payment_link": True, "return_url": payment.return_url})
    sandbox.pay(payment.provider_key)
    past = timezone.now() - AGE
    rows = [
        Refund(
            pk=new_id(),
            payment=payment,
            story_id=payment.story_id,
            amount_minor=1_00,
            currency="EUR",
            legs={seller_account(seller.pk): 1_00},
            source=Refund.Source.EXTERNAL,
            created_at=past,
            first_sent_at=past,
        )
        for _ in range(REFUNDS_OF_A_PAYMENT)
    ]
    for row in rows:
        row.hyperswitch_refund_id = row.provider_key
        told = {"payment_id": payment.provider_key, "refund_id": row.provider_key, "amount": row.amount_minor}
        sandbox.control("dashboard_refunds", **told, status="succeeded", silent=True)
    return rows
