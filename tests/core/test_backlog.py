"""A worker that meets a backlog calls others to join, and no more of them than allowed."""

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
def queue(monkeypatch):
    """What would have gone to the broker: task, arguments, seconds until it expires."""
    messages = []

    def keep(task, *, kwargs, expires, retry):
        messages.append((task.name, kwargs, expires))

    for task in (process_reversals, send_transfers, reconcile_stuck):
        monkeypatch.setattr(task, "apply_async", lambda task=task, **options: keep(task, **options))
    return messages


def test_a_tick_that_beat_started_calls_one_worker_that_may_call_the_next(queue, settings):
    settings.SWEEP_HELPERS = 2

    helpers_for(process_reversals, None)()

    assert queue == [("connect.process_reversals", {"helpers": 1}, 30)]


@pytest.mark.parametrize(("helpers", "limit"), [(0, 2), (None, 0)])
def test_the_last_helper_calls_no_other(queue, settings, helpers, limit):
    settings.SWEEP_HELPERS = limit

    helpers_for(send_transfers, helpers)()

    assert queue == []


def test_a_broker_that_is_down_stops_no_sweep(monkeypatch, caplog):
    def away(**_options):
        raise OperationalError("connection refused")

    monkeypatch.setattr(process_reversals, "apply_async", away)

    go_on(process_reversals, within=timedelta(minutes=1))

    assert any("help_not_requested" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("helpers", "more", "messages"),
    [
        (None, True, [("payments.reconcile", {}, live.RECONCILE_INTERVAL.total_seconds())]),
        (None, False, []),
        (1, True, []),
    ],
)
def test_the_reconciler_goes_on_at_once_when_its_minute_was_too_short(queue, monkeypatch, helpers, more, messages):
    tallies = {"payments": Tally(), "refunds": Tally(unfinished=more)}
    monkeypatch.setattr(reconcile, "run", lambda **_arguments: tallies)

    reconcile_stuck(helpers=helpers)

    assert queue == messages
