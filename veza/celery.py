"""The Celery app and beat's schedule: which sweep runs how often. Sweeps that are switched off are absent."""

import os
from datetime import timedelta
from pathlib import Path

import structlog
from celery import Celery
from celery.schedules import crontab
from celery.signals import after_task_publish, beat_init, celeryd_init, heartbeat_sent, task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "veza.settings")
# Workers and beat serve no pages: they load neither the admin's nor the API's modules, which Django's own checks would.
os.environ.setdefault("VEZA_SERVES_PAGES", "false")
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

from django.conf import settings  # Settings are named by the line above.

from veza.checks import stop_if_broken

app = Celery("veza")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def refuse_to_start(**_signal: object) -> None:
    """End a worker or beat whose settings are wrong: Celery itself only runs Django's checks, and goes on."""
    stop_if_broken()


@heartbeat_sent.connect  # By a worker, every two seconds.
@after_task_publish.connect  # By beat, each time a sweep is due.
def touch_alive_file(**_signal: object) -> None:
    """Touch the file that the container's health check reads (`alive.py`)."""
    if path := os.environ.get("VEZA_ALIVE_FILE"):
        Path(path).touch()


@task_prerun.connect
def bind_tick_id(task_id: str = "", **_signal: object) -> None:
    """Let every log line of a task carry its id. The context of the task before it is cleared."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(tick=task_id)


DAY = timedelta(days=1)


def daily(*, hour: int, minute: int) -> crontab:
    """Once a day at a fixed time, UTC.

    An interval would count from the start of beat: with a restart every day it would never be due.
    """
    return crontab(hour=hour, minute=minute)


def _entry(task: str, when: timedelta | crontab) -> dict[str, object]:
    every = DAY if isinstance(when, crontab) else when
    schedule = when if isinstance(when, crontab) else every.total_seconds()
    # A tick that could not start before the next one is due is dropped: the next one finds the same rows.
    return {"task": task, "schedule": schedule, "options": {"expires": every.total_seconds()}}


SWEEPS: dict[str, tuple[bool, timedelta | crontab]] = {
    "core.send_emails": (bool(settings.SMTP_HOST), settings.EMAIL_CHECK_INTERVAL),
    "payments.resend": (True, settings.RESEND_CHECK_INTERVAL),
    "payments.retry_deliveries": (True, settings.RESEND_CHECK_INTERVAL),
    "payments.close_unpaid": (True, timedelta(minutes=1)),
    "payments.reconcile": (settings.RECONCILE_WORKER_ENABLED, settings.RECONCILE_INTERVAL),
    "payments.compare_lists": (settings.RECONCILE_WORKER_ENABLED, daily(hour=2, minute=40)),
    "payments.review_refunds": (bool(settings.REFUND_REVIEW_AFTER), timedelta(hours=1)),
    "payments.clean_webhook_log": (True, daily(hour=3, minute=20)),
    "payments.carry_forward": (True, timedelta(hours=1)),
    "connect.send_transfers": (settings.TRANSFER_RETRY_ENABLED, settings.TRANSFER_RETRY_CHECK_INTERVAL),
    "marketplace.review_restrictions": (True, timedelta(hours=1)),
    "subscriptions.run_due": (settings.SUBSCRIPTION_WORKER_ENABLED, settings.SUBSCRIPTION_CHECK_INTERVAL),
    "subscriptions.announce_prices": (True, timedelta(minutes=1)),
    "backoffice.add_up": (True, timedelta(minutes=1)),
    "backoffice.write_digest": (bool(settings.REVIEW_DIGEST_ADDRESS), daily(hour=6, minute=0)),
    "backoffice.verify_ledger": (True, daily(hour=4, minute=10)),
    "connect.look_at_stripe": (True, settings.RESEND_CHECK_INTERVAL),
    "connect.review_closed_sellers": (True, timedelta(hours=1)),
    "connect.review_closed_balances": (True, daily(hour=3, minute=50)),
    "connect.move_on_payouts": (True, timedelta(minutes=1)),
    "connect.process_reversals": (settings.REVERSAL_WORKER_ENABLED, settings.REVERSAL_CHECK_INTERVAL),
}
app.conf.beat_schedule = {task: _entry(task, when) for task, (is_on, when) in SWEEPS.items() if is_on}
