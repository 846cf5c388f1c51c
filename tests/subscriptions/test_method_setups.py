"""Another card without a payment: a page of zero, which replaces the saved card once it is used."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments.collection.method_setups import finish_setup
from payments.models import MethodDeletion, MethodSetup, Posting, RevokedMandate
from payments.tasks import resend
from subscriptions.changes import cancel
from subscriptions.models import Subscription
from tests.buying import deliver, envelope
from tests.subscriptions.subscribing import (
    BY_USER,
    SWEEP,
    PlanFactory,
    activate,
    client_of,
    days,
    last_payment,
    payments_of,
    run_sweep,
    set_charge_outcome,
    subscribe,
)

pytestmark = pytest.mark.django_db
PATH = "/api/v1/subscriptions/payment-method"


def replacing(sandbox) -> tuple[Subscription, MethodSetup, dict]:
    """A subscription whose subscriber has the page of a set-up."""
    subscription = activate(sandbox, at=timezone.now())
    answer = client_of(subscription.user).post(PATH)
    assert answer.status_code == 200, answer.json()
    return subscription, MethodSetup.objects.get(), answer.json()


def deliver_setups(sandbox) -> list[str]:
    """Every webhook about a set-up, as Hyperswitch sends it."""
    events = [one for one in sandbox.webhooks() if one["body"].count('"payment_id":"set_')]
    return [deliver(one["body"].encode()).json()["result"] for one in events]


def test_the_new_card_replaces_the_old_one_and_nothing_is_charged(sandbox):
    subscription, setup, answer = replacing(sandbox)
    old, postings = subscription.hyperswitch_payment_method_id, Posting.objects.count()
    assert answer["payment_url"].startswith(sandbox.url)

    sandbox.pay(setup.provider_key)
    results = deliver_setups(sandbox)

    subscription.refresh_from_db()
    assert (results[-1], subscription.hyperswitch_payment_method_id in ("", old)) == ("ok", False)
    assert (Posting.objects.count(), len(sandbox.truth()["movements"])) == (postings, 1)
    assert MethodDeletion.objects.get().payment_method_id == old


def test_the_next_renewal_charges_the_new_card(sandbox):
    subscription, setup, _ = replacing(sandbox)
    sandbox.pay(setup.provider_key)
    deliver_setups(sandbox)

    run_sweep(subscription, subscription.period_end_at)

    setup.refresh_from_db()
    charge = last_payment(subscription)
    assert (charge.payment_method_id, charge.status) == (setup.payment_method_id, "succeeded")


def test_until_the_page_is_used_the_old_card_is_charged(sandbox):
    subscription, _, _ = replacing(sandbox)

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, len(payments_of(subscription))) == ("active", 2)


def test_the_webhook_twice_over_changes_nothing_more(sandbox):
    subscription, setup, _ = replacing(sandbox)
    sandbox.pay(setup.provider_key)
    deliver_setups(sandbox)
    subscription.refresh_from_db()
    saved = subscription.hyperswitch_payment_method_id

    again = {"payment_id": setup.provider_key, "status": "succeeded", "amount": 0, "currency": "EUR"}
    result = deliver(envelope("payment_succeeded", again | {"payment_method_id": "pm_other"})).json()["result"]

    subscription.refresh_from_db()
    assert (result, subscription.hyperswitch_payment_method_id) == ("skipped: stale", saved)


def test_a_declined_card_leaves_the_old_one(sandbox):
    subscription, setup, _ = replacing(sandbox)
    sandbox.pay(setup.provider_key, "decline")
    deliver_setups(sandbox)

    old = subscription.hyperswitch_payment_method_id
    subscription.refresh_from_db()
    assert subscription.hyperswitch_payment_method_id == old


def test_a_second_click_gets_the_same_page(sandbox):
    subscription, _, first = replacing(sandbox)

    second = client_of(subscription.user).post(PATH).json()

    assert second["payment_url"] == first["payment_url"]
    assert MethodSetup.objects.count() == 1


def test_without_an_answer_the_page_comes_with_the_next_request(sandbox):
    subscription = activate(sandbox, at=timezone.now())
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    client = client_of(subscription.user)

    first, second = client.post(PATH), client.post(PATH)

    assert (first.status_code, first.json()["payment_url"]) == (202, None)
    assert (second.status_code, bool(second.json()["payment_url"])) == (200, True)


def test_a_repeated_request_whose_page_is_over_gets_another(sandbox):
    subscription = activate(sandbox, at=timezone.now())
    sandbox.fault("status", "^/payments$", method="POST", status=500, times=9)
    client, key = client_of(subscription.user), {"Idempotency-Key": "one"}
    first = client.post(PATH, headers=key)
    sandbox.clear_faults()
    MethodSetup.objects.update(finished_at=timezone.now())

    second = client.post(PATH, headers=key)

    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["payment_url"]


def test_a_refused_set_up_leaves_the_card_to_the_next_invoice(sandbox):
    subscription = activate(sandbox, at=timezone.now())
    sandbox.fault("status", "^/payments$", method="POST", status=400)

    answer = client_of(subscription.user).post(PATH)

    subscription.refresh_from_db()
    assert (answer.status_code, answer.json()["payment_url"]) == (200, None)
    assert (subscription.hyperswitch_payment_method_id, MethodSetup.objects.get().finished_at is None) == ("", False)


def test_the_worker_closes_a_page_that_was_left(sandbox):
    _, setup, _ = replacing(sandbox)
    MethodSetup.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))

    resend()

    setup.refresh_from_db()
    assert (setup.finished_at is None, setup.next_attempt_at, setup.payment_method_id) == (False, None, "")
    assert sandbox.pay(setup.provider_key).status_code == 409


def test_the_worker_hears_of_a_card_whose_webhook_was_lost(sandbox):
    subscription, setup, _ = replacing(sandbox)
    sandbox.pay(setup.provider_key)

    finish_setup(setup.pk, cause=SWEEP)

    setup.refresh_from_db()
    subscription.refresh_from_db()
    assert setup.payment_method_id == subscription.hyperswitch_payment_method_id != ""


def test_a_card_saved_for_an_ended_subscription_is_deleted(sandbox):
    subscription, setup, _ = replacing(sandbox)
    cancel(user_id=subscription.user_id, now=True, cause=BY_USER, at=timezone.now())

    sandbox.pay(setup.provider_key)
    deliver_setups(sandbox)

    setup.refresh_from_db()
    assert MethodDeletion.objects.get().payment_method_id == setup.payment_method_id


def test_a_past_due_subscriber_gets_the_page_of_the_invoice(sandbox):
    subscription = activate(sandbox, at=timezone.now() - days(40))
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)

    client_of(subscription.user).post(PATH)

    assert not MethodSetup.objects.exists()


def test_a_trial_saves_its_first_card_and_is_charged_at_its_end(sandbox):
    subscription = subscribe(PlanFactory(trial_days=14), at=timezone.now())
    client_of(subscription.user).post(PATH)
    sandbox.pay(MethodSetup.objects.get().provider_key)
    deliver_setups(sandbox)

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, last_payment(subscription).off_session) == ("active", True)


def test_a_card_whose_mandate_ended_is_charged_again_once_it_was_set_up(sandbox):
    subscription, setup, _ = replacing(sandbox)
    card = subscription.hyperswitch_payment_method_id
    RevokedMandate.objects.create(mandate_id="man_1", payment_method_id=card, revoked_at=setup.requested_at - days(1))
    MethodSetup.objects.update(payment_method_id=card, finished_at=timezone.now())

    run_sweep(subscription, subscription.period_end_at)

    assert (last_payment(subscription).off_session, last_payment(subscription).status) == (True, "succeeded")
