"""What a subscriber agreed to is what they are charged, whatever becomes of the plan."""

import pytest
from django.db import IntegrityError, transaction

from subscriptions.changes import change_plan
from subscriptions.models import Plan
from subscriptions.plans import retire
from subscriptions.subscribing import PlanNotFound, PlanReplaced
from tests.subscriptions.repricing import BY_STAFF, next_version
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    PlanFactory,
    activate,
    last_invoice,
    press_button,
    run_sweep,
    subscribe,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "change", [{"price_minor": 60_00}, {"tax_basis_points": 0}, {"currency": "USD"}, {"interval": "year"}]
)
def test_the_price_of_a_plan_never_changes(change):
    plan = PlanFactory()

    with pytest.raises(IntegrityError, match="write a new row instead"), transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(**change)


def test_one_version_of_a_plan_is_offered_at_a_time():
    PlanFactory(name="Studio")

    with pytest.raises(IntegrityError, match="one_active_plan_per_name"), transaction.atomic():
        PlanFactory(name="Studio", version=2)


def test_the_id_of_an_older_version_is_refused_with_the_new_price():
    plan = PlanFactory(name="Studio")
    next_version(plan, 20_00)

    with pytest.raises(PlanReplaced, match=r"Studio costs 24\.00 EUR now"):
        subscribe(plan)


def test_a_retired_plan_has_no_new_subscribers():
    plan = PlanFactory()
    retire(plan_id=plan.pk, cause=BY_STAFF)

    with pytest.raises(PlanNotFound):
        subscribe(plan)


def test_the_subscribers_of_a_retired_plan_go_on_at_their_price(sandbox):
    subscription = activate(sandbox)
    retire(plan_id=subscription.plan_id, cause=BY_STAFF)

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, last_invoice(subscription).total_minor) == ("active", 12_00)


def test_a_change_to_a_plan_that_is_retired_since_is_kept(sandbox):
    subscription, other = activate(sandbox), PlanFactory(price_minor=20_00)
    change_plan(user_id=subscription.user_id, plan_id=other.pk, cause=BY_USER, at=NOW)
    retire(plan_id=other.pk, cause=BY_STAFF)

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.plan, last_invoice(subscription).total_minor) == (other, 24_00)


def test_a_change_is_undone_by_the_own_plan_though_it_is_retired(sandbox):
    subscription, other = activate(sandbox), PlanFactory()
    change_plan(user_id=subscription.user_id, plan_id=other.pk, cause=BY_USER, at=NOW)
    retire(plan_id=subscription.plan_id, cause=BY_STAFF)

    change = change_plan(user_id=subscription.user_id, plan_id=subscription.plan_id, cause=BY_USER, at=NOW)

    assert change.next_plan is None


def test_a_page_that_was_open_when_its_plan_was_retired_can_be_paid(sandbox):
    subscription = subscribe(PlanFactory())
    retire(plan_id=subscription.plan_id, cause=BY_STAFF)

    press_button(sandbox, "pay", subscription)

    assert (subscription.status, last_invoice(subscription).total_minor) == ("active", 12_00)
