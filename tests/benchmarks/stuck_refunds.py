"""A backlog of stuck refunds and the reconciler, by hand: pytest tests/benchmarks/stuck_refunds.py -s

    REFUNDS=10000 FLEET=4 RATE=60 LATENCY=0.2 pytest tests/benchmarks/stuck_refunds.py -s

The provider has given all of them back and none of its webhooks came. One message starts the reconciler, as beat does
once an hour; it calls other workers and goes on until nothing is stuck. Prints how many a second were settled and the
most calls in any second, and asserts that the rate was kept, that no row was asked about twice and that none was left.
"""

import os
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from payments.ledger.chart_of_accounts import PSP_CLEARING, seller_account
from payments.models import Payment, Posting, Refund
from tests.connect.factories import make_order, make_seller
from tests.operators.fleet import workers
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)
REFUNDS = int(os.environ.get("REFUNDS", "10000"))
RATE = int(os.environ.get("RATE", "60"))
LATENCY = float(os.environ.get("LATENCY", "0"))
FLEET = int(os.environ.get("FLEET", "4"))
SECONDS = 1_200
REFUNDS_OF_A_PAYMENT = 10  # More are refused by the provider.
AGE = timedelta(hours=1)


def test_a_backlog_of_stuck_refunds_drains_at_the_rate_we_are_allowed(sandbox, tmp_path):
    seller = make_seller()
    for _ in range(REFUNDS // REFUNDS_OF_A_PAYMENT):
        make_order((seller, REFUNDS_OF_A_PAYMENT * 1_00))
    made = [refund for payment in Payment.objects.all() for refund in given_back(sandbox, payment, seller)]
    Refund.objects.bulk_create(made, batch_size=1_000)
    if LATENCY:
        sandbox.fault("latency", "^/refunds/", method="GET", seconds=LATENCY, times=0)

    with workers(sandbox, tmp_path, FLEET, HYPERSWITCH_RATE=str(RATE)) as send:
        send("payments.reconcile")
        deadline = time.monotonic() + SECONDS
        while stuck := Refund.objects.filter(status="pending").count():
            assert time.monotonic() < deadline, f"{stuck} still stuck after {SECONDS} s"
            print(f"\r{stuck} stuck   ", end="", flush=True)
            time.sleep(0.5)

    params = [one for one in sandbox.calls() if one["method"] == "GET" and one["path"].startswith("/refunds/")]
    moments = sorted(datetime.fromisoformat(one["at"]) for one in params)
    seconds = (moments[-1] - moments[0]).total_seconds()
    busiest = max(Counter(moment.replace(microsecond=0) for moment in moments).values())
    print(f"\n{len(made)} stuck refunds, {FLEET} workers, {LATENCY} s latency, {RATE} calls a second allowed:")
    print(f"{len(params) / seconds:.1f} settled a second for {seconds:.0f} s, {busiest} calls in the busiest one")
    assert max(Counter(one["path"] for one in params).values()) == 1
    # A call may be late by its way to the sandbox, and so stand in the second of the next.
    assert busiest <= RATE * 1.25
    assert Posting.objects.filter(credit=PSP_CLEARING).count() == len(made) == len(params)


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
            correlation_id=payment.correlation_id,
            amount_minor=1_00,
            currency="EUR",
            allocation={seller_account(seller.pk): 1_00},
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
