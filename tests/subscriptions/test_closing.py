"""A closed account is charged for nothing: no renewal, page or late payment. What arrives all the same is returned."""

import pytest

from payments.collection.payment_requests import send_payment
from payments.models import Payment, Refund
from subscriptions.messages.renewals import payment_link
from subscriptions.models import Subscription
from subscriptions.renewals import open_renewal, run_due
from tests.buying import deliver_payment, deliver_refund
from tests.emails import written_to
from tests.restricting import closed, reopened
from tests.subscriptions.subscribing import (
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    complete,
    days,
    invoices_of,
    last_payment,
    payments_of,
    refund_invoice,
    request_checkout,
    run_sweep,
    subscribe,
)
from veza.core.accounts import AccountClosed
from veza.core.email.sending import send_due
from veza.core.models import User

pytestmark = pytest.mark.django_db


def charge_of(subscription: Subscription) -> Payment:
    """The charge of the renewal, committed and not sent."""
    charge = open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    assert charge is not None
    return charge


def test_a_closing_ends_the_subscription_without_a_charge(sandbox):
    subscription = activate(sandbox)

    closed(subscription.user)
    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, len(payments_of(subscription))) == ("cancelled", 1)


@pytest.mark.parametrize("at", [NOW + days(29), NOW + days(40)])
def test_a_user_who_was_only_deactivated_is_not_charged_either(sandbox, at):
    subscription = activate(sandbox)
    User.objects.filter(pk=subscription.user_id).update(is_active=False)

    run_sweep(subscription, at)

    assert (subscription.status, len(payments_of(subscription))) == ("cancelled", 1)
    assert not [email for email in written_to(subscription.user) if email.message == "renewal_announced"]


def test_a_charge_that_was_opened_before_the_closing_is_not_sent(sandbox):
    subscription = activate(sandbox)
    charge = charge_of(subscription)
    closed(subscription.user)

    send_payment(charge.pk, cause=SWEEP)

    charge.refresh_from_db()
    subscription.refresh_from_db()
    assert (charge.status, charge.error_code) == ("cancelled", "")
    assert (subscription.status, invoices_of(subscription)[-1].status) == ("cancelled", "void")


def test_a_charge_in_flight_that_succeeds_all_the_same_is_returned(sandbox):
    subscription = activate(sandbox)
    charge = charge_of(subscription)
    send_payment(charge.pk, cause=SWEEP)
    closed(subscription.user)

    assert deliver_payment(charge).json() == {"result": "ok"}

    subscription.refresh_from_db()
    refund = Refund.objects.get()
    assert (refund.payment, refund.amount_minor, refund.status) == (charge, charge.amount_minor, "pending")
    assert (subscription.status, invoices_of(subscription)[-1].status) == ("cancelled", "void")


def test_an_unpaid_page_is_closed_by_the_worker_and_cannot_be_paid(sandbox):
    subscription = subscribe(PlanFactory())
    closed(subscription.user)
    subscription.refresh_from_db()

    run_due(subscription.pk, cause=SWEEP, at=subscription.due_at)

    subscription.refresh_from_db()
    assert (last_payment(subscription).status, subscription.due_at) == ("cancelled", None)


def test_an_expired_subscription_cannot_be_paid_late_any_more(sandbox):
    subscription = subscribe(PlanFactory())
    deliver_payment(last_payment(subscription), status="failed")
    subscription.refresh_from_db()
    assert subscription.status == "expired"
    closed(subscription.user)

    deliver_payment(last_payment(subscription))

    subscription.refresh_from_db()
    assert (subscription.status, Refund.objects.get().status) == ("expired", "pending")


def test_a_refund_that_the_bank_returns_does_not_revive_it(sandbox):
    subscription = activate(sandbox)
    refund = refund_invoice(invoices_of(subscription)[-1])
    deliver_refund(refund)
    subscription.refresh_from_db()
    assert subscription.status == "expired"
    closed(subscription.user)

    deliver_refund(refund, status="failed")

    subscription.refresh_from_db()
    assert subscription.status == "expired"


def test_a_closed_user_can_neither_subscribe_nor_pay(sandbox):
    subscription = subscribe(PlanFactory())
    closed(subscription.user)

    with pytest.raises(AccountClosed):
        request_checkout(PlanFactory(), user=subscription.user)
    with pytest.raises(AccountClosed):
        complete(subscription)


def test_the_payment_link_in_an_old_email_opens_no_page(sandbox, client):
    subscription = subscribe(PlanFactory())
    closed(subscription.user)

    answer = client.post(payment_link(subscription).removeprefix("http://127.0.0.1:8000"))

    assert answer.status_code == 200
    assert "There is nothing to pay now" in answer.content.decode()
    assert len(payments_of(subscription)) == 1


def test_after_reopening_the_subscription_stays_ended_and_another_begins(sandbox):
    subscription = activate(sandbox)
    reopened(closed(subscription.user))

    run_sweep(subscription, subscription.period_end_at)
    again = subscribe(PlanFactory(), user=subscription.user)

    assert (subscription.status, again.status) == ("cancelled", "pending_payment")


def test_only_the_closing_notice_is_sent_of_what_was_written(sandbox, settings):
    subscription = activate(sandbox)
    run_sweep(subscription, subscription.period_end_at - days(2))
    closed(subscription.user)

    send_due()

    dropped = [email.message for email in written_to(subscription.user) if email.status == "dropped"]
    left = [email.message for email in written_to(subscription.user) if email.status != "dropped"]
    assert (dropped, left) == (["renewal_announced"], ["invoice_receipt", "account_closed"])
