"""The way out for a stuck subscriber: a page that works, the same one while it lives, a new one when it is dead."""

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
    active,
    clock,
    complete,
    days,
    free_plan,
    last_invoice,
    last_payment,
    opens_doors,
    payments_of,
    press,
    saved_card_will,
    subscribe,
)
from veza.core.errors import NotFound
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def end_the_session(subscription: Subscription) -> None:
    Payment.objects.filter(correlation_id=subscription.pk).update(first_sent_at=NOW - days(1), created_at=NOW - days(1))


def test_a_page_that_lives_is_offered_again(sandbox):
    subscription = subscribe(PlanFactory())

    made = complete(subscription)

    assert (made.payment, made.payment_url) == (last_payment(subscription), last_payment(subscription).payment_url)
    assert (len(payments_of(subscription)), made.client_secret != "") == (1, True)


def test_an_answer_that_was_lost_is_asked_for_again(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    subscription = subscribe(PlanFactory())

    assert complete(subscription).payment_url

    assert len(payments_of(subscription)) == 1


def test_a_declined_payment_makes_room_for_a_new_one_that_works(sandbox):
    subscription = subscribe(PlanFactory())
    press(sandbox, "decline", subscription)

    made = complete(subscription)
    press(sandbox, "pay", subscription)

    assert (made.payment_url != "", len(payments_of(subscription))) == (True, 2)
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


def test_a_cancelled_payment_makes_room_for_a_new_one(sandbox):
    subscription = subscribe(PlanFactory())
    cancel_payment(last_payment(subscription).pk, reason="test", cause=SWEEP)

    assert complete(subscription).payment_url

    assert [payment.status for payment in payments_of(subscription)] == ["cancelled", "pending"]


def test_a_page_whose_time_is_over_is_closed_before_another_is_opened(sandbox):
    subscription = subscribe(PlanFactory())
    end_the_session(subscription)

    complete(subscription)

    assert [payment.status for payment in payments_of(subscription)] == ["cancelled", "pending"]


def test_a_page_whose_time_is_over_stays_the_only_one_while_the_provider_does_not_answer(sandbox):
    subscription = subscribe(PlanFactory())
    end_the_session(subscription)
    sandbox.fault("drop", "/cancel$", method="POST", when="before")

    with pytest.raises(PaymentUnderWay):
        complete(subscription)

    assert len(payments_of(subscription)) == 1


def test_money_that_came_on_the_declined_page_meanwhile_is_found_first(sandbox):
    subscription = subscribe(PlanFactory())
    press(sandbox, "decline", subscription)
    sandbox.pay(last_payment(subscription).provider_key)

    with pytest.raises(NothingToPay):
        complete(subscription)

    subscription.refresh_from_db()
    assert (subscription.status, len(payments_of(subscription))) == ("active", 1)


def test_a_new_page_is_closed_when_the_declined_one_is_paid_after_all(sandbox):
    subscription = subscribe(PlanFactory())
    press(sandbox, "decline", subscription)
    complete(subscription)
    declined, new = payments_of(subscription)

    deliver_payment(declined)
    tasks.close_unpaid()

    new.refresh_from_db()
    subscription.refresh_from_db()
    assert (subscription.status, new.status) == ("active", "cancelled")
    assert sandbox.hyperswitch("GET", f"/payments/{new.provider_key}").json()["status"] == "cancelled"


def test_a_payment_being_decided_is_waited_for(sandbox):
    subscription = subscribe(PlanFactory())
    deliver_payment(last_payment(subscription), status="processing", amount_received=None)

    with pytest.raises(PaymentUnderWay):
        complete(subscription)


@pytest.mark.parametrize("plan", [{"price_minor": 0}, {"trial_days": 3}])
def test_nothing_is_owed_for_what_is_free_or_on_trial(plan):
    with pytest.raises(NothingToPay):
        complete(subscribe(PlanFactory(**plan)))


def test_nothing_is_owed_for_what_is_paid_or_cancelled_or_replaced(sandbox):
    paid, replaced = active(sandbox), subscribe(PlanFactory())
    subscribe(free_plan(), user=replaced.user)

    for subscription in (paid, replaced):
        with pytest.raises(NothingToPay):
            complete(subscription)


def test_anothers_subscription_does_not_exist(sandbox):
    subscription = subscribe(PlanFactory())

    with pytest.raises(NotFound):
        complete(subscription, user_id=PersonFactory().pk)


def test_one_that_is_active_without_any_payment_gets_an_invoice_and_a_page(sandbox):
    plan = PlanFactory()
    stuck = Subscription.objects.create(user=PersonFactory(), plan=plan, status="active", anchor_day=1)

    assert complete(stuck).payment_url
    press(sandbox, "pay", stuck)

    assert opens_doors(stuck, NOW)


def test_a_renewal_that_failed_is_paid_on_a_page_and_the_new_method_kept(sandbox):
    subscription = active(sandbox)
    saved_card_will(sandbox, "failed", subscription)
    clock(subscription, subscription.period_end_at)
    old_method = subscription.hyperswitch_payment_method_id

    complete(subscription, at=subscription.period_end_at + days(1))
    press(sandbox, "pay", subscription, at=subscription.period_end_at + days(1))

    assert subscription.status == "active"
    assert subscription.hyperswitch_payment_method_id != old_method


def test_completing_twice_with_the_same_id_opens_one_payment(sandbox):
    subscription = subscribe(PlanFactory())
    press(sandbox, "decline", subscription)
    key = new_id()
    params = {"subscription_id": subscription.pk, "payment_id": key, "user_id": subscription.user_id, "at": NOW}

    (*_, first), (*_, second) = open_completion(**params), open_completion(**params)

    assert (first.pk, second.pk) == (key, key)
