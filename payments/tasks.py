"""What the clock does for payments, refunds, disputes and what the provider sent us."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from celery import shared_task
from django.conf import settings
from django.db import models

from payments.collection import expiry
from payments.disputes import dispute_updates
from payments.hyperswitch.health import HEALTH
from payments.inbox import replay, retention
from payments.models import Payment, Refund
from payments.reconciliation import listings, refresh
from veza.core.backlog import go_on, helpers_for
from veza.core.causes import by_sweep
from veza.core.models import StatefulRow
from veza.core.provider_health import must_stop
from veza.core.sweeps import TICK_FOR, Queue, tick

Row = TypeVar("Row", bound=StatefulRow)
LEASE = timedelta(minutes=2)
# Payments, refunds and disputes share a tick's time.
KINDS = 3
# How long after a try that brought no answer an unpaid page is closed again.
CLOSE_AGAIN_AFTER = timedelta(minutes=5)


@shared_task(name="payments.resend")
def resend(**_newer: object) -> None:
    """Send what was never sent and ask about what was never answered: payments first, then refunds, then disputes."""
    cause = by_sweep("payments.resend")
    ask_about = partial(refresh.refresh_dispute, cause=refresh.by_reconciler())
    _move_on("payments.resend", Payment.objects.all(), partial(refresh.advance_payment, cause=cause))
    _move_on("refunds.resend", Refund.objects.all(), partial(refresh.advance_refund, cause=cause))
    _move_on("disputes.resend", dispute_updates.due(), lambda dispute: ask_about(dispute.pk))
    HEALTH.close_review_if_accepted()


def _move_on(name: str, rows: models.QuerySet[Row], ask: Callable[[Row], str]) -> None:
    queue = Queue(rows, due="next_attempt_at", lease=LEASE)
    tick(name, queue, ask, until=must_stop, lasting=TICK_FOR / KINDS)


@shared_task(name="payments.retry_deliveries")
def retry_deliveries(**_newer: object) -> None:
    """Handle the deliveries again that failed, matched nothing or waited."""
    tick(
        "payments.retry_deliveries",
        Queue(replay.due(), due="next_attempt_at", lease=LEASE),
        lambda delivery: replay.replay(delivery.pk),
    )


@shared_task(name="payments.close_unpaid")
def close_unpaid(**_newer: object) -> None:
    """Close the payment pages that nobody paid in time."""
    cause = by_sweep("payments.close_unpaid")
    tick(
        "payments.close_unpaid",
        Queue(expiry.to_close(), due="close_due_at", lease=CLOSE_AGAIN_AFTER),
        lambda payment: expiry.close_unpaid(payment.pk, cause=cause),
        until=must_stop,
    )


@shared_task(name="payments.reconcile")
def reconcile_stuck(helpers: int | None = None, **_newer: object) -> None:
    """Ask the provider about what should have been settled by now, without waiting an interval for the rest of it."""
    help_needed = helpers_for(reconcile_stuck, helpers)
    tallies = refresh.run(cause=refresh.by_reconciler(), call_for_help=help_needed)
    if helpers is None and any(tally.unfinished for tally in tallies.values()):
        go_on(reconcile_stuck, within=settings.RECONCILE_INTERVAL)


@shared_task(name="payments.compare_lists")
def compare_lists(**_newer: object) -> None:
    """Compare the provider's lists with ours."""
    listings.compare(cause=refresh.by_reconciler())


@shared_task(name="payments.clean_webhook_log")
def clean_webhook_log(**_newer: object) -> None:
    """Delete what the webhook log has kept long enough."""
    retention.clean(settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS)
