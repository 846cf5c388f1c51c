"""Prices that are announced, withdrawn or made while something else is under way: the first commit decides.

Every test fails without the lock or the constraint that it is about.
"""

import pytest

from subscriptions.changes import cancel
from subscriptions.models import Plan, PriceChange
from subscriptions.plans import PlanChanged, add_version, retire, terms_of
from subscriptions.price_changes import (
    PriceChangeAnnounced,
    PriceChangeOver,
    announce,
    tell_subscribers,
    withdraw,
)
from subscriptions.renewals import open_renewal
from tests.crowd import before_commit
from tests.emails import written_to
from tests.subscriptions.repricing import BY_STAFF, announce_price, next_version, tell
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    days,
    last_invoice,
    run_sweep,
)
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)
RAISE = 50_00


def announce_to(plan: Plan) -> PriceChange:
    return announce(price_change_id=new_id(), plan_id=plan.pk, cause=BY_STAFF, at=NOW)


def withdraw_now(change: PriceChange) -> PriceChange:
    return withdraw(price_change_id=change.pk, cause=BY_STAFF, at=NOW)


def add_dearer_version(plan: Plan) -> Plan:
    terms = terms_of(PlanFactory.build(price_minor=RAISE))
    return add_version(version_id=new_id(), plan_id=plan.pk, terms=terms, cause=BY_STAFF)


def retire_now(plan: Plan) -> Plan:
    return retire(plan_id=plan.pk, cause=BY_STAFF)


def test_of_two_who_announce_a_price_one_does():
    plan = PlanFactory()
    next_version(plan, RAISE)

    _, rival = before_commit(lambda: announce_to(plan), lambda: announce_to(plan))

    assert isinstance(rival.result(), PriceChangeAnnounced)
    assert PriceChange.objects.count() == 1


def test_of_two_who_make_a_version_one_does():
    plan = PlanFactory()

    _, rival = before_commit(lambda: add_dearer_version(plan), lambda: add_dearer_version(plan))

    assert isinstance(rival.result(), PlanChanged)
    assert Plan.objects.filter(active=True).count() == 1


def test_a_plan_is_retired_by_one_of_two():
    plan = PlanFactory()

    _, rival = before_commit(lambda: retire_now(plan), lambda: retire_now(plan))

    assert isinstance(rival.result(), PlanChanged)


def test_of_two_who_withdraw_a_price_one_does():
    plan = PlanFactory()
    next_version(plan, RAISE)
    change = announce_to(plan)

    _, rival = before_commit(lambda: withdraw_now(change), lambda: withdraw_now(change))

    assert isinstance(rival.result(), PriceChangeOver)


def test_a_renewal_that_is_claimed_first_keeps_its_price(sandbox):
    """The announcement waits for the renewal's commit, and is about the period after it."""
    subscription = activate(sandbox)
    end_at = subscription.period_end_at
    next_version(subscription.plan, RAISE)
    change = announce_to(subscription.plan)

    before_commit(
        lambda: open_renewal(subscription.pk, cause=SWEEP, at=end_at),
        lambda: tell_subscribers(change.pk, cause=BY_STAFF, at=end_at),
    )

    assert last_invoice(subscription).total_minor == 12_00
    assert len(written_to(subscription.user, "price_change_announced")) == 1


def test_a_subscriber_who_leaves_while_others_are_told_is_not_told(sandbox):
    subscription = activate(sandbox)
    next_version(subscription.plan, RAISE)
    change = announce_to(subscription.plan)

    before_commit(
        lambda: cancel(user_id=subscription.user_id, now=True, cause=BY_USER, at=NOW),
        lambda: tell_subscribers(change.pk, cause=BY_STAFF, at=NOW),
    )

    assert written_to(subscription.user, "price_change_announced") == []


def test_a_withdrawal_waits_until_the_subscribers_are_told(sandbox):
    """Otherwise an announcement would be written after the withdrawal had been told."""
    subscription = activate(sandbox)
    next_version(subscription.plan, RAISE)
    change = announce_to(subscription.plan)

    _, rival = before_commit(lambda: tell_subscribers(change.pk, cause=BY_STAFF, at=NOW), lambda: withdraw_now(change))

    assert (rival.waited, rival.result().status) == (True, "withdrawn")


def test_a_renewal_that_is_committed_before_a_withdrawal_keeps_its_price(sandbox):
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE, at=NOW - days(9))
    end_at = subscription.period_end_at

    before_commit(
        lambda: open_renewal(subscription.pk, cause=SWEEP, at=end_at),
        lambda: (withdraw_now(change), tell_subscribers(change.pk, cause=BY_STAFF, at=end_at)),
    )

    assert last_invoice(subscription).total_minor == 60_00
    assert written_to(subscription.user, "price_change_withdrawn") == []


def test_a_renewal_during_a_withdrawal_is_at_the_new_price(sandbox):
    """The withdrawal is not committed yet, so that the renewal was first; who was charged is not told otherwise."""
    subscription = activate(sandbox)
    change = announce_price(subscription.plan, RAISE, at=NOW - days(9))

    before_commit(lambda: withdraw_now(change), lambda: run_sweep(subscription, subscription.period_end_at))
    tell(change)

    assert last_invoice(subscription).total_minor == 60_00
    assert written_to(subscription.user, "price_change_withdrawn") == []
