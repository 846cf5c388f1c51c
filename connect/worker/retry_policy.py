"""How the workers drain due transfers, when they call Stripe again, and when they stop: all waits and leases.

A row always has exactly one future: a time at which it is due again, an event at Stripe that makes it due, or an open
review item. Waiting for an event and an outage of Stripe count as no retry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerTransfer, SellerTransferQuerySet, WaitingFor
from connect.states import ReversalStatus, TransferStatus
from connect.stripe.health import HEALTH
from marketplace.models import Order
from veza.core import writes
from veza.core.causes import Cause
from veza.core.outcomes import NotSent, Outcome
from veza.core.reviews import open_review, update_review_amount
from veza.core.states import move
from veza.core.sweeps import Queue, Tally, tick

log = structlog.get_logger(__name__)
# The review items of a transfer that failed: before Stripe had it, and when it was to be reversed.
TRANSFER_FAILED, REVERSAL_FAILED = "transfer_failed", "reversal_failed"

# A claimed row comes due again after this time if its worker died. It is longer than a call may take.
LEASE = timedelta(minutes=2)
BATCH = 20
# The same for reading an account or a transfer, where nothing is in doubt meanwhile.
REFRESH_LEASE = timedelta(minutes=5)
# An account is read again so long after several seemed to be gone at once.
READ_AGAIN_AFTER = timedelta(hours=1)
# How often Veza reads what a bank still works on, whether or not webhooks arrive.
REFRESH_AFTER = timedelta(hours=6)
# The worker reads an unanswered attempt this long, ever less often; then only support's actions and webhooks do.
READ_UNANSWERED_FOR = timedelta(days=7)
# How long a bank may still return a payout that was paid, five of its own days, and how often it is read meanwhile.
MAY_BE_RETURNED_FOR = timedelta(days=8)
REFRESH_PAID_AFTER = timedelta(days=1)
# Stripe forgets an idempotency key after at least 24 hours; then the same request is a second one. The hour between
# allows for clocks that differ and for a call that is still under way.
KEY_IS_SAFE_FOR = timedelta(hours=23)
# After so many attempts without an answer, Stripe is asked for the transfer before it is sent again.
ATTEMPTS_BEFORE_SEARCH = 2
_WHEN_UNANSWERED = (
    "Stripe may have reversed it: the worker reads the transfer there until it shows whether it did. “Retry reversal” "
    "and “Write off debt” read it first."
)
# A seller's balance refills when they sell again: days, not minutes. The last one repeats.
DEBT_SCHEDULE: Sequence[timedelta] = tuple(timedelta(days=days) for days in (1, 2, 4, 7))


def drain(
    name: str,
    *,
    rows: SellerTransferQuerySet,
    perform: Callable[[UUID], Outcome[object] | None],
    on_error: Callable[[UUID, str], None],
    call_for_help: Callable[[], object] | None = None,
) -> Tally:
    """Perform every row that is due, STRIPE_CALLS_AT_ONCE of them at once; call for help with a backlog.

    Stops early when Stripe rejects our key or is down: the other rows would fare no better. `on_error` counts a retry
    for a row that raises, so that it fails in the end; one that raises because the database is away counts none.
    """

    def handle(row: SellerTransfer) -> Outcome[object] | None:
        try:
            return perform(row.pk)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            on_error(row.pk, f"{type(error).__name__}: {error}")
            raise

    tally = tick(
        name,
        Queue(rows, due="next_retry_at", lease=LEASE, batch=BATCH),
        handle,
        until=_is_the_end,
        at_once=HEALTH.calls_at_once(settings.STRIPE_CALLS_AT_ONCE),
        call_for_help=call_for_help,
    )
    HEALTH.close_review_if_accepted()
    return tally


def _is_the_end(outcome: Outcome[object] | None) -> bool:
    return isinstance(outcome, NotSent) or bool(HEALTH.stop_reason(outcome))


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is retried before the row fails, and how long the pauses grow."""

    max_retries: int
    base: timedelta
    cap: timedelta


def transfer_policy() -> RetryPolicy:
    """The settings for sending a transfer."""
    return RetryPolicy(
        settings.TRANSFER_RETRY_MAX_RETRIES,
        settings.TRANSFER_RETRY_BACKOFF_BASE,
        settings.TRANSFER_RETRY_BACKOFF_MAX,
    )


def reversal_policy() -> RetryPolicy:
    """The settings for reversing a transfer."""
    return RetryPolicy(settings.REVERSAL_MAX_RETRIES, settings.REVERSAL_BACKOFF_BASE, settings.REVERSAL_BACKOFF_MAX)


def due_from(order: Order) -> Any:
    """When what a completed order pays its sellers is sent: TRANSFER_DELAY after the sale, or as soon as possible.

    Nothing sends it sooner: what staff may retry has been attempted before.
    """
    assert order.completed_at is not None, "only a completed order pays its sellers"
    due_at = order.completed_at + settings.TRANSFER_DELAY
    return due_at if settings.TRANSFER_DELAY and due_at > timezone.now() else Now()


def backoff(retry_count: int, *, base: timedelta, cap: timedelta) -> timedelta:
    """The pause after `retry_count` earlier retries: the base, doubled each time, never over `cap`."""
    # A larger power would overflow a timedelta long after it stopped to matter.
    doublings: int = 2 ** min(retry_count, 24)
    return min(base * doublings, cap)


def debt_backoff(refusals: int) -> timedelta:
    """The pause after a seller's balance was too low, `refusals` times before."""
    return DEBT_SCHEDULE[min(refusals, len(DEBT_SCHEDULE) - 1)]


def update_fields(transfer: SellerTransfer, **fields: Any) -> None:
    """Write `fields` of a locked transfer, in the database and in hand. A status is moved instead."""
    assert connection.in_atomic_block, "a transfer is changed in the transaction that holds its lock"
    assert "status" not in fields, "a status changes by move() alone"
    writes.update(transfer, **fields)
    transfer.assert_amounts_add_up()


def wait_for(
    transfer: SellerTransfer, waiting_for: WaitingFor, *, recheck_after: timedelta, why: str, **fields: Any
) -> None:
    """Wait for an event, and check after `recheck_after` in case its webhook was lost. This counts as no retry."""
    assert waiting_for != WaitingFor.NOTHING, "a transfer that waits names what it waits for"
    update_fields(
        transfer, waiting_for=waiting_for, next_retry_at=Now() + recheck_after, last_error=why[:500], **fields
    )


def schedule_retry(
    transfer: SellerTransfer, why: str, policy: RetryPolicy, *, cause: Cause, at: datetime, **fields: Any
) -> None:
    """Count a retry and pause longer than the last time; fail the transfer when its retries are used up."""
    if transfer.retry_count >= policy.max_retries:
        fail_permanently(transfer, f"{why} (after {transfer.retry_count} retries)", cause=cause, at=at, **fields)
        return
    pause = backoff(transfer.retry_count, base=policy.base, cap=policy.cap)
    update_fields(
        transfer,
        retry_count=transfer.retry_count + 1,
        next_retry_at=Now() + pause,
        last_error=why[:500],
        **fields,
    )


def retry_unanswered(transfer: SellerTransfer, why: str, policy: RetryPolicy, *, cause: Cause, at: datetime) -> None:
    """Retry a call without an answer. It counts as a retry only while Stripe answers for other rows."""
    if HEALTH.is_down():
        update_fields(transfer, next_retry_at=Now() + policy.base, last_error=why[:500])
        return
    schedule_retry(transfer, why, policy, cause=cause, at=at)


def fail_permanently(transfer: SellerTransfer, why: str, *, cause: Cause, at: datetime, **fields: Any) -> None:
    """Stop retrying and open a review item. A request that may have reached Stripe stays in doubt: a reversal is
    refreshed from Stripe until that decides it.
    """
    is_unsent = not transfer.stripe_transfer_id and transfer.status != TransferStatus.REVERSAL_PENDING
    is_unanswered = transfer.reversals.filter(status=ReversalStatus.SENDING).exists()
    if is_unanswered:
        # Read once the call cannot be under way any more: then Stripe shows whether it was made.
        fields["refresh_due_at"] = Now() + LEASE
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
        TRANSFER_FAILED if is_unsent else REVERSAL_FAILED,
        transfer,
        why=why,
        what_to_do=_WHEN_UNANSWERED if is_unanswered else _what_to_do(transfer, is_unsent=is_unsent),
        amount_minor=transfer.sent_minor if is_unsent else transfer.outstanding_minor,
        currency=transfer.currency,
    )


def update_failed_review(transfer: SellerTransfer) -> None:
    """Bring the amount on a failed transfer's review item up to date."""
    update_review_amount(TRANSFER_FAILED, transfer, transfer.sent_minor)
    update_review_amount(REVERSAL_FAILED, transfer, transfer.outstanding_minor)


def _what_to_do(transfer: SellerTransfer, *, is_unsent: bool) -> str:
    if not is_unsent:
        return "Check the transfer in Stripe's dashboard, then retry the reversal or settle it with the seller."
    if transfer.in_doubt_since is not None:
        return f"Check Stripe's dashboard for transfer group {transfer.order_id}; a retry checks there too."
    return "Fix what Stripe refused, such as the seller's account, then retry the transfer."
