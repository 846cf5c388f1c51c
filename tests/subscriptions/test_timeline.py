"""A subscription's money in sentences, with its proof."""

import pytest
from django.core.management import call_command

from tests.subscriptions.subscribing import PlanFactory, active, clock, free_plan, saved_card_will, subscribe
from veza.backoffice.timeline import next_steps_of, timeline_of

pytestmark = pytest.mark.django_db


def told(subscription) -> str:
    return "\n".join(line.text for line in timeline_of(subscription.pk))


def test_the_whole_story_is_told(sandbox):
    subscription = active(sandbox)

    story = told(subscription)

    assert f"{subscription.user.email} subscribed" in story
    assert "An invoice of 12.00 EUR, tax 2.00 EUR, was made" in story
    assert "went from pending payment to active" in story
    assert "from unapplied funds to income from subscriptions" in story


def test_it_says_what_happens_next(sandbox):
    subscription = active(sandbox)

    assert any("goes on as" in step for step in next_steps_of(subscription.pk))


def test_what_is_owed_is_said(sandbox):
    subscription = active(sandbox)
    saved_card_will(sandbox, "failed", subscription)
    clock(subscription, subscription.period_end_at)

    assert any("12.00 EUR is owed" in step for step in next_steps_of(subscription.pk))


def test_a_free_plan_has_a_story_too():
    assert "subscribed" in told(subscribe(free_plan()))


def test_the_ledger_of_subscriptions_is_proved(sandbox, capsys):
    active(sandbox, PlanFactory(trial_days=0))

    call_command("verify_ledger")

    assert ": 0 differences" in capsys.readouterr().out
