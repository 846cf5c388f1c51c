"""Settled is not final: what changes at Hyperswitch later, without its webhook, is found when it is compared again."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from payments.models import Dispute, Payment
from payments.reconciliation import listings, refresh
from tests.buying import deliver_refund, payment_of, refund_of, two_sellers_order
from tests.payments.builders import RECONCILE, make_older
from veza.core.models import ListComparison

pytestmark = pytest.mark.django_db


def compare(*, days: float) -> listings.Findings:
    """Compare the lists as the sweep will in so many days."""
    return listings.compare(cause=RECONCILE, now=timezone.now() + timedelta(days=days))


def change(sandbox, payment: Payment, **changes) -> None:
    sandbox.control(f"payments/{payment.provider_key}", silent=True, **changes)


def status_of(payment: Payment) -> str:
    payment.refresh_from_db()
    return payment.status


@pytest.mark.parametrize("days", listings.PAYMENT_AGES)
def test_a_failed_payment_that_succeeds_is_found_at_each_age(sandbox, days):
    payment = payment_of(two_sellers_order())
    change(sandbox, payment, status="failed")
    refresh.refresh_payment(payment.pk, cause=RECONCILE)
    change(sandbox, payment, status="succeeded")

    found = compare(days=days)

    assert (found.refreshed, status_of(payment), payment.received_minor) == (1, "succeeded", 18_00)


def test_a_succeeded_payment_that_is_voided_is_read_and_read_again(sandbox, order):
    change(sandbox, payment_of(order), status="cancelled_post_capture")

    compare(days=30)

    payment = payment_of(order)
    assert (payment.status, payment.contradicted_at is not None, payment.next_attempt_at is not None) == (
        "succeeded",
        True,
        True,
    )


def test_a_payment_that_agrees_is_not_read(sandbox, order):
    before = len(sandbox.calls())

    assert compare(days=7).refreshed == 0
    assert all("/list" in call["path"] for call in sandbox.calls()[before:])


def test_a_refund_that_the_bank_returns_after_weeks_is_found(sandbox, order):
    refund = refund_of(order)
    deliver_refund(refund)
    sandbox.control(f"refunds/{refund.provider_key}", status="failed", silent=True)

    compare(days=30)

    refund.refresh_from_db()
    assert (refund.status, refund.contradicted_at is not None) == ("succeeded", True)


def test_a_dispute_that_goes_to_its_next_stage_is_found(sandbox, order):
    key = payment_of(order).provider_key
    dispute = sandbox.control("disputes", payment_id=key, amount=18_00, stage="pre_dispute", silent=True)
    listings.compare(cause=RECONCILE)
    sandbox.control(f"disputes/{dispute['dispute_id']}", stage="dispute", silent=True)

    listings.compare(cause=RECONCILE)

    assert Dispute.objects.get().stage == "dispute"


def test_after_an_outage_of_weeks_nothing_is_left_out(sandbox):
    payment = payment_of(two_sellers_order())
    compare(days=0)
    change(sandbox, payment, status="succeeded")

    compare(days=20)

    assert status_of(payment) == "succeeded"


def test_a_list_that_could_not_be_read_is_compared_the_next_time(sandbox):
    payment = payment_of(two_sellers_order())
    change(sandbox, payment, status="succeeded")
    sandbox.fault("status", "^/payments/list", method="GET", when="before", status=500)
    compare(days=1)
    assert not ListComparison.objects.filter(list_name="hyperswitch payments", age_days=1).exists()

    assert compare(days=1.5).refreshed == 1


def test_money_of_a_payment_that_veza_does_not_know_is_reported(sandbox):
    sandbox.hyperswitch("POST", "/payments", json={"payment_id": "pay_elsewhere", "amount": 100, "currency": "EUR"})
    sandbox.control("payments/pay_elsewhere", status="succeeded", silent=True)

    found = compare(days=1)

    assert (found.failures, "pay_elsewhere is succeeded" in found.last_error) == (1, True)


def test_a_payment_under_review_at_hyperswitch_is_read_daily(sandbox):
    payment = payment_of(two_sellers_order())
    change(sandbox, payment, status="review", amount_received=18_00)
    refresh.refresh_payment(payment.pk, cause=RECONCILE)
    assert status_of(payment) == "mismatched"
    change(sandbox, payment, status="succeeded", amount_received=18_00)
    Payment.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert not refresh.stuck_payments().exists()

    make_older(Payment, hours=25)
    refresh.run(cause=RECONCILE)

    assert status_of(payment) == "succeeded"


def test_the_command_prints_what_the_comparison_cost(sandbox, order):
    out = io.StringIO()

    call_command("reconcile_hyperswitch", "--lists", stdout=out)

    assert out.getvalue() == "Compared 0 objects in 27 calls: 0 imported, 0 read again, 0 failed.\n"


def test_the_command_fails_when_a_list_could_not_be_read(sandbox):
    sandbox.fault("status", "^/refunds/list", when="before", status=500)

    with pytest.raises(CommandError, match="/refunds/list could not be read"):
        call_command("reconcile_hyperswitch", "--lists", stdout=io.StringIO())
