"""What happens to a transfer that could not go on: it waits, it is tried again, or it is given up to a
person.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db.models.functions import Now

from connect.models import SellerTransfer, WaitingFor
from connect.states import TransferStatus
from connect.stripe.health import HEALTH
from connect.worker.retries import backoff
from veza.core.causes import Cause
from veza.core.reviews import open_review, update_review_amount
from veza.core.states import move

log = structlog.get_logger(__name__)
# The cases of a transfer that was given up: before Stripe had it, and when it was to be taken back.
TRANSFER_FAILED, REVERSAL_FAILED = "transfer_failed", "reversal_failed"


@dataclass(frozen=True)
class RetryPolicy:
    """How often something is tried again before it is given up, and how long between."""

    retries: int
    base: timedelta
    longest: timedelta


def with_transfers() -> RetryPolicy:
    """How patient the settings are with a sending."""
    return RetryPolicy(
        settings.TRANSFER_RETRY_MAX_RETRIES,
        settings.TRANSFER_RETRY_BACKOFF_BASE,
        settings.TRANSFER_RETRY_BACKOFF_MAX,
    )


def with_reversals() -> RetryPolicy:
    """How patient the settings are with taking back."""
    return RetryPolicy(settings.REVERSAL_MAX_RETRIES, settings.REVERSAL_BACKOFF_BASE, settings.REVERSAL_BACKOFF_MAX)


def change(transfer: SellerTransfer, **fields: Any) -> None:
    """Write `fields` of a locked transfer, its status excepted."""
    SellerTransfer.objects.filter(pk=transfer.pk).update(**fields)
    for name, value in fields.items():
        setattr(transfer, name, value)


def wait(transfer: SellerTransfer, what_for: WaitingFor, *, look_again: timedelta, why: str, **fields: Any) -> None:
    """Leave it until something outside has changed. This counts as no retry."""
    change(
        transfer,
        waiting_for=what_for,
        next_retry_at=Now() + look_again,
        last_error=why[:500],
        **fields,
    )


def try_later(
    transfer: SellerTransfer, why: str, patience: RetryPolicy, *, cause: Cause, at: datetime, **fields: Any
) -> None:
    """Count a retry and wait longer than the last time; give up when they are used up."""
    if transfer.retry_count >= patience.retries:
        give_up(transfer, f"{why} (after {transfer.retry_count} retries)", cause=cause, at=at, **fields)
        return
    pause = backoff(transfer.retry_count, base=patience.base, longest=patience.longest)
    change(
        transfer,
        retry_count=transfer.retry_count + 1,
        next_retry_at=Now() + pause,
        last_error=why[:500],
        **fields,
    )


def unanswered(transfer: SellerTransfer, why: str, patience: RetryPolicy, *, cause: Cause, at: datetime) -> None:
    """Try later what Stripe did not answer. It counts as a retry only while Stripe answers others."""
    if HEALTH.is_down():
        change(transfer, next_retry_at=Now() + patience.base, last_error=why[:500])
        return
    try_later(transfer, why, patience, cause=cause, at=at)


def give_up(transfer: SellerTransfer, why: str, *, cause: Cause, at: datetime, **fields: Any) -> None:
    """Stop trying and open a case. What may have reached Stripe stays in doubt."""
    sending = not transfer.stripe_transfer_id and transfer.status != TransferStatus.REVERSAL_PENDING
    move(
        transfer,
        TransferStatus.PERMANENTLY_FAILED,
        cause=cause,
        at=at,
        next_retry_at=None,
        waiting_for=WaitingFor.NOTHING,
        last_error=why[:500],
        **fields,
    )
    log.error("transfer_given_up", transfer=str(transfer.pk), order=str(transfer.order_id), why=why)
    open_review(
        TRANSFER_FAILED if sending else REVERSAL_FAILED,
        transfer,
        why=why,
        what_to_do=_what_to_do(transfer, sending=sending),
        amount_minor=transfer.sent_minor if sending else transfer.owed_minor,
        currency=transfer.currency,
    )


def update_failed_review(transfer: SellerTransfer) -> None:
    """Let the case of a transfer that was given up say what it is about now: its amounts are new."""
    update_review_amount(TRANSFER_FAILED, transfer, transfer.sent_minor)
    update_review_amount(REVERSAL_FAILED, transfer, transfer.owed_minor)


def _what_to_do(transfer: SellerTransfer, *, sending: bool) -> str:
    if not sending:
        return "Look at the transfer in Stripe's dashboard, then retry or settle it with the seller."
    if transfer.in_doubt_since is not None:
        return f"Look in Stripe's dashboard for group {transfer.order_id}; a retry looks there too."
    return "Correct what Stripe refused, such as the seller's account, then retry the transfer."
