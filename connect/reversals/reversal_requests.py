"""Transfers are reversed: exactly what is outstanding, once, whatever fails on the way.

Each attempt belongs to an intent, from one reversed amount to another, committed before the call. Stripe has no code
for "already reversed", so the wording of a refusal is never judged: the transfer is read and its amounts are compared.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from connect.models import LOCKED_TRANSFER, SellerTransfer, TransferReversal
from connect.reversals.reversal_outcomes import (
    ReversalAttempt,
    begin_reversal,
    record_refresh,
    record_reversal,
    resume,
)
from connect.reversals.reversal_refresh import decide_unanswered
from connect.states import ReversalStatus, TransferStatus
from connect.stripe import client
from connect.stripe.client import BALANCE_TOO_LOW, DOES_NOT_EXIST
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.worker.retry_policy import (
    KEY_IS_SAFE_FOR,
    drain,
    fail_permanently,
    reversal_policy,
    schedule_retry,
    update_fields,
)
from veza.core import calls, writes
from veza.core.causes import Cause, by_sweep
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, Outcome, Refused
from veza.core.sweeps import Tally

SWEEP = "connect.process_reversals"


class ReversalNotRetryable(NotAllowed):
    code = "reversal_not_retryable"


def process_due(*, call_for_help: Callable[[], object] | None = None) -> Tally:
    """Reverse every transfer that is due."""
    cause = by_sweep(SWEEP)
    return drain(
        SWEEP,
        rows=SellerTransfer.objects.to_reverse(),
        perform=lambda transfer_id: reverse_transfer(transfer_id, cause=cause),
        on_error=lambda transfer_id, why: count_error(transfer_id, why, cause=cause),
        call_for_help=call_for_help,
    )


def reverse_transfer(transfer_id: UUID, *, cause: Cause) -> Outcome[object] | None:
    """Reverse what is outstanding of one transfer and book the answer. None when nothing is to be reversed now."""
    attempt = open_reversal(transfer_id, cause=cause)
    if attempt is None:
        return None
    if attempt.key_may_be_forgotten:
        answer = _read_transfer(attempt)
        if not isinstance(answer, Accepted) or answer.value.reversed_minor > attempt.intent.from_minor:
            # Reversed beyond the intent's start, booked or not: the intent's amount is out of date.
            record_refresh(attempt, answer, refusal=None, cause=cause)
            return answer
    outcome = _send(attempt)
    if isinstance(outcome, Refused) and not _is_plain(outcome):
        record_refresh(attempt, _read_transfer(attempt), refusal=outcome, cause=cause)
    else:
        record_reversal(attempt, outcome, cause=cause)
    return outcome


def _is_plain(refusal: Refused) -> bool:
    """Whether a refusal speaks for itself. Any other may mean that the money is reversed already."""
    return refusal.code in BALANCE_TOO_LOW or (refusal.call.status == 404 and refusal.code == DOES_NOT_EXIST)


@writes.atomic()
def open_reversal(transfer_id: UUID, *, cause: Cause) -> ReversalAttempt | None:
    """Commit what is about to be reversed. An intent without an answer is attempted again as it is.

    A transfer that has no id at Stripe fails without a call. None when nothing is to be reversed.
    """
    transfer, at = LOCKED_TRANSFER.get(transfer_id), timezone.now()
    if transfer.status != TransferStatus.REVERSAL_PENDING:
        return None
    if not transfer.stripe_transfer_id:
        why = "The transfer has no id at Stripe, so nothing can be reversed."
        fail_permanently(transfer, why, cause=cause, at=at)
        return None
    intent = transfer.reversals.filter(status=ReversalStatus.SENDING).first()
    if intent is None and transfer.outstanding_minor == 0:
        resume(transfer, cause=cause, at=at)
        return None
    first_sent_at = intent.first_sent_at if intent else None
    if intent is None:
        intent = _open_intent(transfer, at=at)
    else:
        writes.update(intent, last_sent_at=at)
    update_fields(transfer, send_attempts=transfer.send_attempts + 1)
    return ReversalAttempt(
        transfer=transfer,
        intent=intent,
        number=transfer.send_attempts,
        is_first=first_sent_at is None,
        key_may_be_forgotten=first_sent_at is not None and at - first_sent_at > KEY_IS_SAFE_FOR,
    )


def _open_intent(transfer: SellerTransfer, *, at: datetime) -> TransferReversal:
    start, end = transfer.reversed_minor, transfer.reversal_target_minor
    assert 0 <= start < end <= transfer.sent_minor, "an intent reverses something, and never more than was sent"
    intent = TransferReversal(
        transfer=transfer,
        correlation_id=transfer.correlation_id,
        from_minor=start,
        to_minor=end,
        currency=transfer.currency,
        key=f"{transfer.pk}:reversal:{start}-{end}:{transfer.key_epoch}",
        first_sent_at=at,
        last_sent_at=at,
    )
    writes.insert([intent])
    return intent


def _send(attempt: ReversalAttempt) -> Outcome[RemoteReversal]:
    transfer, intent = attempt.transfer, attempt.intent
    assert 0 < intent.amount_minor <= transfer.sent_minor, "never more reversed than sent, and never nothing"
    assert intent.currency == transfer.currency, "a reversal is in its transfer's currency"
    outcome = client.create_reversal(
        stripe_transfer_id=transfer.stripe_transfer_id or "",
        amount_minor=intent.amount_minor,
        currency=intent.currency,
        reversal_id=intent.pk,
        order_id=intent.correlation_id,
        idempotency_key=intent.key,
    )
    calls.record(outcome, subject=transfer, our_id=intent.key)
    return outcome


def _read_transfer(attempt: ReversalAttempt) -> Outcome[RemoteTransfer]:
    outcome = client.read_transfer(attempt.transfer.stripe_transfer_id or "")
    calls.record(outcome, subject=attempt.transfer, our_id=attempt.intent.key)
    return outcome


@writes.atomic()
def count_error(transfer_id: UUID, why: str, *, cause: Cause) -> None:
    """Count a retry for a row that raised an error of our own, so that it fails in the end."""
    transfer = LOCKED_TRANSFER.get(transfer_id)
    if transfer.status == TransferStatus.REVERSAL_PENDING:
        schedule_retry(transfer, why, reversal_policy(), cause=cause, at=timezone.now())


def retry(*, transfer_id: UUID, cause: Cause) -> SellerTransfer:
    """Make a failed reversal due again, for the worker's next sweep.

    If the last attempt was never answered, the transfer is read at Stripe first: when it was made, and nothing is left
    to reverse, the transfer returned has ended. Raises ReversalNotRetryable, TransferNotReadable.
    """
    before = SellerTransfer.objects.get(pk=transfer_id)
    decide_unanswered(transfer_id, cause=cause)
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    if transfer.reversed_minor > before.reversed_minor and not transfer.outstanding_minor:
        return transfer
    return _begin_again(transfer_id, cause=cause)


@writes.atomic()
def _begin_again(transfer_id: UUID, *, cause: Cause) -> SellerTransfer:
    transfer = LOCKED_TRANSFER.get(transfer_id)
    if transfer.status != TransferStatus.PERMANENTLY_FAILED or not transfer.stripe_transfer_id:
        raise ReversalNotRetryable("Only a transfer that Stripe has and whose reversal failed can be retried.")
    begin_reversal(transfer, cause=cause, at=timezone.now())
    return transfer
