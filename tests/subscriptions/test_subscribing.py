"""Subscribing: free and trial immediately, paid plans after the payment; one live subscription per user."""

import pytest
from django.db import IntegrityError, transaction

from subscriptions.models import Subscription
from subscriptions.subscribing import AlreadySubscribed, PlanNotFound, SubscribingMeanwhile, open_subscription
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    PlanFactory,
    activate,
    days,
    free_plan,
    gives_access,
    invoices_of,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    request_checkout,
    subscribe,
)
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def test_a_free_plan_is_active_immediately_without_an_invoice():
    subscription = subscribe(free_plan())

    assert (subscription.status, invoices_of(subscription)) == ("active", [])
    assert gives_access(subscription, NOW)


def test_a_trial_begins_immediately_without_an_invoice():
    subscription = subscribe(PlanFactory(trial_days=14))

    assert (subscription.status, subscription.period_end_at) == ("trialing", NOW + days(14))
    assert invoices_of(subscription) == []


def test_a_user_has_one_trial_whatever_the_plan(sandbox):
    user = PersonFactory()
    first = subscribe(PlanFactory(trial_days=14), user=user)

    second = subscribe(PlanFactory(trial_days=30), user=user, at=NOW + days(15))

    first.refresh_from_db()
    assert (first.status, second.status) == ("expired", "pending_payment")


def test_a_paid_plan_waits_for_its_first_payment(sandbox):
    checkout = request_checkout(PlanFactory())

    assert checkout.subscription.status == "pending_payment"
    assert (checkout.payment_url != "", checkout.client_secret != "") == (True, True)
    assert not gives_access(checkout.subscription, NOW)


def test_the_invoice_is_the_plans_price_with_tax_on_top(sandbox):
    invoice = last_invoice(subscribe(PlanFactory(price_minor=9_99, tax_basis_points=1_900)))

    assert (invoice.net_minor, invoice.tax_minor, invoice.total_minor) == (9_99, 1_90, 11_89)


def test_the_payment_carries_our_ids_and_asks_to_save_the_method(sandbox):
    subscription = subscribe(PlanFactory())

    payment, (call, *_) = last_payment(subscription), sandbox.calls()
    payload = sandbox.hyperswitch("GET", f"/payments/{payment.provider_key}").json()
    assert (call["idempotency_key"], payment.correlation_id) == (str(last_invoice(subscription).pk), subscription.pk)
    assert (payload["setup_future_usage"], payload["metadata"]) == (
        "off_session",
        {"invoice": str(last_invoice(subscription).pk)},
    )


def test_a_payment_activates_it_with_a_period_from_then_on(sandbox):
    subscription = subscribe(PlanFactory())

    press_button(sandbox, "pay", subscription, at=NOW + days(1))

    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")
    assert (subscription.period_start_at, subscription.period_end_at) == (
        NOW.replace(month=2, day=1),
        NOW.replace(month=3, day=1),
    )


def test_a_decline_fails_the_invoice_and_ends_the_subscription(sandbox):
    subscription = subscribe(PlanFactory())

    press_button(sandbox, "decline", subscription)

    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")


def test_a_payment_that_is_refused_ends_the_subscription(sandbox):
    body = {"error": {"type": "invalid_request", "code": "IR_39", "message": "No eligible connector"}}
    sandbox.fault("status", "^/payments$", method="POST", when="before", status=400, body=body)

    subscription = subscribe(PlanFactory())

    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")


def test_a_lost_answer_leaves_it_pending_without_a_page(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")

    checkout = request_checkout(PlanFactory())

    assert (checkout.subscription.status, checkout.payment_url) == ("pending_payment", "")


def test_requesting_again_with_the_same_id_returns_the_first(sandbox):
    plan, user, key = PlanFactory(), PersonFactory(), new_id()
    for _ in range(2):
        open_subscription(subscription_id=key, user=user, plan_id=plan.pk, cause=BY_USER, at=NOW)

    assert len(payments_of(Subscription.objects.get())) == 1


def test_a_second_subscription_is_refused_while_the_first_is_paid(sandbox):
    subscription = activate(sandbox)

    with pytest.raises(AlreadySubscribed):
        subscribe(PlanFactory(), user=subscription.user)


def test_a_second_trialing_or_free_subscription_is_refused():
    for plan in (free_plan(), PlanFactory(trial_days=5)):
        first = subscribe(plan)
        with pytest.raises(AlreadySubscribed):
            subscribe(plan, user=first.user)


def test_a_paid_plan_replaces_a_free_one(sandbox):
    first = subscribe(free_plan())

    second = subscribe(PlanFactory(), user=first.user)

    first.refresh_from_db()
    assert (first.status, second.status) == ("cancelled", "pending_payment")


def test_an_unpaid_subscriber_subscribes_again_in_one_commit(sandbox):
    first = subscribe(PlanFactory())

    second = subscribe(PlanFactory(), user=first.user)

    first.refresh_from_db()
    assert (first.status, last_invoice(first).status, second.status) == ("expired", "failed", "pending_payment")


def test_a_late_payment_of_a_replaced_subscription_is_refunded(sandbox):
    first = subscribe(PlanFactory())
    second = activate(sandbox, user=first.user)

    deliver_payment(last_payment(first))

    refund = last_payment(first).refunds.get()
    first.refresh_from_db()
    assert (first.status, refund.source, refund.amount_minor) == ("expired", "late_payment", 12_00)
    assert second.status == "active"


def test_an_inactive_plan_is_not_found():
    with pytest.raises(PlanNotFound):
        subscribe(PlanFactory(active=False))


def test_the_database_allows_one_live_subscription_per_user():
    first = subscribe(free_plan())

    with pytest.raises(IntegrityError, match="one_live_subscription_per_user"), transaction.atomic():
        Subscription.objects.create(user=first.user, plan=first.plan, status="active", anchor_day=1)


def test_the_database_allows_one_trial_per_user_ever():
    first = subscribe(PlanFactory(trial_days=5))

    with pytest.raises(IntegrityError, match="one_trial_per_user_ever"), transaction.atomic():
        Subscription.objects.create(user=first.user, plan=first.plan, status="expired", anchor_day=1, trial_ends_at=NOW)


def test_a_concurrent_subscription_is_refused(monkeypatch):
    first = subscribe(free_plan())
    monkeypatch.setattr("subscriptions.subscribing._end_replaced", lambda *args, **kwargs: None)

    with pytest.raises(SubscribingMeanwhile):
        subscribe(free_plan(), user=first.user)
