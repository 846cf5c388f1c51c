"""What reading a transfer at Stripe shows about its reversals, and the end of attempts that Stripe never answered.

A reversal that failed without an answer may have been made. Until Stripe shows that it was not, its amount can neither
be offset nor written off: the worker reads the transfer, and support's actions read it first.
"""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import LOCKED_TRANSFER, SellerTransfer, TransferReversal
from connect.reversals.reversal_outcomes import close_attempt, import_external, resume
from connect.states import ReversalStatus, TransferStatus
from connect.stripe import client
from connect.stripe.objects import RemoteTransfer
from connect.worker.retry_policy import (
    LEASE,
    READ_UNANSWERED_FOR,
    REFRESH_AFTER,
    REFRESH_LEASE,
    REVERSAL_FAILED,
    update_failed_review,
    update_fields,
)
from veza.core import calls, writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted
from veza.core.reviews import open_review

log = structlog.get_logger(__name__)


class TransferNotReadable(NotAllowed):
    code = "stripe_unavailable"
    http_status = 503


def find_unanswered(transfer: SellerTransfer) -> TransferReversal | None:
    """The attempt to reverse a failed transfer that Stripe has not answered. One under way belongs to the worker."""
    if transfer.status != TransferStatus.PERMANENTLY_FAILED:
        return None
    return transfer.reversals.filter(status=ReversalStatus.SENDING).first()


def decide_unanswered(transfer_id: UUID, *, cause: Cause) -> None:
    """Read a failed transfer at Stripe if an attempt to reverse it was never answered, and book what it shows.

    Made: the reversal is booked. Not made: the attempt is closed as refused. Raises TransferNotReadable when Stripe
    does not show which; then nothing is changed.
    """
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    if find_unanswered(transfer) is None:
        return
    read_at = timezone.now()
    outcome = client.read_transfer(transfer.stripe_transfer_id or "")
    calls.record(outcome, subject=transfer, our_id=transfer.stripe_transfer_id or "")
    if not isinstance(outcome, Accepted):
        raise TransferNotReadable("Stripe does not show the transfer now. Nothing was changed: try again in a minute.")
    _decide(transfer_id, outcome.value, read_at=read_at, cause=cause)


@writes.atomic()
def _decide(transfer_id: UUID, snapshot: RemoteTransfer, *, read_at: datetime, cause: Cause) -> None:
    transfer = LOCKED_TRANSFER.get(transfer_id)
    intent = find_unanswered(transfer)
    if intent is None:
        return
    is_made = any(reversal.our_id == str(intent.pk) for reversal in snapshot.reversals)
    if not is_made and not _is_over(intent, read_at):
        raise TransferNotReadable("Stripe may still be working on the last attempt. Try again in two minutes.")
    if not apply_reversals(transfer, snapshot, read_at=read_at, cause=cause, at=timezone.now()):
        raise TransferNotReadable(
            "Stripe's newest reversals of the transfer do not add up to what it shows as reversed. Nothing was "
            "changed: compare them in Stripe's dashboard."
        )


def apply_reversals(
    transfer: SellerTransfer, snapshot: RemoteTransfer, *, read_at: datetime, cause: Cause, at: datetime
) -> bool:
    """Book what a snapshot, read at `read_at`, shows of a locked transfer's reversals.

    Our own reversal under way is left to its worker; an unanswered one that Stripe does not show was not made. False,
    and nothing changed, when Stripe's reversals do not add up.
    """
    assert connection.in_atomic_block, "reversals are booked in the transaction that holds the transfer's lock"
    intent = transfer.reversals.filter(status=ReversalStatus.SENDING).first()
    is_more = snapshot.reversed_minor > transfer.reversed_minor
    if is_more and not import_external(transfer, snapshot, intent=intent, cause=cause, at=at):
        return False
    is_unanswered = intent is not None and intent.status == ReversalStatus.SENDING
    if intent is not None and is_unanswered and transfer.status == TransferStatus.PERMANENTLY_FAILED:
        is_unanswered = not _close_unmade(transfer, intent, read_at=read_at, cause=cause, at=at)
    if not is_more:
        return True
    if transfer.status == TransferStatus.PERMANENTLY_FAILED and transfer.outstanding_minor:
        update_failed_review(transfer)
    elif not is_unanswered:
        resume(transfer, cause=cause, at=at)
    return True


def schedule_refresh(transfer: SellerTransfer, *, at: datetime) -> None:
    """Read a locked transfer again while an attempt to reverse it is unanswered: later each time, and not for ever."""
    intent = find_unanswered(transfer)
    if intent is None:
        return
    age = at - _last_sent_at(intent)
    if age < READ_UNANSWERED_FOR:
        update_fields(transfer, refresh_due_at=Now() + min(max(age, REFRESH_LEASE), REFRESH_AFTER))
        return
    update_fields(transfer, refresh_due_at=None)
    open_review(
        REVERSAL_FAILED,
        transfer,
        why=f"For {READ_UNANSWERED_FOR.days} days Stripe did not show whether the last attempt reversed the transfer.",
        what_to_do="Find the transfer in Stripe's dashboard. “Retry reversal” and “Write off debt” read it first.",
        amount_minor=transfer.outstanding_minor,
        currency=transfer.currency,
    )


def _close_unmade(
    transfer: SellerTransfer, intent: TransferReversal, *, read_at: datetime, cause: Cause, at: datetime
) -> bool:
    """Close an attempt that Stripe does not show although it is over: it was not made. The next one has another key."""
    if not _is_over(intent, read_at):
        return False
    close_attempt(intent, "never_made", "Stripe shows that it was not made.", cause=cause, at=at)
    why = "Stripe shows that the last attempt was not made."
    update_fields(transfer, key_epoch=transfer.key_epoch + 1, last_error=why)
    return True


def _is_over(intent: TransferReversal, read_at: datetime) -> bool:
    """Whether a request sent by the last attempt cannot be under way any more. Money moves at once, or not at all."""
    return read_at - _last_sent_at(intent) > LEASE


def _last_sent_at(intent: TransferReversal) -> datetime:
    return intent.last_sent_at or intent.first_sent_at or intent.created_at
