"""Completing a payment: the last page while it is open, a new one after it is closed."""

import pytest

from payments import tasks
from payments.collection.payment_requests import cancel_payment
from payments.models import Payment
from subscriptions.completion import NothingToPay, PaymentUnderWay, open_completion
from subscriptions.models import Subscription
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    complete,
    days,
    free_plan,
    gives_access,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    set_charge_outcome,
    subscribe,
)
from veza.core.errors import NotFound
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def expire_session(subscription: Subscription) -> None:
    Payment.objects.filter(correlation_id=subscription.pk).update(first_sent_at=NOW - days(1), created_at=NOW - days(1))


def test_an_open_page_is_returned_again(sandbox):
    subscription = subscribe(PlanFactory())

    checkout = complete(subscription)

    assert (checkout.payment, checkout.payment_url) == (
        last_payment(subscription),
        last_payment(subscription).payment_url,
    )
    assert (len(payments_of(subscription)), checkout.client_secret != "") == (1, True)


def test_a_lost_answer_is_read_again(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    subscription = subscribe(PlanFactory())

    assert complete(subscription).payment_url

    assert len(payments_of(subscription)) == 1


def test_a_declined_payment_is_followed_by_a_new_one_that_can_be_paid(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)

    checkout = complete(subscription)
    press_button(sandbox, "pay", subscription)

    assert (checkout.payment_url != "", len(payments_of(subscription))) == (True, 2)
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


def test_a_later_payment_of_an_invoice_has_its_own_id_as_idempotency_key(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)

    complete(subscription)

    keys = [
        call["idempotency_key"] for call in sandbox.calls() if (call["path"], call["method"]) == ("/payments", "POST")
    ]
    assert keys == [str(last_invoice(subscription).pk), str(last_payment(subscription).pk)]


def test_a_cancelled_payment_is_followed_by_a_new_one(sandbox):
    subscription = subscribe(PlanFactory())
    cancel_payment(last_payment(subscription).pk, reason="test", cause=SWEEP)

    assert complete(subscription).payment_url

    assert [payment.status for payment in payments_of(subscription)] == ["cancelled", "pending"]


def test_an_expired_page_is_closed_before_another_is_opened(sandbox):
    subscription = subscribe(PlanFactory())
    expire_session(subscription)

    complete(subscription)

    assert [payment.status for payment in payments_of(subscription)] == ["cancelled", "pending"]


def test_an_expired_page_stays_the_only_one_without_an_answer(sandbox):
    subscription = subscribe(PlanFactory())
    expire_session(subscription)
    sandbox.fault("drop", "/cancel$", method="POST", when="before")

    with pytest.raises(PaymentUnderWay):
        complete(subscription)

    assert len(payments_of(subscription)) == 1


def test_a_payment_on_the_declined_page_is_found_first(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    sandbox.pay(last_payment(subscription).provider_key)

    with pytest.raises(NothingToPay):
        complete(subscription)

    subscription.refresh_from_db()
    assert (subscription.status, len(payments_of(subscription))) == ("active", 1)


def test_a_new_page_is_closed_when_the_declined_one_is_paid(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    complete(subscription)
    declined, new = payments_of(subscription)

    deliver_payment(declined)
    tasks.close_unpaid()

    new.refresh_from_db()
    subscription.refresh_from_db()
    assert (subscription.status, new.status) == ("active", "cancelled")
    assert sandbox.hyperswitch("GET", f"/payments/{new.provider_key}").json()["status"] == "cancelled"


def test_a_processing_payment_blocks_a_new_one(sandbox):
    subscription = subscribe(PlanFactory())
    deliver_payment(last_payment(subscription), status="processing", amount_received=None)

    with pytest.raises(PaymentUnderWay):
        complete(subscription)


@pytest.mark.parametrize("plan", [{"price_minor": 0}, {"trial_days": 3}])
def test_a_free_plan_or_a_trial_has_nothing_to_pay(plan):
    with pytest.raises(NothingToPay):
        complete(subscribe(PlanFactory(**plan)))


def test_a_paid_or_replaced_subscription_has_nothing_to_pay(sandbox):
    paying, replaced = activate(sandbox), subscribe(PlanFactory())
    subscribe(free_plan(), user=replaced.user)

    for subscription in (paying, replaced):
        with pytest.raises(NothingToPay):
            complete(subscription)


def test_a_subscription_of_another_user_is_not_found(sandbox):
    subscription = subscribe(PlanFactory())

    with pytest.raises(NotFound):
        complete(subscription, user_id=PersonFactory().pk)


def test_an_active_one_without_a_payment_gets_an_invoice_and_a_page(sandbox):
    plan = PlanFactory()
    stuck = Subscription.objects.create(user=PersonFactory(), plan=plan, status="active", anchor_day=1)

    assert complete(stuck).payment_url
    press_button(sandbox, "pay", stuck)

    assert gives_access(stuck, NOW)


def test_a_failed_renewal_is_paid_on_a_page_and_the_new_method_saved(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)
    old_method = subscription.hyperswitch_payment_method_id

    complete(subscription, at=subscription.period_end_at + days(1))
    press_button(sandbox, "pay", subscription, at=subscription.period_end_at + days(1))

    assert subscription.status == "active"
    assert subscription.hyperswitch_payment_method_id != old_method


def test_completing_twice_with_the_same_id_opens_one_payment(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    key = new_id()
    params = {"subscription_id": subscription.pk, "payment_id": key, "user_id": subscription.user_id, "at": NOW}

    (*_, first), (*_, second) = open_completion(**params), open_completion(**params)

    assert (first.pk, second.pk) == (key, key)
