"""Whoever meets a backlog calls others to join, and no more of them than allowed."""

from datetime import timedelta

import pytest
from django.conf import settings as live
from kombu.exceptions import OperationalError

from connect.tasks import process_reversals, send_transfers
from payments.reconciliation import refresh as reconcile
from payments.tasks import reconcile_stuck
from veza.core.backlog import go_on, helpers_for
from veza.core.sweeps import Tally


@pytest.fixture
def sent(monkeypatch):
    """What would have gone to the broker: task, arguments, seconds until it expires."""
    messages = []

    def keep(task, *, kwargs, expires, retry):
        messages.append((task.name, kwargs, expires))

    for task in (process_reversals, send_transfers, reconcile_stuck):
        monkeypatch.setattr(task, "apply_async", lambda task=task, **options: keep(task, **options))
    return messages


def test_a_tick_that_beat_started_calls_one_worker_that_may_call_the_next(sent, settings):
    settings.SWEEP_HELPERS = 2

    helpers_for(process_reversals, None)()

    assert sent == [("connect.process_reversals", {"helpers": 1}, 30)]


@pytest.mark.parametrize(("told", "allowed"), [(0, 2), (None, 0)])
def test_the_last_helper_calls_nobody(sent, settings, told, allowed):
    settings.SWEEP_HELPERS = allowed

    helpers_for(send_transfers, told)()

    assert sent == []


def test_a_broker_that_is_away_stops_nobody(monkeypatch, caplog):
    def away(**_options):
        raise OperationalError("connection refused")

    monkeypatch.setattr(process_reversals, "apply_async", away)

    go_on(process_reversals, within=timedelta(minutes=1))

    assert any("nobody_called" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("told", "unfinished", "messages"),
    [
        (None, True, [("payments.reconcile", {}, live.RECONCILE_INTERVAL.total_seconds())]),
        (None, False, []),
        (1, True, []),
    ],
)
def test_the_reconciler_goes_on_at_once_when_its_minute_was_too_short(sent, monkeypatch, told, unfinished, messages):
    tallies = {"payments": Tally(), "refunds": Tally(unfinished=unfinished)}
    monkeypatch.setattr(reconcile, "run", lambda **_said: tallies)

    reconcile_stuck(helpers=told)

    assert sent == messages
