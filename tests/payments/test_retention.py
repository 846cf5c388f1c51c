"""The webhook log is cleaned in batches, stops when asked to, and keeps what is young."""

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from threading import Event

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from payments import retention, tasks
from payments.models import ForgedMinute, WebhookDelivery
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


def test_only_what_is_older_than_the_setting_goes(settings):
    settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS = 90
    deliveries(2, days_old=91)
    deliveries(3, days_old=89)

    tasks.clean_webhook_log()

    assert WebhookDelivery.objects.count() == 3


def test_it_goes_in_batches_with_a_pause_between(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    deliveries(5, days_old=91)
    sums = []

    assert retention.clean(90, tell=sums.append) == 5
    assert sums == [2, 4, 5]


def test_it_ends_after_the_running_batch_when_it_is_stopped(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    deliveries(5, days_old=91)
    stopping = Event()

    assert retention.clean(90, stopping=stopping, tell=lambda done: stopping.set()) == 2


def test_the_counts_of_forged_deliveries_go_with_them():
    ForgedMinute.objects.create(
        provider="hyperswitch", minute_at=timezone.now() - timedelta(days=91), deliveries=5, bytes=5
    )

    retention.clean(90)

    assert not ForgedMinute.objects.exists()


def test_coming_to_its_end_leaves_a_heartbeat_and_being_stopped_does_not(monkeypatch):
    deliveries(2, days_old=91)
    stopped = Event()
    stopped.set()
    retention.clean(90, stopping=stopped)
    assert not Heartbeat.objects.exists()

    tasks.clean_webhook_log()

    assert Heartbeat.objects.get(name="payments.clean_webhook_log").done == 2


@pytest.mark.parametrize(("written", "days"), [("0", 90), ("-5", 90), ("", 90), ("7", 7)])
def test_zero_or_nothing_means_the_default(written, days):
    known = {name: value for name, value in os.environ.items() if name != SETTING}
    known |= {SETTING: written} if written else {}
    code = "from veza import settings; print(settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS)"

    said = subprocess.run([sys.executable, "-c", code], env=known, capture_output=True, text=True, check=True)

    assert int(said.stdout) == days


def test_a_dry_run_counts_and_deletes_nothing():
    deliveries(2, days_old=100)
    out = io.StringIO()

    call_command("clean_webhook_log", "--dry-run", "--json", stdout=out)

    assert json.loads(out.getvalue()) == {"outdated": 2, "days": 90, "dry_run": True}
    assert WebhookDelivery.objects.count() == 2


def test_the_command_answers_with_what_it_deleted():
    deliveries(2, days_old=100)
    out = io.StringIO()

    call_command("clean_webhook_log", "--json", stdout=out)

    assert json.loads(out.getvalue())["deleted"] == 2


def test_attacks_are_found_by_their_own_index():
    deliveries(5_000, days_old=1)
    deliveries(20, days_old=1, signature_valid=False)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhook_log")
        cursor.execute("EXPLAIN SELECT * FROM webhook_log WHERE NOT signature_valid ORDER BY received_at DESC LIMIT 50")
        plan = " ".join(line for (line,) in cursor.fetchall())

    assert "webhook_attacks" in plan
