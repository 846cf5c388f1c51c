"""Each verb waits for the transaction that is changing its payment or its subscription, and decides by what that left.

Every test fails without the lock that it is about.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from payments.collection.payment_requests import send_payment
from payments.models import Payment, Refund
from payments.refunds.refund_requests import RefundAlreadyRequested
from subscriptions.changes import cancel, change_plan
from subscriptions.chargebacks import ChargesNotStopped, resume_charges
from subscriptions.completion import PaymentUnderWay, open_completion
from subscriptions.models import Subscription
from subscriptions.refunds import place_refund
from subscriptions.renewals import finish_subscription, open_renewal
from subscriptions.saved_methods import method_revoked
from subscriptions.subscribing import AlreadySubscribed, open_subscription
from subscriptions.unpaid import expire_unpaid
from subscriptions.upgrades import QuoteChanged, open_upgrade, preview_upgrade
from tests.buying import deliver_dispute, deliver_payment
from tests.crowd import before_commit
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    complete,
    days,
    deliver_update,
    invoices_of,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    set_charge_outcome,
    subscribe,
)
from veza.core.ids import new_id
from veza.core.models import StatusChange

pytestmark = pytest.mark.django_db(transaction=True)


def cancel_now(subscription: Subscription) -> Subscription:
    return cancel(user_id=subscription.user_id, now=True, cause=BY_USER, at=NOW)


def complete_at(subscription: Subscription, at: datetime) -> Any:
    """The payment that the subscriber is sent to."""
    who = {"subscription_id": subscription.pk, "user_id": subscription.user_id}
    return open_completion(payment_id=new_id(), at=at, **who)[-1]


def make_unpaid(status: str = "active") -> Subscription:
    """Without a payment, as after an import."""
    row = {"user": PersonFactory(), "plan": PlanFactory(), "anchor_day": 1}
    return Subscription.objects.create(**row, status=status)


def declined(sandbox) -> Subscription:
    """A subscription whose first payment was declined: the same page may still be paid."""
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    return subscription


def report_processing(payment: Payment) -> Any:
    """The webhook that the payer tries again on the page of a payment that had failed."""
    return deliver_payment(payment, status="processing", amount_received=None)


# --- What Hyperswitch reports


def test_a_renewal_that_is_paid_waits_for_a_change_of_plan_and_keeps_it(sandbox):
    subscription, other = activate(sandbox), PlanFactory()
    end_at = subscription.period_end_at
    renewal = open_renewal(subscription.pk, cause=SWEEP, at=end_at)
    send_payment(renewal.pk, cause=SWEEP)

    before_commit(
        lambda: change_plan(user_id=subscription.user_id, plan_id=other.pk, cause=BY_USER, at=end_at),
        lambda: deliver_update(renewal, at=end_at),
    )

    subscription.refresh_from_db()
    assert (subscription.period_start_at, subscription.next_plan) == (end_at, other)


def test_a_revoked_method_does_not_take_the_method_that_replaced_it(sandbox):
    subscription = activate(sandbox)
    own = Subscription.objects.filter(pk=subscription.pk)

    def save_another() -> None:
        with transaction.atomic():
            own.update(hyperswitch_payment_method_id="pm_new")

    def revoke() -> Any:
        with transaction.atomic():
            return method_revoked(subscription.hyperswitch_payment_method_id, cause=SWEEP, at=NOW)

    _, rival = before_commit(save_another, revoke)

    assert (rival.result(), own.get().hyperswitch_payment_method_id) == (None, "pm_new")


# --- What the subscriber and support ask for


def test_a_subscription_is_cancelled_by_one_of_two(sandbox):
    subscription = activate(sandbox)

    first, rival = before_commit(lambda: cancel_now(subscription), lambda: cancel_now(subscription))

    assert rival.result() == first
    moves = StatusChange.objects.filter(subject_id=subscription.pk, to_status="cancelled")
    assert moves.count() == 1


def test_a_cancellation_waits_for_a_renewal_into_another_plan(sandbox):
    subscription, other = activate(sandbox), PlanFactory()
    end_at = subscription.period_end_at
    change_plan(user_id=subscription.user_id, plan_id=other.pk, cause=BY_USER, at=NOW)
    renewal = open_renewal(subscription.pk, cause=SWEEP, at=end_at)
    send_payment(renewal.pk, cause=SWEEP)

    _, rival = before_commit(
        lambda: deliver_update(renewal, at=end_at),
        lambda: cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=end_at),
    )

    assert (rival.result().plan, rival.result().due_at) == (other, last_invoice(subscription).period_end_at)


def test_subscribing_again_waits_for_the_payment_of_the_first(sandbox):
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)
    user, plan = subscription.user, PlanFactory()

    _, rival = before_commit(
        lambda: deliver_update(last_payment(subscription)),
        lambda: open_subscription(subscription_id=new_id(), user=user, plan_id=plan.pk, cause=BY_USER, at=NOW),
    )

    assert isinstance(rival.result(), AlreadySubscribed)


def test_no_page_is_opened_beside_a_payment_that_is_tried_again(sandbox):
    subscription = declined(sandbox)

    _, rival = before_commit(
        lambda: report_processing(last_payment(subscription)), lambda: complete_at(subscription, NOW)
    )

    assert isinstance(rival.result(), PaymentUnderWay)
    assert len(payments_of(subscription)) == 1


def test_two_completions_without_an_invoice_open_one_page():
    subscription = make_unpaid()

    first, rival = before_commit(
        lambda: complete_at(subscription, NOW), lambda: complete_at(subscription, NOW + timedelta(seconds=1))
    )

    assert rival.result() == first
    assert len(invoices_of(subscription)) == 1


def test_a_second_refund_of_an_invoice_waits_for_the_first(sandbox):
    subscription = activate(sandbox)
    request = {"invoice_id": last_invoice(subscription).pk, "amount_minor": 4_00, "reason": "Late."}
    request |= {"cause": BY_USER, "at": NOW}

    def refund() -> Refund:
        return place_refund(refund_id=new_id(), requested_by_id=subscription.user_id, **request)

    first, rival = before_commit(refund, refund)

    assert isinstance(rival.result(), RefundAlreadyRequested)
    assert Refund.objects.get() == first


def test_a_refund_of_the_last_period_waits_for_a_cancellation(sandbox):
    subscription = activate(sandbox)
    request = {"invoice_id": last_invoice(subscription).pk, "amount_minor": None, "reason": "Left.", "cause": BY_USER}

    _, rival = before_commit(
        lambda: cancel_now(subscription),
        lambda: place_refund(refund_id=new_id(), requested_by_id=subscription.user_id, at=NOW, **request),
    )

    subscription.refresh_from_db()
    assert isinstance(rival.result(), Refund)
    assert (subscription.cancel_at_period_end, subscription.due_at) == (False, NOW)


def test_charges_are_resumed_by_one_of_two(sandbox):
    subscription = activate(sandbox)
    deliver_dispute(last_payment(subscription), "opened")

    _, rival = before_commit(
        *[lambda: resume_charges(subscription_id=subscription.pk, cause=BY_USER, at=timezone.now())] * 2
    )

    assert isinstance(rival.result(), ChargesNotStopped)


def test_a_subscription_that_is_paid_meanwhile_is_not_expired_as_unpaid(sandbox):
    subscription = make_unpaid()
    complete(subscription)
    sandbox.pay(last_payment(subscription).provider_key)

    _, rival = before_commit(
        lambda: deliver_update(last_payment(subscription)),
        lambda: expire_unpaid(subscription.pk, cause=SWEEP, at=NOW),
    )

    subscription.refresh_from_db()
    assert (rival.result(), subscription.status) == (False, "active")


# --- The sweep


def test_a_cancelled_subscription_is_not_charged(sandbox):
    subscription = activate(sandbox)

    _, rival = before_commit(
        lambda: cancel_now(subscription),
        lambda: open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at),
    )

    assert (rival.result(), len(payments_of(subscription))) == (None, 1)


def test_a_renewal_is_not_charged_beside_a_payment_that_is_tried_again(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)
    retry_at = subscription.due_at

    _, rival = before_commit(
        lambda: report_processing(last_payment(subscription)),
        lambda: open_renewal(subscription.pk, cause=SWEEP, at=retry_at),
    )

    assert (rival.result(), len(payments_of(subscription))) == (None, 2)


def test_closing_the_pages_of_a_subscription_that_is_paid_changes_nothing(sandbox):
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)

    before_commit(
        lambda: deliver_update(last_payment(subscription)),
        lambda: finish_subscription(subscription.pk, cause=SWEEP, at=NOW),
    )

    subscription.refresh_from_db()
    assert (subscription.status, subscription.due_at > NOW + days(7)) == ("active", True)


def test_closing_the_pages_waits_for_a_cancellation():
    subscription = make_unpaid("pending_payment")

    _, rival = before_commit(
        lambda: cancel_now(subscription),
        lambda: finish_subscription(subscription.pk, cause=SWEEP, at=NOW),
    )

    subscription.refresh_from_db()
    assert (rival.result(), subscription.status) == (None, "cancelled")


def test_two_requests_to_upgrade_open_one_payment(sandbox):
    subscription, plan = activate(sandbox, at=timezone.now() - days(3)), PlanFactory(price_minor=30_00)
    at = timezone.now()
    quote = preview_upgrade(user_id=subscription.user_id, plan_id=plan.pk, at=at)
    fields = {"plan_id": plan.pk, "quoted_at": at, "expected_total_minor": quote.total_minor, "cause": BY_USER}

    def upgrade() -> Any:
        return open_upgrade(invoice_id=new_id(), user_id=subscription.user_id, at=at, **fields)

    _, rival = before_commit(upgrade, upgrade)

    assert (rival.waited, type(rival.result())) == (True, PaymentUnderWay)
    assert len(payments_of(subscription)) == 2


def test_an_upgrade_waits_for_a_refund_and_is_quoted_again(sandbox):
    subscription, plan = activate(sandbox, at=timezone.now() - days(3)), PlanFactory(price_minor=30_00)
    at = timezone.now()
    quote = preview_upgrade(user_id=subscription.user_id, plan_id=plan.pk, at=at)
    fields = {"plan_id": plan.pk, "quoted_at": at, "expected_total_minor": quote.total_minor, "cause": BY_USER}

    _, rival = before_commit(
        lambda: refund_invoice_of(subscription),
        lambda: open_upgrade(invoice_id=new_id(), user_id=subscription.user_id, at=at, **fields),
    )

    assert (rival.waited, type(rival.result())) == (True, QuoteChanged)


def refund_invoice_of(subscription: Subscription) -> Any:
    who = {"requested_by_id": subscription.user_id, "reason": "Asked for.", "cause": BY_USER, "at": NOW}
    return place_refund(refund_id=new_id(), invoice_id=last_invoice(subscription).pk, amount_minor=6_00, **who)
