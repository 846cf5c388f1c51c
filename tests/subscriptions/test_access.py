"""Effective payment, the whole predicate: which subscription gives access, and until when."""

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


def make_subscription(plan: Plan, status: str = "active", **fields) -> Subscription:
    values = {"period_start_at": NOW, "period_end_at": END, "anchor_day": 1} | fields
    return Subscription.objects.create(user=PersonFactory(), plan=plan, status=status, **values)


def make_invoice(
    subscription: Subscription, status: str = "paid", *, start_at=NOW, payment_id: str | None = "pay_1", **fields
):
    paid_at = NOW if status in ("paid", "refunded") else None
    values = {"net_minor": 10_00, "tax_minor": 0, "total_minor": 10_00, "currency": "EUR", "paid_at": paid_at} | fields
    return SubscriptionInvoice.objects.create(
        subscription=subscription,
        plan=fields.get("plan", subscription.plan),
        status=status,
        period_start_at=start_at,
        period_end_at=start_at + days(30),
        hyperswitch_payment_id=payment_id,
        **{name: value for name, value in values.items() if name != "plan"},
    )


def gives_access(subscription: Subscription, at=NOW) -> bool:
    return effective_payment_of(subscription.user_id, at=at) is not None


@pytest.mark.parametrize("status", SubscriptionStatus.values)
@pytest.mark.parametrize("basis", ["free", "trial", "trial that is over", "nothing"])
def test_a_status_alone_gives_no_access(status, basis):
    plan = free_plan() if basis == "free" else PlanFactory()
    trial = {"trial": END, "trial that is over": NOW}.get(basis)

    assert gives_access(make_subscription(plan, status, trial_ends_at=trial)) == (
        status in ENTITLING and basis in ("free", "trial")
    )


@pytest.mark.parametrize("status", SubscriptionStatus.values)
@pytest.mark.parametrize("invoice", InvoiceStatus.values)
@pytest.mark.parametrize("payment_id", ["pay_1", None])
def test_only_a_paid_invoice_with_a_payment_id_gives_access(status, invoice, payment_id):
    subscription = make_subscription(PlanFactory(), status)
    make_invoice(subscription, invoice, payment_id=payment_id)

    assert gives_access(subscription) == (status in ENTITLING and invoice == "paid" and payment_id is not None)


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        ({"trial_ends_at": END}, END),
        ({"trial_ends_at": END, "cancel_at_period_end": True}, END),
    ],
)
def test_a_trial_gives_access_exactly_until_it_ends(fields, last):
    subscription = make_subscription(PlanFactory(), "trialing", **fields)

    assert (gives_access(subscription, last - MOMENT), gives_access(subscription, last)) == (True, False)


@pytest.mark.parametrize(("cancelled", "last"), [(False, END + GRACE), (True, END)])
def test_a_paid_period_has_a_grace_period_unless_cancelled(cancelled, last):
    subscription = make_subscription(PlanFactory(), cancel_at_period_end=cancelled)
    make_invoice(subscription)

    assert (gives_access(subscription, last - MOMENT), gives_access(subscription, last)) == (True, False)


def test_a_free_plan_gives_access_until_a_cancellation_takes_effect():
    renewing, cancelled = make_subscription(free_plan()), make_subscription(free_plan(), cancel_at_period_end=True)

    assert (
        gives_access(renewing, END + days(999)),
        gives_access(cancelled, END - MOMENT),
        gives_access(cancelled, END),
    ) == (True, True, False)


def test_a_refunded_renewal_ends_the_grace_of_the_period_before():
    subscription = make_subscription(PlanFactory())
    make_invoice(subscription)
    make_invoice(subscription, "refunded", start_at=END, payment_id="pay_2")

    assert (gives_access(subscription, END - MOMENT), gives_access(subscription, END + days(1))) == (True, False)


@pytest.mark.parametrize("unpaid", ["pending", "failed"])
def test_an_unpaid_renewal_keeps_the_grace_period(unpaid):
    subscription = make_subscription(PlanFactory(), "past_due")
    make_invoice(subscription)
    make_invoice(subscription, unpaid, start_at=END, payment_id=None)

    assert gives_access(subscription, END + GRACE - MOMENT)


def test_the_features_are_those_of_the_plan_that_was_paid_for():
    paid_plan, current_plan = PlanFactory(can_sell_on_marketplace=False), PlanFactory(can_sell_on_marketplace=True)
    subscription = make_subscription(current_plan)
    make_invoice(subscription, plan=paid_plan)

    with pytest.raises(PlanDoesNotAllow):
        refuse_unless_may_sell(subscription.user_id, at=NOW)


@pytest.mark.parametrize(("sells", "distributes"), [(True, False), (False, True)])
def test_each_gate_checks_its_own_feature(sells, distributes):
    user_id = subscribe(free_plan(can_sell_on_marketplace=sells, can_distribute=distributes)).user_id

    def is_refused(gate) -> bool:
        try:
            gate(user_id, at=NOW)
        except PlanDoesNotAllow:
            return True
        return False

    assert (may_sell(user_id, NOW), is_refused(refuse_unless_may_sell)) == (sells, not sells)
    assert is_refused(refuse_unless_may_distribute) == (not distributes)


@pytest.mark.parametrize("gate", [refuse_unless_may_sell, refuse_unless_may_distribute])
def test_every_gate_needs_a_subscription(gate):
    with pytest.raises(SubscriptionPaymentRequired):
        gate(PersonFactory().pk, at=NOW)


def test_an_access_check_costs_two_queries_at_most(django_assert_max_num_queries):
    subscription = make_subscription(PlanFactory())
    make_invoice(subscription)

    with django_assert_max_num_queries(2):
        effective_payment_of(subscription.user_id, at=NOW)
