"""What a payment buys that comes late, and how long a bank may work on one."""

from datetime import UTC, datetime

import pytest

from subscriptions.access import effective_payment
from subscriptions.models import Subscription
from tests.subscriptions.subscribing import (
    PlanFactory,
    activate,
    complete,
    days,
    deliver_update,
    gives_access,
    last_payment,
    press_button,
    run_sweep,
    set_charge_outcome,
)

pytestmark = pytest.mark.django_db


def unpaid(sandbox, interval: str = "month") -> Subscription:
    """A subscription whose renewal was declined."""
    subscription = activate(sandbox, PlanFactory(interval=interval))
    set_charge_outcome(sandbox, "failed", subscription)
    return run_sweep(subscription, subscription.period_end_at)


def pay(sandbox, subscription: Subscription, at: datetime) -> None:
    complete(subscription, at=at)
    press_button(sandbox, "pay", subscription, at=at)


def test_within_the_grace_period_the_dates_stay(sandbox):
    subscription = unpaid(sandbox, "year")
    end_at = subscription.period_end_at

    pay(sandbox, subscription, end_at + days(6))

    assert (subscription.period_start_at, subscription.period_end_at) == (end_at, end_at.replace(year=2028))


def test_a_year_that_is_paid_343_days_late_is_a_whole_year(sandbox):
    subscription = unpaid(sandbox, "year")
    end_at = subscription.period_end_at
    for day in range(1, 8):
        run_sweep(subscription, end_at + days(day))
    paid_at = end_at + days(343)

    pay(sandbox, subscription, paid_at)

    assert subscription.period_start_at == paid_at
    assert subscription.period_end_at == paid_at.replace(year=paid_at.year + 1)


def test_a_month_that_is_paid_late_on_the_31st_ends_on_the_last_day(sandbox):
    subscription = unpaid(sandbox)
    for day in range(1, 8):
        run_sweep(subscription, subscription.period_end_at + days(day))

    pay(sandbox, subscription, datetime(2026, 3, 31, 9, tzinfo=UTC))

    assert subscription.period_end_at == datetime(2026, 4, 30, 9, tzinfo=UTC)
    assert subscription.anchor_day == 31


def debited(sandbox) -> Subscription:
    """A subscription whose renewal is a direct debit that the bank works on."""
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "processing", subscription)
    return run_sweep(subscription, subscription.period_end_at)


def test_a_bank_that_works_on_a_debit_keeps_access_beyond_the_grace_period(sandbox):
    subscription = debited(sandbox)
    end_at = subscription.period_end_at

    assert gives_access(subscription, end_at + days(9.9))
    assert not gives_access(subscription, end_at + days(10))


def test_a_debit_that_the_bank_declines_ends_that(sandbox):
    subscription = debited(sandbox)
    end_at = subscription.period_end_at
    sandbox.control(f"payments/{last_payment(subscription).provider_key}", status="failed")

    deliver_update(last_payment(subscription), at=end_at + days(8))

    assert not gives_access(subscription, end_at + days(8))


def test_a_debit_without_an_answer_expires_after_its_own_limit(sandbox):
    subscription = debited(sandbox)
    end_at = subscription.period_end_at
    statuses = [run_sweep(subscription, end_at + days(day)).status for day in (8, 9.5, 10)]

    assert statuses == ["active", "active", "expired"]


def test_a_debit_that_is_paid_within_the_limit_keeps_the_dates(sandbox):
    subscription = debited(sandbox)
    end_at = subscription.period_end_at
    sandbox.control(f"payments/{last_payment(subscription).provider_key}", status="succeeded")

    deliver_update(last_payment(subscription), at=end_at + days(9))

    subscription.refresh_from_db()
    assert (subscription.status, subscription.period_start_at) == ("active", end_at)
    assert effective_payment(subscription, at=end_at + days(20)) is not None


def test_a_debit_that_is_paid_after_the_limit_buys_a_whole_month(sandbox):
    subscription = debited(sandbox)
    paid_at = subscription.period_end_at + days(12)
    run_sweep(subscription, subscription.period_end_at + days(10))
    sandbox.control(f"payments/{last_payment(subscription).provider_key}", status="succeeded")

    deliver_update(last_payment(subscription), at=paid_at)

    subscription.refresh_from_db()
    assert (subscription.status, subscription.period_start_at) == ("active", paid_at)
