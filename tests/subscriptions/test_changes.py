"""A change of the plan with the next period, and a cancellation: at the period's end, or immediately."""

import pytest

from subscriptions.access import SubscriptionPaymentRequired
from subscriptions.changes import NoSubscription, cancel, change_plan
from subscriptions.models import Subscription
from subscriptions.renewals import run_due
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    days,
    free_plan,
    gives_access,
    last_invoice,
    last_payment,
    payments_of,
    run_sweep,
    set_charge_outcome,
    subscribe,
)

pytestmark = pytest.mark.django_db


def cancel_subscription(subscription: Subscription, *, now: bool = False, at=NOW) -> Subscription:
    return cancel(user_id=subscription.user_id, now=now, cause=BY_USER, at=at)


def change_to(subscription: Subscription, plan, at=NOW) -> Subscription:
    return change_plan(user_id=subscription.user_id, plan_id=plan.pk, cause=BY_USER, at=at)


def test_a_cancelled_subscription_lasts_to_the_end_of_its_paid_period(sandbox):
    subscription = activate(sandbox)
    end_at = subscription.period_end_at

    assert cancel_subscription(subscription).status == "active"
    assert gives_access(subscription, end_at - days(1))

    assert run_sweep(subscription, end_at).status == "cancelled"
    assert len(payments_of(subscription)) == 1


def test_cancelling_immediately_ends_the_access_immediately(sandbox):
    subscription = activate(sandbox)

    assert cancel_subscription(subscription, now=True).status == "cancelled"

    assert not gives_access(subscription, NOW)


@pytest.mark.parametrize("now", [True, False])
def test_cancelling_an_unpaid_subscription_closes_its_payment_page(sandbox, now):
    subscription = subscribe(PlanFactory())

    assert cancel_subscription(subscription, now=now).status == "cancelled"
    run_due(subscription.pk, cause=SWEEP, at=NOW)

    assert (last_invoice(subscription).status, last_payment(subscription).status) == ("void", "cancelled")
    assert sandbox.pay(last_payment(subscription).provider_key).status_code == 409


def test_a_payment_of_a_void_invoice_is_refunded(sandbox):
    subscription = subscribe(PlanFactory())
    cancel_subscription(subscription)

    deliver_payment(last_payment(subscription))

    assert last_payment(subscription).refunds.get().allocation == {"unapplied": 12_00}
    assert last_invoice(subscription).status == "void"


def test_there_is_nothing_to_cancel_without_a_subscription():
    with pytest.raises(NoSubscription):
        cancel(user_id=PersonFactory().pk, now=True, cause=BY_USER, at=NOW)


def test_a_change_takes_effect_with_the_next_period_and_its_price(sandbox):
    subscription, dearer = activate(sandbox), PlanFactory(price_minor=20_00)

    change_to(subscription, dearer)
    subscription.refresh_from_db()
    assert subscription.plan_id != dearer.pk
    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.plan_id, subscription.next_plan_id) == (dearer.pk, None)
    assert last_invoice(subscription).total_minor == 24_00


def test_a_change_to_a_dearer_plan_takes_effect_only_when_it_is_paid(sandbox):
    subscription = activate(sandbox, PlanFactory(can_sell_on_marketplace=False))
    dearer = PlanFactory(can_sell_on_marketplace=True)
    change_to(subscription, dearer)
    set_charge_outcome(sandbox, "failed", subscription)

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, subscription.plan_id == dearer.pk) == ("past_due", False)


def test_a_change_to_a_free_plan_opens_no_further_invoice(sandbox):
    subscription, free = activate(sandbox), free_plan()

    change_to(subscription, free)
    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, subscription.plan_id, subscription.invoices.count()) == ("active", free.pk, 1)


def test_a_change_from_a_free_plan_keeps_it_until_the_new_one_is_paid(sandbox):
    subscription = subscribe(free_plan(can_sell_on_marketplace=False))
    change_to(subscription, PlanFactory())

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, subscription.plan.price_minor) == ("past_due", 0)


def test_the_current_plan_undoes_a_change_and_a_cancellation(sandbox):
    subscription = activate(sandbox)
    change_to(subscription, PlanFactory())
    cancel_subscription(subscription)

    again = change_to(subscription, subscription.plan)

    assert (again.next_plan, again.cancel_at_period_end) == (None, False)


def test_an_unpaid_plan_cannot_be_changed(sandbox):
    subscription = subscribe(PlanFactory())

    with pytest.raises(SubscriptionPaymentRequired):
        change_to(subscription, PlanFactory())
