"""Effective payment, the whole predicate: which subscription opens doors, and until when."""

from datetime import timedelta

import pytest

from subscriptions.access import (
    PlanDoesNotAllow,
    SubscriptionPaymentRequired,
    effective_payment_of,
    may_sell,
    refuse_unless_may_distribute,
    refuse_unless_may_sell,
)
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.states import InvoiceStatus, SubscriptionStatus
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import NOW, PlanFactory, days, free_plan, subscribe

pytestmark = pytest.mark.django_db

MOMENT = timedelta(microseconds=1)
END = NOW + days(30)
GRACE = days(7)
ENTITLING = {"trialing", "active", "past_due"}


def held(plan: Plan, status: str = "active", **fields) -> Subscription:
    known = {"period_start_at": NOW, "period_end_at": END, "anchor_day": 1} | fields
    return Subscription.objects.create(user=PersonFactory(), plan=plan, status=status, **known)


def billed(
    subscription: Subscription, status: str = "paid", *, start_at=NOW, payment_id: str | None = "pay_1", **fields
):
    paid_at = NOW if status in ("paid", "refunded") else None
    known = {"net_minor": 10_00, "tax_minor": 0, "total_minor": 10_00, "currency": "EUR", "paid_at": paid_at} | fields
    return SubscriptionInvoice.objects.create(
        subscription=subscription,
        plan=fields.get("plan", subscription.plan),
        status=status,
        period_start_at=start_at,
        period_end_at=start_at + days(30),
        hyperswitch_payment_id=payment_id,
        **{name: value for name, value in known.items() if name != "plan"},
    )


def opens(subscription: Subscription, at=NOW) -> bool:
    return effective_payment_of(subscription.user_id, at=at) is not None


@pytest.mark.parametrize("status", SubscriptionStatus.values)
@pytest.mark.parametrize("behind_it", ["free", "trial", "trial that is over", "nothing"])
def test_a_status_alone_gives_no_access(status, behind_it):
    plan = free_plan() if behind_it == "free" else PlanFactory()
    trial = {"trial": END, "trial that is over": NOW}.get(behind_it)

    assert opens(held(plan, status, trial_ends_at=trial)) == (status in ENTITLING and behind_it in ("free", "trial"))


@pytest.mark.parametrize("status", SubscriptionStatus.values)
@pytest.mark.parametrize("invoice", InvoiceStatus.values)
@pytest.mark.parametrize("payment_id", ["pay_1", None])
def test_only_a_paid_invoice_with_a_payment_id_gives_access(status, invoice, payment_id):
    subscription = held(PlanFactory(), status)
    billed(subscription, invoice, payment_id=payment_id)

    assert opens(subscription) == (status in ENTITLING and invoice == "paid" and payment_id is not None)


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        ({"trial_ends_at": END}, END),
        ({"trial_ends_at": END, "cancel_at_period_end": True}, END),
    ],
)
def test_a_trial_gives_access_exactly_until_it_ends(fields, last):
    subscription = held(PlanFactory(), "trialing", **fields)

    assert (opens(subscription, last - MOMENT), opens(subscription, last)) == (True, False)


@pytest.mark.parametrize(("cancelled", "last"), [(False, END + GRACE), (True, END)])
def test_a_paid_period_has_a_grace_period_unless_cancelled(cancelled, last):
    subscription = held(PlanFactory(), cancel_at_period_end=cancelled)
    billed(subscription)

    assert (opens(subscription, last - MOMENT), opens(subscription, last)) == (True, False)


def test_a_free_plan_gives_access_until_a_cancellation_takes_effect():
    kept, cancelled = held(free_plan()), held(free_plan(), cancel_at_period_end=True)

    assert (opens(kept, END + days(999)), opens(cancelled, END - MOMENT), opens(cancelled, END)) == (True, True, False)


def test_a_refunded_renewal_ends_the_grace_of_the_period_before():
    subscription = held(PlanFactory())
    billed(subscription)
    billed(subscription, "refunded", start_at=END, payment_id="pay_2")

    assert (opens(subscription, END - MOMENT), opens(subscription, END + days(1))) == (True, False)


@pytest.mark.parametrize("unpaid", ["pending", "failed"])
def test_an_unpaid_renewal_keeps_the_grace_period(unpaid):
    subscription = held(PlanFactory(), "past_due")
    billed(subscription)
    billed(subscription, unpaid, start_at=END, payment_id=None)

    assert opens(subscription, END + GRACE - MOMENT)


def test_the_features_are_those_of_the_plan_that_was_paid_for():
    paid, wanted = PlanFactory(can_sell_on_marketplace=False), PlanFactory(can_sell_on_marketplace=True)
    subscription = held(wanted)
    billed(subscription, plan=paid)

    with pytest.raises(PlanDoesNotAllow):
        refuse_unless_may_sell(subscription.user_id, at=NOW)


@pytest.mark.parametrize(("sells", "distributes"), [(True, False), (False, True)])
def test_each_gate_checks_its_own_feature(sells, distributes):
    user_id = subscribe(free_plan(can_sell_on_marketplace=sells, can_distribute=distributes)).user_id

    def refused(gate) -> bool:
        try:
            gate(user_id, at=NOW)
        except PlanDoesNotAllow:
            return True
        return False

    assert (may_sell(user_id, NOW), refused(refuse_unless_may_sell)) == (sells, not sells)
    assert refused(refuse_unless_may_distribute) == (not distributes)


@pytest.mark.parametrize("gate", [refuse_unless_may_sell, refuse_unless_may_distribute])
def test_every_gate_needs_a_subscription(gate):
    with pytest.raises(SubscriptionPaymentRequired):
        gate(PersonFactory().pk, at=NOW)


def test_an_access_check_costs_two_queries_at_most(django_assert_max_num_queries):
    subscription = held(PlanFactory())
    billed(subscription)

    with django_assert_max_num_queries(2):
        effective_payment_of(subscription.user_id, at=NOW)
