"""A dispute stops the charges of the saved method until staff, the bank or a new payment clears it."""

import pytest
from django.utils import timezone

from payments.collection.payment_requests import send_payment
from payments.models import Dispute
from subscriptions.changes import cancel
from subscriptions.chargebacks import ChargesNotStopped, are_charges_stopped, resume_charges
from subscriptions.models import Subscription
from subscriptions.renewals import open_renewal
from tests.buying import deliver_dispute, deliver_payment
from tests.emails import texts_to
from tests.subscriptions.subscribing import (
    SWEEP,
    activate,
    complete,
    days,
    invoices_of,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    set_charge_outcome,
)
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_STAFF = Cause("staff", actor="support", reason="They called.")


def dispute_first(subscription: Subscription, status: str = "opened", **fields) -> None:
    """The bank of the subscriber disputes the payment of the first period."""
    deliver_dispute(payments_of(subscription)[0], status=status, **fields)
    subscription.refresh_from_db()


def renewed(sandbox) -> Subscription:
    subscription = activate(sandbox)
    return run_sweep(subscription, subscription.period_end_at)


def review_of(subscription: Subscription) -> ReviewItem:
    return ReviewItem.objects.get(kind="subscription_charges_stopped", subject_id=subscription.pk)


@pytest.mark.parametrize("status", ["opened", "lost"])
def test_no_further_month_is_charged(sandbox, status):
    subscription = renewed(sandbox)
    dispute_first(subscription, status)
    end_at = subscription.period_end_at

    for day in range(8):
        run_sweep(subscription, end_at + days(day))

    assert len(payments_of(subscription)) == 2
    assert subscription.status == "expired"


def test_an_open_dispute_is_a_review_item(sandbox):
    subscription = renewed(sandbox)

    dispute_first(subscription)

    assert (review_of(subscription).amount_minor, review_of(subscription).closed_at) == (12_00, None)


def test_the_renewal_asks_the_payer_and_says_why(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)

    run_sweep(subscription, subscription.period_end_at - days(1))
    run_sweep(subscription, subscription.period_end_at)

    assert "Your bank disputes an earlier payment" in texts_to(subscription.user, "renewal_failed")[-1]


def test_the_reminder_announces_no_charge(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)

    run_sweep(subscription, subscription.period_end_at - days(1))

    assert "we charge nothing and will ask you to pay" in texts_to(subscription.user, "renewal_announced")[-1]


def test_a_charge_that_was_opened_before_the_dispute_is_not_sent(sandbox):
    subscription = renewed(sandbox)
    charge = open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    dispute_first(subscription)

    send_payment(charge.pk, cause=SWEEP)

    charge.refresh_from_db()
    subscription.refresh_from_db()
    assert (charge.status, subscription.status) == ("cancelled", "past_due")


def test_the_end_of_the_subscription_closes_the_item(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)

    cancel(user_id=subscription.user_id, now=True, cause=BY_STAFF, at=timezone.now())

    assert review_of(subscription).closed_at is not None


def test_staff_resume_the_charges(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)
    end_at = subscription.period_end_at
    run_sweep(subscription, end_at)

    resume_charges(subscription_id=subscription.pk, cause=BY_STAFF, at=timezone.now())
    run_sweep(subscription, end_at)

    assert (subscription.status, review_of(subscription).note) == ("active", "They called.")


def test_a_dispute_after_that_stops_them_again(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)
    resume_charges(subscription_id=subscription.pk, cause=BY_STAFF, at=timezone.now())
    assert not are_charges_stopped(Subscription.objects.get(pk=subscription.pk))

    deliver_dispute(last_payment(subscription), "opened", dispute_id="dp_later")

    assert are_charges_stopped(Subscription.objects.get(pk=subscription.pk))


def test_resuming_what_goes_on_is_refused(sandbox):
    subscription = renewed(sandbox)

    with pytest.raises(ChargesNotStopped):
        resume_charges(subscription_id=subscription.pk, cause=BY_STAFF, at=timezone.now())


def test_a_new_payment_on_a_page_resumes_the_charges(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)
    end_at = subscription.period_end_at
    run_sweep(subscription, end_at)

    complete(subscription, at=end_at + days(1))
    press_button(sandbox, "pay", subscription, at=end_at + days(1))
    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, last_payment(subscription).off_session) == ("active", True)
    assert review_of(subscription).closed_at is not None


def with_a_page_open(sandbox) -> Subscription:
    """A renewal that failed, and the page to pay it on."""
    subscription = renewed(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)
    complete(subscription, at=subscription.period_end_at)
    return subscription


def test_paying_on_a_page_that_was_open_before_the_dispute_resumes_them(sandbox):
    subscription = with_a_page_open(sandbox)
    dispute_first(subscription)

    press_button(sandbox, "pay", subscription, at=timezone.now())

    assert not are_charges_stopped(subscription)
    assert review_of(subscription).closed_at is not None


def test_a_debit_that_began_before_the_dispute_does_not_resume_them(sandbox):
    subscription = with_a_page_open(sandbox)
    deliver_payment(last_payment(subscription), status="processing", amount_received=None)
    dispute_first(subscription)

    deliver_payment(last_payment(subscription))

    assert (last_payment(subscription).status, are_charges_stopped(subscription)) == ("succeeded", True)


def test_a_dispute_that_is_won_resumes_the_charges(sandbox):
    subscription = renewed(sandbox)
    dispute_first(subscription)

    dispute_first(subscription, "won")

    assert not are_charges_stopped(subscription)
    assert review_of(subscription).closed_at is not None


def test_an_inquiry_that_came_to_nothing_stops_no_charge(sandbox):
    subscription = renewed(sandbox)

    dispute_first(subscription, "expired", dispute_stage="pre_dispute")

    assert Dispute.objects.get().stage == "pre_dispute"
    assert not are_charges_stopped(subscription)
    assert invoices_of(subscription)[0].status == "paid"
