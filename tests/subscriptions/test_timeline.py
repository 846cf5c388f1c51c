"""The history of a subscription in sentences, and its proof."""

import pytest
from django.core.management import call_command

from tests.subscriptions.subscribing import PlanFactory, activate, free_plan, run_sweep, set_charge_outcome, subscribe
from veza.backoffice.timeline import next_steps_of, timeline_of

pytestmark = pytest.mark.django_db


def history_text(subscription) -> str:
    return "\n".join(line.text for line in timeline_of(subscription.pk))


def test_the_history_has_the_subscription_its_invoice_and_its_money(sandbox):
    subscription = activate(sandbox)

    text = history_text(subscription)

    assert f"{subscription.user.email} subscribed" in text
    assert "An invoice of 12.00 EUR, incl. 2.00 EUR tax, was opened" in text
    assert "went from pending payment to active" in text
    assert "from unapplied funds to income from subscriptions" in text


def test_the_next_step_is_the_renewal(sandbox):
    subscription = activate(sandbox)

    assert any("renews as" in step for step in next_steps_of(subscription.pk))


def test_an_unpaid_invoice_is_a_next_step(sandbox):
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)

    assert any("12.00 EUR is due" in step for step in next_steps_of(subscription.pk))


def test_a_free_plan_has_a_history():
    assert "subscribed" in history_text(subscribe(free_plan()))


def test_the_ledger_of_subscriptions_is_proved(sandbox, capsys):
    activate(sandbox, PlanFactory(trial_days=0))

    call_command("verify_ledger")

    assert ": 0 differences" in capsys.readouterr().out
