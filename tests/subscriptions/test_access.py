"""Effective payment, the whole predicate: which subscription gives access, and until when."""

from datetime import timedelta

import pytest

from subscriptions.access import (
    PlanDoesNotAllow,
    SubscriptionPaymentRequired,
    effective_payment_of,
    ids_of_sellers,
    may_sell,
    refuse_unless_may_distribute,
    refuse_unless_may_sell,
    selling_moments,
)
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.states import InvoiceStatus, SubscriptionStatus
from tests.buying import deliver_dispute
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    NOW,
    PlanFactory,
    activate,
    days,
    free_plan,
    last_payment,
    run_sweep,
    set_charge_outcome,
    subscribe,
)
from veza.core.ids import new_id
from veza.core.models import User

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


# Every kind of plan, status, trial, cancellation and invoices.
SITUATIONS = [
    {"plan": plan, "status": status, "trial": trial, "cancelled": cancelled, "invoices": invoices}
    for plan in ("free", "paid", "no selling")
    for status in SubscriptionStatus.values
    for trial in (None, "running", "over")
    for cancelled in (False, True)
    for invoices in ((), ("paid",), ("pending",), ("paid", "pending"), ("paid", "refunded"), ("paid", "other plan"))
]


def make_situation(situation) -> Subscription:
    plans = {"free": free_plan, "paid": PlanFactory, "no selling": lambda: PlanFactory(can_sell_on_marketplace=False)}
    ends_at = {None: None, "running": END, "over": NOW - days(30)}[situation["trial"]]
    plan, cancelled = plans[situation["plan"]](), situation["cancelled"]
    subscription = make_subscription(plan, situation["status"], trial_ends_at=ends_at, cancel_at_period_end=cancelled)
    for place, status in enumerate(situation["invoices"]):
        fields = {"plan": PlanFactory(can_sell_on_marketplace=plan.is_free)} if status == "other plan" else {}
        status = "paid" if status == "other plan" else status
        payment_id = f"pay_{new_id().hex}" if status in ("paid", "refunded") else None
        make_invoice(subscription, status, start_at=NOW + days(30 * place), payment_id=payment_id, **fields)
    return subscription


def selling(at=NOW) -> set[object]:
    return set(User.objects.filter(pk__in=ids_of_sellers(selling_moments(at))).values_list("pk", flat=True))


def test_the_query_of_sellers_says_what_the_gate_says():
    situations = {make_situation(situation).user_id: situation for situation in SITUATIONS}
    moments = [NOW + days(at) for at in (0, 29, 30, 36, 37, 59, 60, 66, 67, 90)]

    differences = [
        (situation, at)
        for at, sellers in ((at, selling(at)) for at in moments)
        for user_id, situation in situations.items()
        if may_sell(user_id, at) != (user_id in sellers)
    ]

    assert not differences


def test_the_query_of_sellers_knows_of_payments_in_doubt(sandbox):
    subscription = activate(sandbox)
    before = selling()

    deliver_dispute(last_payment(subscription), "lost", currency="USD")

    assert (before, may_sell(subscription.user_id, NOW), selling()) == ({subscription.user_id}, False, set())


def test_the_query_of_sellers_knows_of_debits_with_the_bank(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "processing", subscription)
    end_at = subscription.period_end_at
    run_sweep(subscription, end_at)

    moments = [end_at + days(day) for day in (0, 6.9, 7, 9.9, 10)]

    gate = [may_sell(subscription.user_id, at) for at in moments]
    assert gate == [True, True, True, True, False]
    assert [subscription.user_id in selling(at) for at in moments] == gate
