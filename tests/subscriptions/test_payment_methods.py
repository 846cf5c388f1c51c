"""The saved card: another one, a warning before it expires, and its removal."""

import pytest
from django.utils import timezone

from payments.collection.method_deletions import delete_method
from payments.models import MethodDeletion, Payment
from payments.tasks import resend
from subscriptions.changes import change_plan
from subscriptions.models import Subscription
from tests.emails import texts_to, written_to
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    PlanFactory,
    activate,
    client_of,
    complete,
    days,
    free_plan,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    set_charge_outcome,
    subscribe,
)

pytestmark = pytest.mark.django_db
PATH = "/api/v1/subscriptions/payment-method"


def test_a_replaced_card_is_not_charged_and_the_next_page_saves_another(sandbox, settings):
    settings.HYPERSWITCH_METHOD_SETUPS = False
    subscription = activate(sandbox)
    old, end_at = subscription.hyperswitch_payment_method_id, subscription.period_end_at

    answer = client_of(subscription.user).post(PATH)
    run_sweep(subscription, end_at)
    complete(subscription, at=end_at)
    press_button(sandbox, "pay", subscription, at=end_at + days(1))

    assert (answer.status_code, answer.json()["payment_url"]) == (200, None)
    assert [payment.off_session for payment in payments_of(subscription)] == [False, False]
    assert subscription.hyperswitch_payment_method_id not in ("", old)


def test_a_past_due_subscriber_gets_the_page_at_once(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)

    answer = client_of(subscription.user).post(PATH)

    assert (answer.status_code, bool(answer.json()["payment_url"])) == (200, True)


def test_a_charge_of_the_old_card_is_not_sent(sandbox):
    subscription = activate(sandbox)
    sandbox.fault("drop", "^/payments", method="POST", when="before")
    run_sweep(subscription, subscription.period_end_at)
    Subscription.objects.update(hyperswitch_payment_method_id="pm_new")

    run_sweep(subscription, subscription.period_end_at + days(0.1))
    from_before = last_payment(subscription)

    assert from_before.status in ("created", "cancelled")
    assert len(sandbox.truth()["movements"]) == 1


def test_a_free_plan_needs_no_card(sandbox):
    subscription = subscribe(free_plan())

    assert client_of(subscription.user).post(PATH).json()["code"] == "nothing_to_pay"


def test_removing_the_only_card_asks_to_cancel_first(sandbox):
    subscription = activate(sandbox, at=timezone.now())
    client = client_of(subscription.user)
    refused = client.delete(PATH)
    client.post("/api/v1/subscriptions/cancel")

    removed = client.delete(PATH)

    subscription.refresh_from_db()
    assert (refused.status_code, refused.json()["code"], removed.status_code) == (409, "only_payment_method", 200)
    assert (subscription.hyperswitch_payment_method_id, subscription.method_expires_on) == ("", None)


def test_the_overview_says_whether_the_card_will_be_charged(sandbox, settings):
    settings.HYPERSWITCH_METHOD_SETUPS = False
    subscription = activate(sandbox)
    client = client_of(subscription.user)
    before = client.get("/api/v1/me/subscription").json()

    client.post(PATH)

    after = client.get("/api/v1/me/subscription").json()
    assert (before["will_be_charged"], before["method_expires_on"]) == (True, "2034-12-31")
    assert (after["will_be_charged"], after["method_expires_on"]) == (False, None)


def expiring(sandbox, expires: str, interval: str = "year") -> Subscription:
    subscription = subscribe(PlanFactory(interval=interval))
    sandbox.control(f"customers/cus_{subscription.user_id.hex}", card_expires=expires)
    press_button(sandbox, "pay", subscription)
    return subscription


def test_a_card_that_expires_is_warned_about_once(sandbox):
    subscription = expiring(sandbox, "06/2026")
    warned_at = subscription.due_at
    assert f"{warned_at:%Y-%m-%d}" == "2026-05-31"

    for day in range(3):
        run_sweep(subscription, warned_at + days(day))

    (text,) = texts_to(subscription.user, "card_expires")
    assert "expires on 30 June 2026" in text
    assert subscription.due_at == subscription.period_end_at - days(3)


def test_a_card_that_outlives_the_period_is_not_warned_about(sandbox):
    subscription = expiring(sandbox, "12/34", "month")

    run_sweep(subscription, subscription.period_end_at - days(2))

    assert written_to(subscription.user, "card_expires") == []


def test_completing_again_after_its_payment_died_gives_a_page(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    client, path = client_of(subscription.user), f"/api/v1/subscriptions/complete/{subscription.pk}"
    sandbox.fault("status", "^/payments$", method="POST", status=500, times=9)
    first = client.post(path, headers={"Idempotency-Key": "one"})
    sandbox.clear_faults()
    Payment.objects.filter(pk=last_payment(subscription).pk).update(status="cancelled", next_attempt_at=None)

    second = client.post(path, headers={"Idempotency-Key": "one"})

    assert (first.status_code, second.status_code) == (202, 200), second.json()
    assert second.json()["payment_url"]


def test_subscribing_again_after_its_payment_died_gives_a_page(sandbox, user, api):
    body = {"plan_id": str(PlanFactory().pk)}
    sandbox.fault("status", "^/payments$", method="POST", status=500, times=9)
    first = api.post("/api/v1/subscriptions/subscribe", body, format="json", headers={"Idempotency-Key": "one"})
    sandbox.clear_faults()
    subscription = Subscription.objects.get(user=user)
    Payment.objects.filter(correlation_id=subscription.pk).update(status="failed", next_attempt_at=None)

    second = api.post("/api/v1/subscriptions/subscribe", body, format="json", headers={"Idempotency-Key": "one"})

    assert (first.status_code, second.status_code) == (202, 201), second.json()
    assert second.json()["payment_url"]


def test_cancelling_again_under_a_key_whose_request_died_returns_it(sandbox):
    subscription = activate(sandbox)
    client = client_of(subscription.user)
    client.post("/api/v1/subscriptions/cancel", {"now": True}, format="json")

    again = client.post(
        "/api/v1/subscriptions/cancel", {"now": True}, format="json", headers={"Idempotency-Key": "one"}
    )

    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


# --- Deleting it at Hyperswitch


def removed(sandbox) -> Subscription:
    """A subscription that is cancelled, and its saved card removed."""
    subscription = activate(sandbox, at=timezone.now())
    client_of(subscription.user).post("/api/v1/subscriptions/cancel")
    client_of(subscription.user).delete(PATH)
    return subscription


def methods_there(sandbox, subscription: Subscription) -> list[str]:
    return sandbox.control(f"customers/cus_{subscription.user_id.hex}")["payment_methods"]


def test_a_removed_card_is_deleted_at_the_provider(sandbox):
    subscription = removed(sandbox)

    resend()

    assert methods_there(sandbox, subscription) == []
    assert MethodDeletion.objects.get().deleted_at is not None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_deletion_without_an_answer_is_repeated(sandbox, when):
    subscription = removed(sandbox)
    sandbox.fault("drop", "^/payment_methods", method="DELETE", when=when)
    resend()
    deletion = MethodDeletion.objects.get()
    assert (deletion.deleted_at, deletion.attempts) == (None, 1)

    assert delete_method(deletion.pk) == "deleted"

    assert methods_there(sandbox, subscription) == []


def test_a_replaced_card_is_deleted_too(sandbox, settings):
    settings.HYPERSWITCH_METHOD_SETUPS = False
    subscription = activate(sandbox)
    client_of(subscription.user).post(PATH)

    resend()

    assert methods_there(sandbox, subscription) == []


def test_a_card_that_its_payer_saves_again_is_kept(sandbox, settings):
    settings.HYPERSWITCH_METHOD_SETUPS = False
    subscription = activate(sandbox)
    card = subscription.hyperswitch_payment_method_id
    client_of(subscription.user).post(PATH)
    run_sweep(subscription, subscription.period_end_at)
    complete(subscription, at=subscription.period_end_at)
    press_button(sandbox, "pay", subscription, at=timezone.now())
    Payment.objects.filter(pk=last_payment(subscription).pk).update(payment_method_id=card)

    assert delete_method(MethodDeletion.objects.get().pk) == "saved again"

    assert card in methods_there(sandbox, subscription)


def test_a_removal_that_is_requested_twice_is_one_deletion(sandbox):
    subscription = removed(sandbox)
    client_of(subscription.user).delete(PATH)

    assert MethodDeletion.objects.count() == 1


# --- The warning, whatever else changes


def test_a_card_that_expires_very_soon_is_warned_about_at_once(sandbox):
    subscription = expiring(sandbox, "02/2026")

    run_sweep(subscription, subscription.due_at)

    assert len(texts_to(subscription.user, "card_expires")) == 1
    assert subscription.due_at == subscription.period_end_at - days(3)


def test_a_change_of_plan_keeps_the_warning(sandbox):
    subscription = expiring(sandbox, "06/2026")
    warned_at = subscription.due_at

    change_plan(user_id=subscription.user_id, plan_id=PlanFactory().pk, cause=BY_USER, at=NOW)

    subscription.refresh_from_db()
    assert subscription.due_at == warned_at
