"""While Hyperswitch is down no attempt is counted against a row, and the sweeps only send probes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments import tasks
from payments.models import Payment, Refund
from payments.reconciliation import refresh as reconcile
from tests.buying import order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory
from tests.payments.builders import RECONCILE, make_older, refresh_calls
from veza.core.provider_health import ANSWERS, is_provider_down

pytestmark = pytest.mark.django_db


@pytest.fixture
def eight_paid(sandbox):
    """Orders that were paid an hour ago without a webhook."""
    orders = [order_of(OfferFactory()) for _ in range(8)]
    for order in orders:
        sandbox.control(f"payments/{payment_of(order).provider_key}", status="succeeded", silent=True)
    make_older(Payment, hours=1)
    return orders


@pytest.fixture
def outage(sandbox, eight_paid):
    """An outage that has lasted for as many calls as it takes to be certain."""
    sandbox.fault("status", "^/", status=503, times=0)
    reconcile.run(cause=RECONCILE)
    assert is_provider_down("hyperswitch")
    make_older(Payment, hours=1)
    return eight_paid


def test_the_reconciler_stops_once_it_is_certain_of_an_outage(sandbox, eight_paid):
    sandbox.fault("status", "^/", status=503, times=0)

    reconcile.run(cause=RECONCILE)

    assert refresh_calls(sandbox) == ANSWERS
    assert sorted(Payment.objects.values_list("attempts", flat=True)) == [0] * 4 + [1] * 4
    assert Payment.objects.filter(next_attempt_at__lte=timezone.now()).count() == 8 - ANSWERS


@pytest.mark.parametrize(
    ("sweep", "calls"),
    [(lambda: reconcile.run(cause=RECONCILE), 1), (tasks.resend, 1), (tasks.close_unpaid, 2)],
    ids=["reconcile", "resend", "close unpaid"],
)
def test_a_tick_sends_one_probe_and_counts_no_attempt(sandbox, outage, sweep, calls):
    Payment.objects.update(close_due_at=timezone.now() - timedelta(minutes=1))
    before = len(sandbox.calls())

    sweep()

    assert len(sandbox.calls()) - before <= calls
    assert sorted(Payment.objects.values_list("attempts", flat=True)) == [0] * 4 + [1] * 4


@pytest.mark.django_db(transaction=True)
def test_a_probe_is_one_call(sandbox, outage):
    before = len(sandbox.calls())

    reconcile.run(cause=RECONCILE)

    assert len(sandbox.calls()) - before == 1


def test_one_answer_ends_an_outage_and_every_row_is_refreshed(sandbox, outage):
    sandbox.clear_faults()

    reconcile.run(cause=RECONCILE)

    assert set(Payment.objects.values_list("status", flat=True)) == {"succeeded"}


def test_a_buyer_does_not_wait_in_an_outage_and_gets_the_page_afterwards(sandbox, outage):
    before = len(sandbox.calls())
    order = order_of(OfferFactory())
    assert (len(sandbox.calls()) - before, payment_of(order).status) == (0, "created")

    sandbox.clear_faults()
    make_older(Payment, minutes=1)
    tasks.resend()

    assert payment_of(order).payment_url


def test_a_refund_of_an_outage_is_stored_and_sent_afterwards(sandbox, outage):
    refund = refund_of(paid(outage[0]))
    assert (refund.status, refund.first_sent_at) == ("pending", None)

    sandbox.clear_faults()
    make_older(Refund, minutes=1)
    tasks.resend()

    refund.refresh_from_db()
    assert refund.hyperswitch_refund_id == refund.provider_key
