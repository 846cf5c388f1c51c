"""Nothing is charged after a subscriber left; what came in all the same goes back by itself, and is told."""

import pytest
from django.utils import timezone

from payments.collection import payment_requests
from payments.collection.payment_requests import send_payment
from payments.models import Payment
from payments.reconciliation.refresh import advance_payment
from subscriptions.changes import cancel
from subscriptions.models import Subscription
from subscriptions.renewals import open_renewal, run_due
from tests.crowd import before_commit
from tests.emails import written_to
from tests.subscriptions.subscribing import (
    BY_USER,
    SWEEP,
    activate,
    deliver_update,
    invoices_of,
    is_proved,
    last_invoice,
    last_payment,
    payments_of,
    refund_invoice,
    run_sweep,
)

pytestmark = pytest.mark.django_db


def leave(subscription: Subscription, *, now: bool = True) -> Subscription:
    at = subscription.period_end_at
    return cancel(user_id=subscription.user_id, now=now, cause=BY_USER, at=at)


def opened_charge(subscription: Subscription) -> Payment:
    charge = open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    assert charge is not None
    return charge


def captured_minor(sandbox) -> int:
    return sum(one["amount"] for one in sandbox.truth()["movements"] if one["kind"] == "payment")


def unanswered_charge(sandbox, subscription: Subscription, *, when: str) -> Payment:
    """A charge whose answer was lost before or after it reached Hyperswitch."""
    sandbox.fault("drop", "^/payments", method="POST", when=when)
    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    return last_payment(subscription)


def test_a_resend_after_a_cancellation_charges_nothing(sandbox):
    subscription = activate(sandbox)
    charge = unanswered_charge(sandbox, subscription, when="before")
    leave(subscription)

    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    assert (charge.status, captured_minor(sandbox)) == ("cancelled", 12_00)


def test_what_was_charged_before_the_cancellation_goes_back(sandbox):
    subscription = activate(sandbox)
    charge = unanswered_charge(sandbox, subscription, when="after")
    leave(subscription)

    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    assert (charge.status, charge.refunds.get().amount_minor) == ("succeeded", 12_00)
    assert written_to(subscription.user, "invoice_refund_requested")
    assert is_proved(subscription)


def test_leaving_at_the_periods_end_stops_a_renewal_that_is_under_way(sandbox):
    subscription = activate(sandbox)
    charge = unanswered_charge(sandbox, subscription, when="before")

    left = leave(subscription, now=False)
    advance_payment(charge, cause=SWEEP)

    assert (left.status, last_invoice(subscription).status) == ("cancelled", "void")
    assert captured_minor(sandbox) == 12_00


def test_a_slow_worker_does_not_charge_what_was_cancelled(sandbox):
    subscription = activate(sandbox)
    charge = opened_charge(subscription)
    leave(subscription)

    send_payment(charge.pk, cause=SWEEP)

    charge.refresh_from_db()
    assert (charge.status, captured_minor(sandbox)) == ("cancelled", 12_00)


@pytest.fixture
def slow_call(monkeypatch):
    """Do something between the last commit before the call that makes a payment and the call."""
    create = payment_requests.client.create_payment

    def delay_by(act) -> None:
        def create_late(*args, **fields):
            act()
            return create(*args, **fields)

        monkeypatch.setattr(payment_requests.client, "create_payment", create_late)

    return delay_by


def test_a_call_that_was_already_on_its_way_goes_back(sandbox, slow_call):
    subscription = activate(sandbox)
    charge = opened_charge(subscription)

    def leave_and_close() -> None:
        leave(subscription)
        run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)

    slow_call(leave_and_close)
    send_payment(charge.pk, cause=SWEEP)
    charge.refresh_from_db()
    assert (charge.status, captured_minor(sandbox)) == ("cancelled", 24_00)
    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    assert charge.next_attempt_at is None
    assert (charge.status, charge.refunds.get().amount_minor) == ("succeeded", 12_00)
    assert is_proved(subscription)


def test_after_a_lost_answer_the_cancelled_payment_is_read_again(sandbox, slow_call):
    subscription = activate(sandbox)
    charge = opened_charge(subscription)

    def leave_close_and_lose_the_answer() -> None:
        leave(subscription)
        run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
        sandbox.fault("drop", "^/payments", method="POST", when="after")

    slow_call(leave_close_and_lose_the_answer)
    send_payment(charge.pk, cause=SWEEP)
    charge.refresh_from_db()
    assert charge.next_attempt_at > timezone.now()
    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    assert charge.refunds.get().amount_minor == 12_00


def test_a_cancelled_payment_that_was_never_made_is_read_once(sandbox):
    subscription = activate(sandbox)
    charge = unanswered_charge(sandbox, subscription, when="before")
    leave(subscription)
    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    charge.refresh_from_db()
    assert charge.next_attempt_at is not None

    advance_payment(charge, cause=SWEEP)

    charge.refresh_from_db()
    assert (charge.status, charge.next_attempt_at) == ("cancelled", None)


@pytest.mark.django_db(transaction=True)
def test_a_cancellation_that_commits_first_stops_the_charge(sandbox):
    subscription = activate(sandbox)
    charge = opened_charge(subscription)

    _, rival = before_commit(lambda: leave(subscription), lambda: send_payment(charge.pk, cause=SWEEP))

    rival.result()
    charge.refresh_from_db()
    assert (charge.status, captured_minor(sandbox)) == ("cancelled", 12_00)


def test_a_refund_of_the_last_period_ends_it_whatever_a_charge_does(sandbox):
    subscription = activate(sandbox)
    end_at = subscription.period_end_at
    run_due(subscription.pk, cause=SWEEP, at=end_at)
    refund_invoice(invoices_of(subscription)[0])

    deliver_update(last_payment(subscription), at=end_at)
    run_sweep(subscription, end_at)

    assert (subscription.status, last_invoice(subscription).status) == ("cancelled", "void")
    assert last_payment(subscription).refunds.get().amount_minor == 12_00
    assert is_proved(subscription)


def test_a_refund_of_an_older_period_changes_no_renewal(sandbox):
    subscription = activate(sandbox)
    run_sweep(subscription, subscription.period_end_at)

    refund_invoice(invoices_of(subscription)[0])

    subscription.refresh_from_db()
    assert (subscription.status, subscription.cancel_at_period_end) == ("active", False)
    assert len(payments_of(subscription)) == 2


def test_cancelling_again_returns_the_cancelled_subscription(sandbox):
    subscription = activate(sandbox)
    first = leave(subscription)

    assert leave(subscription) == first
