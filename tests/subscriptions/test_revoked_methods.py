"""A payer revokes their saved method: it is not charged again, and the next renewal asks them to pay."""

import pytest
from django.utils import timezone

from payments.collection.payment_requests import send_payment
from payments.collection.saved_methods import may_charge
from payments.models import Payment, RevokedMandate
from subscriptions.models import Subscription
from subscriptions.renewals import open_renewal
from tests.buying import deliver, deliver_payment, envelope
from tests.emails import texts_to, written_to
from tests.subscriptions.subscribing import (
    NOW,
    PlanFactory,
    activate,
    complete,
    days,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    subscribe,
)
from veza.core.causes import by_sweep
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def mandate(method: str, status: str = "revoked", **fields) -> dict:
    return {"mandate_id": "man_1", "status": status, "payment_method_id": method, "payment_method": "card", **fields}


def revoke(subscription: Subscription, *, event_id: str = "", **fields) -> str:
    method = last_payment(subscription).payment_method_id
    answer = deliver(envelope("mandate_revoked", mandate(method, **fields), event_id=event_id))
    assert answer.status_code == 200
    subscription.refresh_from_db()
    return answer.json()["result"]


def test_a_revoked_method_is_not_charged_and_the_renewal_asks_the_payer(sandbox):
    subscription = activate(sandbox)
    method = subscription.hyperswitch_payment_method_id
    sandbox.control(f"mandates/{method}", status="revoked")
    [event] = [one for one in sandbox.webhooks() if one["event_type"] == "mandate_revoked"]

    assert deliver(event["body"].encode()).json() == {"result": "ok"}
    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.hyperswitch_payment_method_id, subscription.status) == ("", "past_due")
    assert [payment.off_session for payment in payments_of(subscription)] == [False]


def test_a_payer_who_revoked_pays_on_the_page_and_saves_a_method_again(sandbox):
    subscription = activate(sandbox)
    revoke(subscription)
    run_sweep(subscription, subscription.period_end_at)

    complete(subscription, at=subscription.period_end_at)
    press_button(sandbox, "pay", subscription, at=subscription.period_end_at + days(1))

    assert subscription.status == "active"
    assert subscription.hyperswitch_payment_method_id == last_payment(subscription).payment_method_id != ""


def test_a_revocation_is_heard_once(sandbox):
    subscription = activate(sandbox)

    results = [revoke(subscription, event_id=event_id) for event_id in ("evt_1", "evt_1", "evt_2")]

    assert results == ["ok", "skipped: duplicate", "skipped: stale"]
    assert RevokedMandate.objects.count() == 1


def test_a_revocation_before_the_payments_webhook_counts(sandbox):
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)
    assert deliver(envelope("mandate_revoked", mandate("pm_1"))).json() == {"result": "ok"}

    deliver_payment(last_payment(subscription), payment_method_id="pm_1")

    subscription.refresh_from_db()
    assert (subscription.status, subscription.hyperswitch_payment_method_id) == ("active", "")


def test_a_revocation_that_is_replayed_late_spares_a_method_saved_since(sandbox):
    subscription = activate(sandbox)
    method = subscription.hyperswitch_payment_method_id
    revoke(subscription)
    Subscription.objects.update(hyperswitch_payment_method_id=method)

    assert revoke(subscription) == "skipped: stale"

    assert subscription.hyperswitch_payment_method_id == method


def test_a_past_due_subscription_is_not_charged_again(sandbox):
    subscription = activate(sandbox)
    sandbox.control(f"customers/cus_{subscription.user_id.hex}", off_session_outcome="failed")
    run_sweep(subscription, subscription.period_end_at)
    charges = len(payments_of(subscription))
    assert subscription.status == "past_due"

    revoke(subscription)
    for day in range(1, 20):
        run_sweep(subscription, subscription.period_end_at + days(day))

    assert len(payments_of(subscription)) == charges
    assert subscription.status == "expired"


def test_a_subscriber_who_was_told_of_a_charge_is_reminded_to_pay(sandbox):
    subscription = activate(sandbox)
    run_sweep(subscription, subscription.period_end_at - days(1))
    assert "It will be charged" in texts_to(subscription.user, "renewal_announced")[-1]

    revoke(subscription)
    run_sweep(subscription, subscription.period_end_at - days(1))

    (text,) = texts_to(
        subscription.user, "renewal_announced"
    )  # The first one is outdated: if it was not sent yet, it is dropped.
    assert "we will ask you to pay" in text
    assert len(written_to(subscription.user, "renewal_announced")) == 2


@pytest.mark.parametrize("status", ["active", "pending"])
def test_a_mandate_in_force_changes_nothing(sandbox, status):
    subscription = activate(sandbox)
    method = subscription.hyperswitch_payment_method_id

    answer = deliver(envelope("mandate_active", mandate(method, status)))

    subscription.refresh_from_db()
    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: ignored"})
    assert subscription.hyperswitch_payment_method_id == method
    assert not ReviewItem.objects.exists()


def test_the_status_of_a_mandate_wins_over_the_events_name(sandbox):
    subscription = activate(sandbox)

    deliver(envelope("mandate_active", mandate(subscription.hyperswitch_payment_method_id, "inactive")))

    subscription.refresh_from_db()
    assert subscription.hyperswitch_payment_method_id == ""


@pytest.mark.parametrize("fields", [{"status": "frozen"}, {"payment_method_id": None}, {"mandate_id": 7}], ids=str)
def test_a_mandate_that_cannot_be_read_is_a_review_item(sandbox, fields):
    answer = deliver(envelope("mandate_revoked", {**mandate("pm_1"), **fields}))

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: ignored"})
    assert ReviewItem.objects.get().kind == "unreadable_event"
    assert not RevokedMandate.objects.exists()


def test_another_subscribers_method_stays(sandbox):
    revoked, other = activate(sandbox), activate(sandbox)

    revoke(revoked)

    other.refresh_from_db()
    assert other.hyperswitch_payment_method_id != ""
    assert run_sweep(other, NOW + days(40)).status == "active"


def opened_charge(subscription: Subscription) -> Payment:
    """A renewal's charge that is committed and not sent; its payer revokes the method then."""
    charge = open_renewal(subscription.pk, cause=by_sweep("a test"), at=subscription.period_end_at)
    assert charge is not None
    assert charge.off_session
    answer = deliver(envelope("mandate_revoked", mandate(charge.payment_method_id)))
    assert answer.json() == {"result": "ok"}
    return charge


def charges(sandbox) -> int:
    return sum((call["method"], call["path"]) == ("POST", "/payments") for call in sandbox.calls())


def test_a_charge_that_was_opened_before_the_revocation_is_not_sent(sandbox):
    subscription = activate(sandbox)
    charge, before = opened_charge(subscription), charges(sandbox)

    send_payment(charge.pk, cause=by_sweep("a test"))

    charge.refresh_from_db()
    subscription.refresh_from_db()
    assert (charge.status, charge.error_code, charges(sandbox)) == ("failed", "mandate_revoked", before)
    assert (subscription.status, subscription.hyperswitch_payment_method_id) == ("past_due", "")


def test_a_charge_that_was_made_before_the_revocation_is_found(sandbox):
    subscription = activate(sandbox)
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    run_sweep(subscription, subscription.period_end_at)
    charge, before = last_payment(subscription), charges(sandbox)
    assert (charge.off_session, charge.hyperswitch_payment_id) == (True, None)
    deliver(envelope("mandate_revoked", mandate(charge.payment_method_id)))

    send_payment(charge.pk, cause=by_sweep("a test"))

    charge.refresh_from_db()
    assert (charge.status, charge.hyperswitch_payment_id, charges(sandbox)) == (
        "pending",
        charge.provider_key,
        before,
    )


def test_a_method_that_was_saved_again_is_charged(sandbox):
    subscription = activate(sandbox)
    charge = opened_charge(subscription)
    Payment.objects.filter(pk=charge.pk).update(status="cancelled")
    saved = Payment.objects.exclude(pk=charge.pk)
    saved.update(created_at=timezone.now())

    assert may_charge(charge)
