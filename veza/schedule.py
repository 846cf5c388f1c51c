"""Beat's schedule: which sweep runs how often. Sweeps that are switched off are absent."""

from datetime import timedelta
from typing import Any

from celery.schedules import crontab
from django.conf import settings

DAY = timedelta(days=1)


def daily(*, hour: int, minute: int) -> crontab:
    """Once a day at a fixed time, UTC.

    An interval would count from the start of beat: with a restart every day it would never be due.
    """
    return crontab(hour=hour, minute=minute)


def _entry(task: str, when: timedelta | crontab) -> dict[str, Any]:
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
    "payments.compare_lists": (settings.RECONCILE_WORKER_ENABLED, timedelta(hours=1)),
    "payments.review_refunds": (bool(settings.REFUND_REVIEW_AFTER), timedelta(hours=1)),
    "payments.clean_webhook_log": (True, daily(hour=3, minute=20)),
    "payments.carry_forward": (True, timedelta(hours=1)),
    "connect.send_transfers": (settings.TRANSFER_RETRY_ENABLED, settings.TRANSFER_RETRY_CHECK_INTERVAL),
    "marketplace.review_restrictions": (True, timedelta(hours=1)),
    "marketplace.review_refund_applications": (True, timedelta(hours=1)),
    "subscriptions.run_due": (settings.SUBSCRIPTION_WORKER_ENABLED, settings.SUBSCRIPTION_CHECK_INTERVAL),
    "subscriptions.announce_prices": (True, timedelta(minutes=1)),
    "backoffice.add_up": (True, timedelta(minutes=1)),
    "backoffice.write_digest": (bool(settings.REVIEW_DIGEST_ADDRESS), daily(hour=6, minute=0)),
    "backoffice.verify_ledger": (True, daily(hour=4, minute=10)),
    "connect.look_at_stripe": (True, settings.RESEND_CHECK_INTERVAL),
    "connect.review_closed_sellers": (True, timedelta(hours=1)),
    "connect.review_closed_balances": (True, daily(hour=3, minute=50)),
    "connect.compare_lists": (bool(settings.STRIPE_SECRET_KEY), timedelta(hours=1)),
    "connect.move_on_payouts": (True, timedelta(minutes=1)),
    "connect.process_reversals": (settings.REVERSAL_WORKER_ENABLED, settings.REVERSAL_CHECK_INTERVAL),
}
BEAT_SCHEDULE = {task: _entry(task, when) for task, (is_on, when) in SWEEPS.items() if is_on}


def intervals() -> dict[str, timedelta]:
    """How often each sweep that is on should run: its message expires when the next one is due."""
    return {task: timedelta(seconds=entry["options"]["expires"]) for task, entry in BEAT_SCHEDULE.items()}
