"""A new price for those who are subscribed: announced in time, charged as announced, or withdrawn and told."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from subscriptions.changes import cancel, change_plan
from subscriptions.models import Subscription
from subscriptions.overview import overview_of
from subscriptions.price_changes import (
    NoNewerPrice,
    PriceChangeAnnounced,
    PriceChangeOver,
    announce,
    withdraw,
)
from tests.emails import composed, texts_to, written_to
from tests.subscriptions.repricing import BY_STAFF, announce_price, next_version, send_emails, tell
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
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
    subscribe,
)
from veza.core.email.content import Outdated
from veza.core.ids import new_id
from veza.core.models import Email

pytestmark = pytest.mark.django_db
RAISE, LOWERING = 50_00, 5_00


def renew(subscription: Subscription) -> int:
    """The next renewal, with the reminder before it; what was charged."""
    run_sweep(subscription, subscription.period_end_at - days(2))
    run_sweep(subscription, subscription.period_end_at)
    return last_payment(subscription).amount_minor


def withdraw_now(change, at=NOW):
    return withdraw(price_change_id=change.pk, cause=BY_STAFF, at=at)


def test_another_price_of_a_plan_is_for_new_subscribers(sandbox):
    subscription = activate(sandbox)

    version = next_version(subscription.plan, RAISE)

    assert renew(subscription) == 12_00
    assert last_invoice(activate(sandbox, version)).total_minor == 60_00


def test_a_new_price_between_the_reminder_and_the_charge_is_not_charged(sandbox):
    subscription = activate(sandbox)
    run_sweep(subscription, subscription.period_end_at - days(2))
    (text,) = texts_to(subscription.user, "renewal_announced")

    announce_price(subscription.plan, LOWERING, at=subscription.period_end_at - days(1))
    run_sweep(subscription, subscription.period_end_at)

    assert (last_payment(subscription).amount_minor, "for €12.00" in text) == (12_00, True)


def test_a_raise_applies_to_the_first_renewal_after_the_notice(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE, at=subscription.period_end_at - days(29))

    assert (renew(subscription), renew(subscription)) == (12_00, 60_00)


def test_the_reminder_of_a_raised_renewal_is_of_what_is_charged(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE, at=NOW)
    run_sweep(subscription, subscription.period_end_at)

    run_sweep(subscription, subscription.period_end_at - days(2))
    (text,) = texts_to(subscription.user, "renewal_announced")
    run_sweep(subscription, subscription.period_end_at)

    assert ("for €60.00" in text, last_payment(subscription).amount_minor) == (True, 60_00)


def test_a_raise_waits_for_its_email_to_be_sent(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE, sent=False)

    assert [renew(subscription), renew(subscription)] == [12_00, 12_00]
    send_emails(at=subscription.period_end_at - days(30))
    assert renew(subscription) == 60_00


def test_a_copy_that_support_sent_counts_as_the_announcement(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE, sent=False)
    email = Email.objects.get(message="price_change_announced")
    Email.objects.filter(pk=email.pk).update(status="failed", next_attempt_at=None)
    fields = {"message": email.message, "subject_id": email.subject_id, "correlation_id": email.correlation_id}
    Email.objects.create(**fields, recipient=email.recipient, copy_of=email, status="sent", sent_at=NOW - days(9))

    assert renew(subscription) == 60_00


def test_a_lower_price_applies_to_the_next_renewal(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, LOWERING, at=subscription.period_end_at - days(4))

    assert renew(subscription) == 6_00


def test_an_announcement_names_the_day_the_price_and_the_way_to_leave(sandbox):
    subscription = activate(sandbox)
    with time_machine.travel(NOW, tick=False):
        announce_price(subscription.plan, RAISE, sent=False)

        (text,) = texts_to(subscription.user, "price_change_announced")

    sentence = "From your renewal on 31 March 2026 your subscription to"
    assert [part in text for part in (sentence, "€60.00 instead of €12.00", "cancel your subscription")] == [True] * 3


def test_each_subscriber_is_told_once(sandbox):
    subscription = activate(sandbox)

    change = announce_price(subscription.plan, RAISE)
    tell(change)

    assert len(written_to(subscription.user, "price_change_announced")) == 1


def test_subscribers_are_told_in_portions(sandbox, monkeypatch):
    monkeypatch.setattr("subscriptions.price_changes.BATCH", 1)
    plan = PlanFactory()
    people = [activate(sandbox, plan) for _ in range(2)]

    change = announce_price(plan, RAISE)
    assert change.due_at == NOW
    tell(change)

    assert [len(written_to(row.user, "price_change_announced")) for row in people] == [1, 1]


def test_a_raise_is_charged_to_nobody_who_left(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE)
    cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=NOW)

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, len(payments_of(subscription))) == ("cancelled", 1)


def test_a_change_of_plan_goes_before_an_announced_price(sandbox):
    subscription, other = activate(sandbox), PlanFactory(price_minor=20_00)
    announce_price(subscription.plan, RAISE, at=NOW - days(9))

    change_plan(user_id=subscription.user_id, plan_id=other.pk, cause=BY_USER, at=NOW)

    assert renew(subscription) == 24_00


def test_a_change_that_is_undone_leaves_the_announced_price(sandbox):
    subscription, other = activate(sandbox), PlanFactory(price_minor=20_00)
    announce_price(subscription.plan, RAISE, at=NOW - days(9))
    for plan in (other, subscription.plan):
        change_plan(user_id=subscription.user_id, plan_id=plan.pk, cause=BY_USER, at=NOW)

    assert renew(subscription) == 60_00


def test_whoever_cancelled_and_returns_is_told_then(sandbox):
    subscription = activate(sandbox)
    cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=NOW)
    change = announce_price(subscription.plan, RAISE)
    assert written_to(subscription.user, "price_change_announced") == []

    change_plan(user_id=subscription.user_id, plan_id=subscription.plan_id, cause=BY_USER, at=NOW)
    tell(change, at=NOW + days(1))

    assert len(written_to(subscription.user, "price_change_announced")) == 1


def test_a_change_that_was_agreed_at_the_old_price_is_at_the_old_price(sandbox):
    subscription, other = activate(sandbox), PlanFactory(price_minor=20_00)
    change_plan(user_id=subscription.user_id, plan_id=other.pk, cause=BY_USER, at=NOW)
    announce_price(other, RAISE)

    assert (renew(subscription), subscription.plan) == (24_00, other)


def test_a_withdrawn_price_is_not_charged_and_the_subscriber_is_told(sandbox):
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE, at=NOW - days(9))

    withdraw_now(change)
    tell(change)

    assert renew(subscription) == 12_00
    (text,) = texts_to(subscription.user, "price_change_withdrawn")
    assert "you keep paying €12.00" in text


def test_whoever_left_because_of_a_price_is_told_that_it_is_withdrawn(sandbox):
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE)
    cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=NOW)

    withdraw_now(change)
    tell(change)

    assert len(written_to(subscription.user, "price_change_withdrawn")) == 1


def test_an_announcement_that_was_not_sent_is_dropped_by_a_withdrawal(sandbox):
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE, sent=False)

    withdraw_now(change)
    tell(change, sent=False)

    (email,) = written_to(subscription.user, "price_change_announced")
    assert isinstance(composed(email), Outdated)
    assert (written_to(subscription.user, "price_change_withdrawn"), change.due_at > NOW) == ([], True)


def test_a_reminder_of_a_withdrawn_price_is_followed_by_the_right_one(sandbox):
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE, at=NOW - days(9))
    at = subscription.period_end_at - days(2)
    run_sweep(subscription, at)

    withdraw_now(change, at)
    tell(change, at=at)
    subscription.refresh_from_db()
    run_sweep(subscription, subscription.due_at)

    assert "for €12.00" in texts_to(subscription.user, "renewal_announced")[-1]
    assert renew(subscription) == 12_00


def test_a_price_that_is_invoiced_already_is_not_withdrawn(sandbox):
    subscription = activate(sandbox, PlanFactory())
    change = announce_price(subscription.plan, RAISE, at=NOW - days(9))
    Subscription.objects.filter(pk=subscription.pk).update(hyperswitch_payment_method_id="")
    run_sweep(subscription, subscription.period_end_at)

    withdraw_now(change)
    tell(change)

    assert (last_invoice(subscription).total_minor, subscription.status) == (60_00, "past_due")
    assert written_to(subscription.user, "price_change_withdrawn") == []


def test_a_price_change_ends_when_it_applies_to_each_subscriber(sandbox):
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE, at=NOW - days(9))
    renew(subscription)

    tell(change)

    assert (change.status, change.due_at) == ("completed", None)
    with pytest.raises(PriceChangeOver):
        withdraw_now(change)


def test_a_price_is_announced_once(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE)

    with pytest.raises(PriceChangeAnnounced):
        announce(price_change_id=new_id(), plan_id=subscription.plan_id, cause=BY_STAFF, at=NOW)


@pytest.mark.parametrize("fields", [{"interval": "year"}, {"currency": "USD"}])
def test_only_a_price_that_can_be_compared_is_announced(fields):
    plan = PlanFactory()
    next_version(plan, RAISE, **fields)

    with pytest.raises(NoNewerPrice):
        announce(price_change_id=new_id(), plan_id=plan.pk, cause=BY_STAFF, at=NOW)


# --- A free plan that gets a price


def test_a_free_plan_that_gets_a_price_shuts_no_subscriber_out():
    subscription = subscribe(free_plan())
    end_at = subscription.period_end_at

    announce_price(subscription.plan, RAISE, at=end_at - days(29))

    assert gives_access(subscription, NOW)
    assert (run_sweep(subscription, end_at).status, subscription.plan.price_minor) == ("active", 0)


def test_a_subscriber_of_a_free_plan_is_reminded_of_its_first_price():
    subscription = subscribe(free_plan())
    announce_price(subscription.plan, RAISE, at=NOW - days(9))
    subscription.refresh_from_db()

    assert subscription.due_at == subscription.period_end_at - timedelta(days=3)
    run_sweep(subscription, subscription.due_at)
    (text,) = texts_to(subscription.user, "renewal_announced")
    assert ("for €60.00" in text, "we will ask you to pay" in text) == (True, True)


def test_a_free_plan_that_begins_to_cost_is_paid_on_a_page_in_its_grace(sandbox):
    subscription = subscribe(free_plan())
    announce_price(subscription.plan, RAISE, at=NOW - days(9))
    end_at = subscription.period_end_at

    run_sweep(subscription, end_at)
    assert (subscription.status, gives_access(subscription, end_at + days(6))) == ("past_due", True)
    complete(subscription, at=end_at + days(3))
    press_button(sandbox, "pay", subscription, at=end_at + days(3))

    assert (subscription.status, last_payment(subscription).amount_minor) == ("active", 60_00)
    assert subscription.period_start_at == end_at


# --- What the subscriber is shown


def test_the_overview_has_the_announced_price_and_its_day(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE)

    change = overview_of(subscription.user_id, at=NOW).price_change

    assert (change.plan.total_minor, change.from_at.date().isoformat()) == (60_00, "2026-03-31")


def test_the_overview_of_a_subscriber_who_leaves_has_no_announced_price(sandbox):
    subscription = activate(sandbox)
    announce_price(subscription.plan, RAISE)
    cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=NOW)

    assert overview_of(subscription.user_id, at=NOW).price_change is None


def test_the_api_shows_the_own_price_and_the_announced_one(sandbox, user, api):
    subscription = activate(sandbox, user=user, at=timezone.now())
    announce_price(subscription.plan, RAISE, at=timezone.now())

    body = api.get("/api/v1/me/subscription").json()

    assert (body["subscription"]["plan"]["version"], body["subscription"]["plan"]["total_minor"]) == (1, 12_00)
    change = body["price_change"]
    assert (change["price_minor"], change["total_minor"], change["currency"]) == (50_00, 60_00, "EUR")


def test_the_api_refuses_the_id_of_an_older_version(user, api):
    plan = PlanFactory()
    next_version(plan, RAISE)

    answer = api.post("/api/v1/subscriptions/subscribe", {"plan_id": str(plan.pk)}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "plan_replaced")
