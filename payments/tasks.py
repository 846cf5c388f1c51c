"""What beat runs for payments, refunds, disputes and webhook deliveries."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from celery import shared_task
from django.conf import settings
from django.db import models

from payments.collection import expiry, method_deletions, method_setups
from payments.disputes import dispute_updates
from payments.hyperswitch.health import HEALTH
from payments.inbox import replay, retention
from payments.ledger import opening_balances
from payments.models import MethodDeletion, MethodSetup, Payment, Refund
from payments.reconciliation import listings, refresh
from payments.refunds import overdue
from payments.retry_policy import CLOSE_AGAIN_AFTER, LEASE
from veza.core.backlog import go_on, helpers_for
from veza.core.causes import by_sweep
from veza.core.models import KeyedRow
from veza.core.provider_health import must_stop
from veza.core.sweeps import TICK_FOR, Queue, tick

Row = TypeVar("Row", bound=KeyedRow)
# Payments, refunds, disputes, methods to delete and set-ups of methods share a tick's time.
KINDS = 5


@shared_task(name="payments.resend")
def resend(**_newer: object) -> None:
    """Send what was never sent and refresh what is unanswered: payments first, then refunds, disputes, methods
    to delete, and the pages of set-ups.
    """
    cause = by_sweep("payments.resend")
    refresh_dispute = partial(refresh.refresh_dispute, cause=refresh.by_reconciler())
    _advance("payments.resend", Payment.objects.all(), partial(refresh.advance_payment, cause=cause))
    _advance("refunds.resend", Refund.objects.all(), partial(refresh.advance_refund, cause=cause))
    _advance("disputes.resend", dispute_updates.due(), lambda dispute: refresh_dispute(dispute.pk))
    _advance("methods.resend", MethodDeletion.objects.all(), lambda row: method_deletions.delete_method(row.pk))
    finish = partial(method_setups.finish_setup, cause=cause)
    _advance("setups.resend", MethodSetup.objects.all(), lambda setup: finish(setup.pk))
    HEALTH.close_review_if_accepted()


def _advance(name: str, rows: models.QuerySet[Row], advance: Callable[[Row], str]) -> None:
    queue = Queue(rows, due="next_attempt_at", lease=LEASE)
    tick(name, queue, advance, until=must_stop, lasting=TICK_FOR / KINDS)


@shared_task(name="payments.retry_deliveries")
def retry_deliveries(**_newer: object) -> None:
    """Replay the deliveries that failed, matched nothing or arrived too early."""
    tick(
        "payments.retry_deliveries",
        Queue(replay.due(), due="next_attempt_at", lease=LEASE),
        lambda delivery: replay.replay(delivery.pk),
    )


@shared_task(name="payments.close_unpaid")
def close_unpaid(**_newer: object) -> None:
    """Close the payment pages whose session is over without a payment."""
    cause = by_sweep("payments.close_unpaid")
    tick(
        "payments.close_unpaid",
        Queue(expiry.to_close(), due="close_due_at", lease=CLOSE_AGAIN_AFTER),
        lambda payment: expiry.close_unpaid(payment.pk, cause=cause),
        until=must_stop,
    )


@shared_task(name="payments.reconcile")
def reconcile_stuck(helpers: int | None = None, **_newer: object) -> None:
    """Refresh what should be final by now. While a backlog remains the next tick follows without an interval."""
    tallies = refresh.run(cause=refresh.by_reconciler(), call_for_help=helpers_for(reconcile_stuck, helpers))
    if helpers is None and any(tally.unfinished for tally in tallies.values()):
        go_on(reconcile_stuck, within=settings.RECONCILE_INTERVAL)


@shared_task(name="payments.compare_lists")
def compare_lists(**_newer: object) -> None:
    """Compare Hyperswitch's lists with our rows."""
    listings.compare(cause=refresh.by_reconciler())


@shared_task(name="payments.review_refunds")
def review_refunds(**_newer: object) -> None:
    """Open a review item about each refund that has been pending for too long."""
    overdue.review_overdue_refunds()


@shared_task(name="payments.clean_webhook_log")
def clean_webhook_log(**_newer: object) -> None:
    """Delete webhook deliveries that are older than the retention."""
    retention.clean(settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS)


@shared_task(name="payments.carry_forward")
def carry_forward(**_newer: object) -> None:
    """Add to the sellers' opening balances what was posted since the last time."""
    opening_balances.carry_forward()
