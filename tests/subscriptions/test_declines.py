"""Dunning: hard declines ask for another card at once, soft ones follow the schedule, and each try is told."""

from datetime import date

import pytest

from subscriptions.declines import DECLINES, Decline, decline_of
from subscriptions.models import Subscription
from tests.emails import texts_to, written_to
from tests.subscriptions.subscribing import (
    activate,
    days,
    last_payment,
    payments_of,
    run_sweep,
    set_charge_outcome,
)

pytestmark = pytest.mark.django_db


def declined(sandbox, code: str, **details: str) -> Subscription:
    """A subscription whose renewal was declined with this code."""
    subscription = activate(sandbox)
    customer = f"customers/cus_{subscription.user_id.hex}"
    sandbox.control(customer, off_session_outcome="failed", error_code=code, error_details=details)
    return run_sweep(subscription, subscription.period_end_at)


def days_of_grace(subscription: Subscription) -> None:
    for day in range(1, 8):
        run_sweep(subscription, subscription.period_end_at + days(day))


@pytest.mark.parametrize("code", ["stolen_card", "lost_card", "revocation_of_authorization", "do_not_try_again"])
def test_a_hard_decline_is_not_retried(sandbox, code):
    subscription = declined(sandbox, code)

    days_of_grace(subscription)

    assert (len(payments_of(subscription)), subscription.status) == (2, "expired")


def test_a_hard_decline_asks_for_another_card_at_once(sandbox):
    subscription = declined(sandbox, "stolen_card")

    (text,) = texts_to(subscription.user, "renewal_failed")

    assert "cannot be charged any more: please pay now with another one" in text
    assert subscription.hyperswitch_payment_method_id == ""


@pytest.mark.parametrize(
    "details",
    [
        {"issuer_code": "43"},
        {"advice_code": "03"},
        {"standardised_code": "account_closed_or_invalid"},
        {"recommended_action": "stop_recurring"},
    ],
    ids=str,
)
def test_what_the_bank_and_the_network_say_counts(sandbox, details):
    subscription = declined(sandbox, "card_declined", **details)

    assert decline_of(last_payment(subscription)) == Decline.HARD


@pytest.mark.parametrize("code", ["insufficient_funds", "card_declined", "a code of next year"])
def test_a_soft_or_unknown_decline_follows_the_schedule(sandbox, code):
    subscription = declined(sandbox, code)

    days_of_grace(subscription)

    assert len(payments_of(subscription)) == 1 + 4


def test_each_try_is_told_with_the_day_of_the_next(sandbox):
    subscription = declined(sandbox, "insufficient_funds")
    texts = [texts_to(subscription.user, "renewal_failed")[-1]]
    for day in (1, 3, 5):
        run_sweep(subscription, subscription.period_end_at + days(day))
        texts.append(texts_to(subscription.user, "renewal_failed")[-1])

    assert len(written_to(subscription.user, "renewal_failed")) == 4
    assert ["again on" in text for text in texts] == [True, True, True, False]
    assert "We will not try your saved payment method again" in texts[-1]


def test_a_soft_decline_and_then_a_hard_one_stops(sandbox):
    subscription = declined(sandbox, "insufficient_funds")
    sandbox.control(f"customers/cus_{subscription.user_id.hex}", error_code="lost_card")

    days_of_grace(subscription)

    assert len(payments_of(subscription)) == 3


def test_a_method_that_hyperswitch_does_not_know_is_not_tried_again(sandbox):
    subscription = activate(sandbox)
    sandbox.control(f"customers/cus_{subscription.user_id.hex}", payment_methods=[])

    run_sweep(subscription, subscription.period_end_at)
    days_of_grace(subscription)

    assert (len(payments_of(subscription)), subscription.status) == (2, "expired")


def test_the_table_names_each_code_once():
    assert {Decline.HARD, Decline.NEEDS_PAYER} == set(DECLINES.values())
    assert all(code == code.strip() for code in DECLINES)


def test_the_expiry_of_the_saved_card_is_kept(sandbox):
    subscription = activate(sandbox)

    assert subscription.method_expires_on == date(2034, 12, 31)


def test_a_charge_does_not_change_the_expiry(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "succeeded", subscription)

    run_sweep(subscription, subscription.period_end_at)

    assert subscription.method_expires_on == date(2034, 12, 31)
