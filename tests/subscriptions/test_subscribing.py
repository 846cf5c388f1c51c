"""Subscribing: free and on trial at once, paid after the money; one live subscription a person."""

import pytest
from django.db import IntegrityError, transaction

from subscriptions.models import Subscription
from subscriptions.plans import PlanNotFound
from subscriptions.subscribing import AlreadySubscribed, SubscribingMeanwhile, open_subscription
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    PlanFactory,
    active,
    days,
    free_plan,
    invoices_of,
    is_available,
    last_invoice,
    last_payment,
    opens_doors,
    payments_of,
    press,
    subscribe,
)
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def test_a_free_plan_is_active_at_once_and_owes_nothing():
    subscription = subscribe(free_plan())

    assert (subscription.status, invoices_of(subscription)) == ("active", [])
    assert opens_doors(subscription, NOW)


def test_a_trial_begins_at_once_and_owes_nothing_until_it_ends():
    subscription = subscribe(PlanFactory(trial_days=14))

    assert (subscription.status, subscription.period_end_at) == ("trialing", NOW + days(14))
    assert invoices_of(subscription) == []


def test_a_person_tries_once_whatever_the_plan(sandbox):
    user = PersonFactory()
    first = subscribe(PlanFactory(trial_days=14), user=user)

    second = subscribe(PlanFactory(trial_days=30), user=user, at=NOW + days(15))

    first.refresh_from_db()
    assert (first.status, second.status) == ("expired", "pending_payment")


def test_a_paid_plan_waits_for_its_first_payment(sandbox):
    made = is_available(PlanFactory())

    assert made.subscription.status == "pending_payment"
    assert (made.payment_url != "", made.client_secret != "") == (True, True)
    assert not opens_doors(made.subscription, NOW)


def test_the_invoice_is_the_plans_price_with_tax_on_top(sandbox):
    invoice = last_invoice(subscribe(PlanFactory(price_minor=9_99, tax_basis_points=1_900)))

    assert (invoice.net_minor, invoice.tax_minor, invoice.total_minor) == (9_99, 1_90, 11_89)


def test_the_payment_carries_our_ids_and_asks_to_keep_the_method(sandbox):
    subscription = subscribe(PlanFactory())

    payment, (call, *_) = last_payment(subscription), sandbox.calls()
    payload = sandbox.hyperswitch("GET", f"/payments/{payment.provider_key}").json()
    assert (call["idempotency_key"], payment.correlation_id) == (str(last_invoice(subscription).pk), subscription.pk)
    assert (payload["setup_future_usage"], payload["metadata"]) == (
        "off_session",
        {"invoice": str(last_invoice(subscription).pk)},
    )


def test_the_money_makes_it_active_with_a_period_from_the_payment_on(sandbox):
    subscription = subscribe(PlanFactory())

    press(sandbox, "pay", subscription, at=NOW + days(1))

    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")
    assert (subscription.period_start_at, subscription.period_end_at) == (
        NOW.replace(month=2, day=1),
        NOW.replace(month=3, day=1),
    )


def test_a_decline_fails_the_invoice_and_ends_the_subscription(sandbox):
    subscription = subscribe(PlanFactory())

    press(sandbox, "decline", subscription)

    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")


def test_a_payment_that_is_refused_ends_the_subscription(sandbox):
    body = {"error": {"type": "invalid_request", "code": "IR_39", "message": "No eligible connector"}}
    sandbox.fault("status", "^/payments$", method="POST", when="before", status=400, body=body)

    subscription = subscribe(PlanFactory())

    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")


def test_an_answer_that_is_lost_leaves_it_waiting_without_a_page(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")

    made = is_available(PlanFactory())

    assert (made.subscription.status, made.payment_url) == ("pending_payment", "")


def test_asking_again_with_the_same_id_finds_the_first_subscription(sandbox):
    plan, user, key = PlanFactory(), PersonFactory(), new_id()
    for _ in range(2):
        open_subscription(subscription_id=key, user=user, plan_id=plan.pk, cause=BY_USER, at=NOW)

    assert len(payments_of(Subscription.objects.get())) == 1


def test_a_second_subscription_is_refused_while_the_first_is_paid(sandbox):
    subscription = active(sandbox)

    with pytest.raises(AlreadySubscribed):
        subscribe(PlanFactory(), user=subscription.user)


def test_a_second_trialing_or_free_subscription_is_refused():
    for plan in (free_plan(), PlanFactory(trial_days=5)):
        first = subscribe(plan)
        with pytest.raises(AlreadySubscribed):
            subscribe(plan, user=first.user)


def test_a_paid_plan_takes_the_place_of_a_free_one(sandbox):
    first = subscribe(free_plan())

    second = subscribe(PlanFactory(), user=first.user)

    first.refresh_from_db()
    assert (first.status, second.status) == ("cancelled", "pending_payment")


def test_an_unpaid_subscriber_subscribes_again_in_one_commit(sandbox):
    first = subscribe(PlanFactory())

    second = subscribe(PlanFactory(), user=first.user)

    first.refresh_from_db()
    assert (first.status, last_invoice(first).status, second.status) == ("expired", "failed", "pending_payment")


def test_late_money_for_the_replaced_one_goes_back_when_the_other_is_live(sandbox):
    first = subscribe(PlanFactory())
    second = active(sandbox, user=first.user)

    deliver_payment(last_payment(first))

    refund = last_payment(first).refunds.get()
    first.refresh_from_db()
    assert (first.status, refund.source, refund.amount_minor) == ("expired", "late_payment", 12_00)
    assert second.status == "active"


def test_a_plan_that_is_not_offered_is_not_found():
    with pytest.raises(PlanNotFound):
        subscribe(PlanFactory(active=False))


def test_the_database_holds_one_live_subscription_a_person():
    first = subscribe(free_plan())

    with pytest.raises(IntegrityError, match="one_live_subscription_per_user"), transaction.atomic():
        Subscription.objects.create(user=first.user, plan=first.plan, status="active", anchor_day=1)


def test_the_database_holds_one_trial_a_person_ever():
    first = subscribe(PlanFactory(trial_days=5))

    with pytest.raises(IntegrityError, match="one_trial_per_user_ever"), transaction.atomic():
        Subscription.objects.create(user=first.user, plan=first.plan, status="expired", anchor_day=1, trial_ends_at=NOW)


def test_subscribing_twice_at_once_says_so(monkeypatch):
    first = subscribe(free_plan())
    monkeypatch.setattr("subscriptions.subscribing._make_room", lambda *args, **kwargs: None)

    with pytest.raises(SubscribingMeanwhile):
        subscribe(free_plan(), user=first.user)
