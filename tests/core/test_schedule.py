"""Beat's schedule: what runs daily runs at a time of the clock, and every message expires when the next one is due."""

from datetime import UTC, datetime, timedelta

import pytest
from celery.schedules import crontab

from veza.celery import app
from veza.schedule import SWEEPS, daily

DAILY = (
    "payments.clean_webhook_log",
    "backoffice.verify_ledger",
    "connect.review_closed_balances",
)


@pytest.mark.parametrize("task", DAILY)
def test_what_runs_daily_runs_even_if_beat_is_started_anew_every_day(task, monkeypatch):
    schedule = app.conf.beat_schedule[task]["schedule"]
    assert isinstance(schedule, crontab)

    monkeypatch.setattr(schedule, "nowfun", lambda: datetime(2026, 3, 2, 5, tzinfo=UTC))
    started_before, started_after = datetime(2026, 3, 2, 1, tzinfo=UTC), datetime(2026, 3, 2, 4, 59, tzinfo=UTC)

    assert (schedule.is_due(started_before)[0], schedule.is_due(started_after)[0]) == (True, False)


@pytest.mark.parametrize("task", app.conf.beat_schedule)
def test_a_message_expires_when_the_next_one_is_due(task):
    entry, (_is_on, when) = app.conf.beat_schedule[task], SWEEPS[task]
    every = timedelta(days=1) if task in DAILY else when

    assert entry["options"]["expires"] == every.total_seconds()


def test_a_day_is_that_of_utc():
    assert app.conf.timezone == "UTC"
    assert daily(hour=2, minute=5) == crontab(hour=2, minute=5)
