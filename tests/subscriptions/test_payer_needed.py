"""A renewal that is not made without its payer: past due, told, paid on a page, and never charged twice."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments.collection.expiry import close_unpaid
from payments.hyperswitch import client as hyperswitch_api
from payments.models import Payment
from payments.reconciliation.refresh import advance_payment
from subscriptions.models import Subscription
from subscriptions.renewals import run_due
from tests.buying import deliver
from tests.emails import texts_to, written_to
from tests.subscriptions.subscribing import (
    SWEEP,
    activate,
    client_of,
    complete,
    days,
    deliver_update,
    gives_access,
    is_proved,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    set_charge_outcome,
)
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db


def challenged(sandbox, outcome: str = "requires_customer_action") -> Subscription:
    """A subscription whose renewal was charged, and whose bank asks for the payer."""
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, outcome, subscription)
    return run_sweep(subscription, subscription.period_end_at)


def remote_status(payment: Payment) -> str:
    outcome = hyperswitch_api.read_payment(payment.provider_key)
    assert isinstance(outcome, Accepted)
    return outcome.value.status


def test_a_renewal_that_needs_the_payer_is_past_due_with_access(sandbox):
    subscription = challenged(sandbox)
    end_at = subscription.period_start_at + days(28)

    assert (subscription.status, last_payment(subscription).status) == ("past_due", "failed")
    assert last_payment(subscription).error_code == "authentication_required"
    assert gives_access(subscription, end_at + days(6))


def test_the_webhook_action_required_is_enough(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "requires_customer_action", subscription)
    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    [event] = [one for one in sandbox.webhooks() if one["event_type"] == "action_required"]

    assert deliver(event["body"].encode()).json() == {"result": "ok"}

    subscription.refresh_from_db()
    assert subscription.status == "past_due"


def test_the_payer_is_told_that_their_bank_asks_for_them(sandbox):
    subscription = challenged(sandbox)

    (text,) = texts_to(subscription.user, "renewal_failed")

    assert "Your bank wants you to confirm this payment yourself" in text
    assert "Pay now" in text


def test_the_payer_pays_on_a_page_and_keeps_the_dates(sandbox):
    subscription = challenged(sandbox)
    end_at = subscription.period_end_at

    complete(subscription, at=end_at + days(2))
    press_button(sandbox, "pay", subscription, at=end_at + days(2))

    assert (subscription.status, subscription.period_start_at) == ("active", end_at)
    assert is_proved(subscription)


def test_the_api_gives_the_page_at_once(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "requires_customer_action", subscription)
    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)

    answer = client_of(subscription.user).post(f"/api/v1/subscriptions/complete/{subscription.pk}")

    assert answer.status_code == 200, answer.json()
    assert answer.json()["payment_url"]


def test_a_saved_card_that_needs_its_payer_is_not_charged_again(sandbox):
    subscription = challenged(sandbox)
    end_at = subscription.period_end_at
    for day in range(1, 8):
        run_sweep(subscription, end_at + days(day))

    assert [payment.off_session for payment in payments_of(subscription)] == [False, True]
    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")


def test_the_charge_is_closed_at_the_provider(sandbox):
    subscription = challenged(sandbox)
    charge = last_payment(subscription)
    assert charge.close_due_at is not None

    assert close_unpaid(charge.pk, cause=SWEEP) == "over"

    charge.refresh_from_db()
    assert remote_status(charge) == "cancelled"
    assert charge.close_due_at is None


def test_the_page_closes_the_charge_before_it_is_paid(sandbox):
    subscription = challenged(sandbox)
    charge = last_payment(subscription)

    complete(subscription, at=subscription.period_end_at + days(1))

    assert remote_status(charge) == "cancelled"


def test_a_charge_that_succeeds_after_the_page_was_paid_goes_back(sandbox):
    subscription = challenged(sandbox)
    charge = last_payment(subscription)
    complete(subscription, at=subscription.period_end_at + days(1))
    press_button(sandbox, "pay", subscription, at=subscription.period_end_at + days(1))

    sandbox.control(f"payments/{charge.provider_key}", status="succeeded")
    deliver_update(charge, at=subscription.period_start_at + days(2))

    refund = charge.refunds.get()
    assert (refund.amount_minor, refund.source) == (12_00, "late_payment")
    assert written_to(subscription.user, "invoice_refund_requested")
    assert is_proved(subscription)


def test_a_charge_that_succeeds_before_the_page_is_paid_renews(sandbox):
    subscription = challenged(sandbox)
    end_at = subscription.period_end_at

    sandbox.control(f"payments/{last_payment(subscription).provider_key}", status="succeeded")
    deliver_update(last_payment(subscription), at=end_at + days(1))

    subscription.refresh_from_db()
    assert (subscription.status, subscription.period_start_at) == ("active", end_at)


def unconfirmed(sandbox) -> tuple[Subscription, Payment]:
    """A charge that Hyperswitch inserted, and whose confirmation it refused. There is no webhook about it."""
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "requires_payment_method", subscription)
    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    subscription.refresh_from_db()
    return subscription, last_payment(subscription)


def test_a_charge_that_may_still_be_confirmed_waits(sandbox):
    subscription, charge = unconfirmed(sandbox)

    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    assert (charge.status, subscription.status) == ("pending", "active")


def test_a_charge_that_was_never_confirmed_asks_the_payer(sandbox):
    subscription, charge = unconfirmed(sandbox)
    assert charge.next_attempt_at <= timezone.now() + timedelta(minutes=5)
    Payment.objects.filter(pk=charge.pk).update(first_sent_at=timezone.now() - timedelta(minutes=6))

    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    subscription.refresh_from_db()
    assert (charge.status, charge.error_code, subscription.status) == ("failed", "not_confirmed", "past_due")
    assert "please pay now" in texts_to(subscription.user, "renewal_failed")[-1]


def test_a_page_is_never_meant(sandbox):
    subscription = challenged(sandbox)
    complete(subscription, at=subscription.period_end_at + days(1))
    page = last_payment(subscription)
    sandbox.control(f"payments/{page.provider_key}", status="requires_customer_action")

    deliver_update(page, at=subscription.period_end_at + days(1))

    assert last_payment(subscription).status == "pending"


def test_a_charge_without_an_answer_does_not_outlive_the_grace_period(sandbox):
    subscription = activate(sandbox)
    end_at = subscription.period_end_at
    sandbox.fault("drop", "^/payments", method="POST", when="before", times=100)
    run_due(subscription.pk, cause=SWEEP, at=end_at)
    Payment.objects.filter(pk=last_payment(subscription).pk).update(created_at=end_at)

    run_due(subscription.pk, cause=SWEEP, at=end_at + days(7))

    subscription.refresh_from_db()
    assert (subscription.status, subscription.due_at) == ("expired", end_at + days(7))
