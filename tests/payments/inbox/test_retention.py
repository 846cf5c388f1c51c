"""The webhook log is cleaned in batches, until it is stopped, and young deliveries stay."""

import io
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from threading import Event

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from payments import tasks
from payments.inbox import retention
from payments.management.commands.clean_webhook_log import Command
from payments.models import InvalidSignatureCount, WebhookDelivery
from tests.database_roles import as_owner
from veza.core.models import Heartbeat

pytestmark = pytest.mark.django_db
SETTING = "HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS"


def deliveries(number: int, *, days_old: float, signature_valid: bool = True) -> None:
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            provider="hyperswitch",
            payload="{}",
            payload_sha256="0" * 64,
            signature_valid=signature_valid,
            processing_result="skipped: ignored",
            received_at=timezone.now() - timedelta(days=days_old),
        )
        for _ in range(number)
    )


def test_only_what_is_older_than_the_setting_is_deleted(settings):
    settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS = 90
    deliveries(2, days_old=91)
    deliveries(3, days_old=89)

    tasks.clean_webhook_log()

    assert WebhookDelivery.objects.count() == 3


class Waits(Event):
    """An event that is never set, and records how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout=None) -> bool:
        self.seconds.append(timeout)
        return False


def test_batches_are_deleted_with_a_pause_of_40_ms_between(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    deliveries(5, days_old=91)
    sums, waits = [], Waits()

    assert retention.clean(90, stopping=waits, report_progress=sums.append) == 5
    assert (sums, waits.seconds) == ([2, 4, 5], [0.04, 0.04])


def test_a_batch_is_of_2_000():
    many_deliveries(2_001, signature_valid=True, days_old=91)
    sums = []

    retention.clean(90, stopping=Waits(), report_progress=sums.append)

    assert sums == [2_000, 2_001]


def test_cleaning_ends_after_the_running_batch_when_it_is_stopped(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    deliveries(5, days_old=91)
    stopping = Event()

    assert retention.clean(90, stopping=stopping, report_progress=lambda count: stopping.set()) == 2


def test_the_counts_of_invalid_signatures_are_deleted_too():
    InvalidSignatureCount.objects.create(
        provider="hyperswitch", minute_at=timezone.now() - timedelta(days=91), deliveries=5, bytes=5
    )

    retention.clean(90)

    assert not InvalidSignatureCount.objects.exists()


def test_only_a_complete_cleaning_leaves_a_heartbeat(monkeypatch):
    deliveries(2, days_old=91)
    stop_event = Event()
    stop_event.set()
    retention.clean(90, stopping=stop_event)
    assert not Heartbeat.objects.exists()

    tasks.clean_webhook_log()

    assert Heartbeat.objects.get(name="payments.clean_webhook_log").done == 2


@pytest.mark.parametrize(("text", "days"), [("0", 90), ("-5", 90), ("", 90), ("7", 7)])
def test_zero_or_nothing_means_the_default(text, days):
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    environment |= {SETTING: text} if text else {}
    code = "from veza import settings; print(settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS)"

    payload = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert int(payload.stdout) == days


def test_a_dry_run_counts_and_deletes_nothing():
    deliveries(2, days_old=100)
    out = io.StringIO()

    call_command("clean_webhook_log", "--dry-run", "--json", stdout=out)

    assert json.loads(out.getvalue()) == {"outdated": 2, "days": 90, "dry_run": True}
    assert WebhookDelivery.objects.count() == 2


def test_the_command_reports_how_many_it_deleted():
    deliveries(2, days_old=100)
    out = io.StringIO()

    call_command("clean_webhook_log", "--json", stdout=out)

    assert json.loads(out.getvalue())["deleted"] == 2


def many_deliveries(number: int, *, signature_valid: bool, days_old: float) -> None:
    """So many that the database inserts them itself, spread over the day before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO webhook_log"
            " (id, provider, payload, payload_sha256, signature_valid, processing_result, user_agent, request_id,"
            " received_at, attempts)"
            " SELECT gen_random_uuid(), 'hyperswitch', '{}', repeat('0', 64), %s, 'ok', '', '',"
            " now() - %s * interval '1 day' - n * interval '86400 seconds' / %s, 1 FROM generate_series(1, %s) AS n",
            [signature_valid, days_old, number, number],
        )


@pytest.fixture
def sigterm_is_ours():
    """A signal without a handler must fail the test, not end the run."""

    def fail(*_arguments):
        raise AssertionError("SIGTERM was not handled")

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, fail)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_ends_the_command_after_the_running_batch(monkeypatch, sigterm_is_ours):
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(Command, "_write_progress", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    deliveries(5, days_old=91)
    out = io.StringIO()

    call_command("clean_webhook_log", "--json", stdout=out)

    assert json.loads(out.getvalue()) == {"deleted": 2, "days": 90, "stopped": True}
    assert WebhookDelivery.objects.count() == 3


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("out", "progress_lines"), [(Terminal(), ["2 deleted", "3 deleted"]), (io.StringIO(), [])])
def test_the_command_shows_its_progress_on_a_terminal_only(monkeypatch, sigterm_is_ours, out, progress_lines):
    monkeypatch.setattr(retention, "BATCH", 2)
    deliveries(3, days_old=91)

    call_command("clean_webhook_log", stdout=out)

    *progress, end = out.getvalue().split("\r")
    assert (progress, end) == (progress_lines, "deleted: 3, days: 90, stopped: False\n")


def test_invalid_signatures_are_found_by_their_own_index():
    many_deliveries(100_000, signature_valid=True, days_old=1)
    many_deliveries(20, signature_valid=False, days_old=1)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE webhook_log")
        cursor.execute("EXPLAIN SELECT * FROM webhook_log WHERE NOT signature_valid ORDER BY received_at DESC LIMIT 50")
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "webhook_attacks" in plan
