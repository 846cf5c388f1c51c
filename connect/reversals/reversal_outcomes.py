"""What each of Stripe's answers about a reversal means for the row, and how external reversals are imported.

Money that moved is always booked, whoever asked for it: a worker, or an operator in Stripe's dashboard.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from connect.messages.transfers import write_debt_email, write_reversal_email
from connect.models import LOCKED_TRANSFER, SellerTransfer, TransferReversal, WaitingFor
from connect.postings import post_recovered, post_reversed
from connect.states import ReversalStatus, TransferStatus
from connect.stripe.client import BALANCE_TOO_LOW
from connect.stripe.health import HEALTH
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.worker.retry_policy import (
    REVERSAL_FAILED,
    debt_backoff,
    fail_permanently,
    retry_unanswered,
    reversal_policy,
    update_fields,
    wait_for,
)
from veza.core import reads, writes
from veza.core.causes import Cause
from veza.core.models import StatusChange
from veza.core.money import format_amount
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected
from veza.core.reviews import close_review, open_review
from veza.core.states import move

log = structlog.get_logger(__name__)
# The review item of a reversal that was made in Stripe's dashboard.
EXTERNAL_REVERSAL = "external_reversal"
# The review item of a reversal that Stripe made for an intent which had ended.
REVERSED_TWICE = "transfer_reversed_twice"

_INTENT = reads.Read(lambda key: TransferReversal.objects.filter(pk=key), UUID, is_kept=True)


@dataclass(frozen=True)
class ReversalAttempt:
    """One attempt to reverse, as it was committed before the call."""

    transfer: SellerTransfer
    intent: TransferReversal
    # Which attempt of the row this is, and whether it is the first one for this intent.
    number: int
    is_first: bool
    key_may_be_forgotten: bool


@writes.atomic()
def record_reversal(attempt: ReversalAttempt, outcome: Outcome[RemoteReversal], *, cause: Cause) -> None:
    """Book the outcome of `attempt`. Money that moved is booked whatever else happened to the row meanwhile.

    Any other answer counts only for the last attempt: an earlier one knows nothing about the one after it.
    """
    transfer, intent, at = _lock(attempt)
    if isinstance(outcome, Accepted):
        assert outcome.value.amount_minor == intent.amount_minor, "an accepted reversal is of the intent's amount"
        _record_success(transfer, intent, outcome.value.reversal_id, cause=cause, at=at)
        return
    if not _is_current(transfer, intent, attempt):
        return
    match outcome:
        case Refused():
            _record_refusal(transfer, intent, outcome, cause=cause, at=at)
        case NotSent():
            _record_not_sent(transfer, intent, attempt, outcome, cause=cause, at=at)
        case Unknown(why=why):
            retry_unanswered(transfer, why, reversal_policy(), cause=cause, at=at)


@writes.atomic()
def record_refresh(
    attempt: ReversalAttempt, answer: Outcome[RemoteTransfer], *, refusal: Refused | None, cause: Cause
) -> None:
    """Book what reading the transfer showed, after a refusal, or before a key that Stripe may have forgotten.

    Only the amounts count. When nothing was reversed beyond the intent's start, the refusal is final.
    """
    transfer, intent, at = _lock(attempt)
    if not _is_current(transfer, intent, attempt):
        return
    match answer:
        case Accepted(value=snapshot) if snapshot.reversed_minor > transfer.reversed_minor:
            _import_and_resume(transfer, intent, snapshot, cause=cause, at=at)
        case Accepted() if transfer.reversed_minor > intent.from_minor:
            # An external reversal, booked already, overtook the intent: it asks for more than Stripe still has.
            close_attempt(intent, "already_reversed", "Another reversal was made meanwhile.", cause=cause, at=at)
            resume(transfer, cause=cause, at=at)
        case Accepted() if refusal is not None:
            _record_refusal(transfer, intent, refusal, cause=cause, at=at)
        case Refused() if refusal is None:
            _record_refusal(transfer, intent, answer, cause=cause, at=at)
        case NotSent():
            _record_not_sent(transfer, intent, attempt, answer, cause=cause, at=at)
        case _:
            why = answer.why if isinstance(answer, Unknown) else "The transfer could not be read."
            retry_unanswered(transfer, why, reversal_policy(), cause=cause, at=at)


def resume(transfer: SellerTransfer, *, cause: Cause, at: datetime) -> None:
    """Move a locked transfer to where its amounts say: more to reverse, fully reversed, or completed with the rest."""
    if transfer.outstanding_minor:
        begin_reversal(transfer, cause=cause, at=at)
        return
    assert transfer.reversed_minor == transfer.reversal_target_minor, "a transfer rests when its target is reversed"
    is_all = transfer.reversed_minor == transfer.sent_minor
    to = TransferStatus.REVERSED if is_all else TransferStatus.COMPLETED
    if transfer.status == to:
        return
    if transfer.status == TransferStatus.COMPLETED:
        # Reversed in full without our asking: it passes through the status in which it would have been asked for.
        move(transfer, TransferStatus.REVERSAL_PENDING, cause=cause, at=at, next_retry_at=Now())
    rest = {"next_retry_at": None, "retry_count": 0, "waiting_for": WaitingFor.NOTHING, "last_error": ""}
    move(transfer, to, cause=cause, at=at, **rest)
    close_review(REVERSAL_FAILED, transfer, note="Nothing is owed any more.")


def begin_reversal(transfer: SellerTransfer, *, cause: Cause, at: datetime) -> None:
    """Make a locked transfer due for reversing what is outstanding."""
    due: dict[str, Any] = {"next_retry_at": Now(), "retry_count": 0, "waiting_for": WaitingFor.NOTHING}
    if transfer.status == TransferStatus.REVERSAL_PENDING:
        update_fields(transfer, **due)
    else:
        move(transfer, TransferStatus.REVERSAL_PENDING, cause=cause, at=at, **due)


def import_external(
    transfer: SellerTransfer, snapshot: RemoteTransfer, *, intent: TransferReversal | None, cause: Cause, at: datetime
) -> bool:
    """Book every reversal of a locked transfer that Stripe shows and Veza has not booked.

    `intent` is the one under way: a reversal that carries its id ends it. False, and nothing booked, when the
    reversals do not add up to the amount that Stripe shows as reversed.
    """
    assert snapshot.transfer_id == transfer.stripe_transfer_id, "a snapshot is of the transfer it is booked for"
    assert intent is None or intent.transfer_id == transfer.pk, "an intent is of the transfer it reverses"
    booked_ids = set(transfer.reversals.values_list("stripe_reversal_id", flat=True))
    new = [reversal for reversal in reversed(snapshot.reversals) if reversal.reversal_id not in booked_ids]
    if sum(reversal.amount_minor for reversal in new) != snapshot.reversed_minor - transfer.reversed_minor:
        return False
    for reversal in new:
        _import_one(transfer, reversal, intent=intent, cause=cause, at=at)
    assert transfer.reversed_minor == snapshot.reversed_minor, "after an import both sides have reversed the same"
    update_fields(transfer, key_epoch=transfer.key_epoch + 1)
    return True


def _import_one(
    transfer: SellerTransfer, reversal: RemoteReversal, *, intent: TransferReversal | None, cause: Cause, at: datetime
) -> None:
    if intent is not None and reversal.our_id == str(intent.pk):
        assert reversal.amount_minor == intent.amount_minor, "Stripe reverses what it was asked to"
        move(intent, ReversalStatus.MADE, cause=cause, at=at, stripe_reversal_id=reversal.reversal_id)
        row = intent
    else:
        row = TransferReversal(
            transfer=transfer,
            correlation_id=transfer.correlation_id,
            from_minor=transfer.reversed_minor,
            to_minor=transfer.reversed_minor + reversal.amount_minor,
            currency=transfer.currency,
            key=f"{transfer.pk}:found:{reversal.reversal_id}",
            status=ReversalStatus.MADE,
            stripe_reversal_id=reversal.reversal_id,
        )
        writes.insert([row])
        _open_external_review(transfer, reversal)
    _book(transfer, row, at=at)


def _book(transfer: SellerTransfer, reversal: TransferReversal, *, at: datetime) -> None:
    """Book one reversal of a locked transfer.

    Beyond the target it pays what was written off; only the rest is external: no refund or dispute asked for it.
    """
    assert connection.in_atomic_block, "a reversal is booked in the transaction that holds the transfer's lock"
    assert reversal.amount_minor > 0, "a reversal is of more than nothing"
    post_reversed(transfer, reversal, at=at)
    total = transfer.reversed_minor + reversal.amount_minor
    excess = max(0, total - transfer.reversal_target_minor)
    recovered = _recoverable(transfer, reversal.amount_minor)
    post_recovered(transfer, recovered, at=at)
    update_fields(
        transfer,
        reversed_minor=total,
        reversal_target_minor=transfer.reversal_target_minor + excess,
        external_reversed_minor=transfer.external_reversed_minor + excess - recovered,
        offset_minor=transfer.offset_minor - recovered,
        written_off_minor=transfer.written_off_minor - recovered,
        stripe_reversal_id=reversal.stripe_reversal_id,
    )
    write_reversal_email(transfer, reversal)


def _recoverable(transfer: SellerTransfer, amount_minor: int) -> int:
    """What a further reversal of `amount_minor` pays of the part that was written off: all beyond the target."""
    excess = transfer.reversed_minor + amount_minor - transfer.reversal_target_minor
    return max(0, min(excess, transfer.written_off_minor))


def _lock(attempt: ReversalAttempt) -> tuple[SellerTransfer, TransferReversal, datetime]:
    # An intent is written only under its transfer's lock.
    reads.together(LOCKED_TRANSFER.on(attempt.transfer.pk), _INTENT.on(attempt.intent.pk))
    transfer, intent = LOCKED_TRANSFER.get(attempt.transfer.pk), _INTENT.get(attempt.intent.pk)
    assert intent.currency == transfer.currency, "a reversal is in its transfer's currency"
    return transfer, intent, timezone.now()


def _is_current(transfer: SellerTransfer, intent: TransferReversal, attempt: ReversalAttempt) -> bool:
    return (
        transfer.status == TransferStatus.REVERSAL_PENDING
        and intent.status == ReversalStatus.SENDING
        and transfer.send_attempts == attempt.number
    )


def _record_success(
    transfer: SellerTransfer, intent: TransferReversal, stripe_reversal_id: str, *, cause: Cause, at: datetime
) -> None:
    if intent.status == ReversalStatus.MADE and intent.stripe_reversal_id == stripe_reversal_id:
        return
    if intent.status != ReversalStatus.SENDING:
        # The money has moved: reading the transfer books it.
        update_fields(transfer, refresh_due_at=Now())
        _open_duplicate_review(transfer, intent, stripe_reversal_id)
        return
    move(intent, ReversalStatus.MADE, cause=cause, at=at, stripe_reversal_id=stripe_reversal_id)
    _book(transfer, intent, at=at)
    resume(transfer, cause=cause, at=at)


def _record_refusal(
    transfer: SellerTransfer, intent: TransferReversal, refusal: Refused, *, cause: Cause, at: datetime
) -> None:
    owed_since = _owed_since(transfer)
    earlier = _refusals_of_debt(transfer, owed_since)
    close_attempt(intent, refusal.code, refusal.message, cause=cause, at=at)
    why = f"{refusal.code} {refusal.message}".strip()
    epoch = transfer.key_epoch + 1
    if refusal.code in BALANCE_TOO_LOW:
        wait_for(transfer, WaitingFor.DEBT, recheck_after=debt_backoff(earlier), why=why, key_epoch=epoch)
        write_debt_email(transfer, owed_since=owed_since)
    else:
        fail_permanently(transfer, why, cause=cause, at=at, key_epoch=epoch)


def _owed_since(transfer: SellerTransfer) -> UUID | None:
    """The key of the status change that last made the transfer due for reversal. Keys begin with their time."""
    starts = StatusChange.objects.filter(subject_id=transfer.pk, to_status=TransferStatus.REVERSAL_PENDING)
    return starts.order_by("-pk").values_list("pk", flat=True).first()


def _refusals_of_debt(transfer: SellerTransfer, owed_since: UUID | None) -> int:
    """How often the seller's balance was too low since then."""
    refusals = transfer.reversals.filter(error_code__in=BALANCE_TOO_LOW)
    return (refusals.filter(pk__gt=owed_since) if owed_since else refusals).count()


def close_attempt(intent: TransferReversal, code: str, message: str, *, cause: Cause, at: datetime) -> None:
    fields = {"error_code": code[:100], "error_message": message[:500]}
    move(intent, ReversalStatus.REFUSED, cause=cause, at=at, **fields)


def _record_not_sent(
    transfer: SellerTransfer,
    intent: TransferReversal,
    attempt: ReversalAttempt,
    outcome: NotSent,
    *,
    cause: Cause,
    at: datetime,
) -> None:
    fields: dict[str, Any] = {"next_retry_at": Now() + reversal_policy().base, "last_error": outcome.why[:500]}
    HEALTH.open_review_if_rejected(outcome, transfer)
    if auth_rejected(outcome) and attempt.is_first:
        # Stripe may have stored the rejection under this key.
        close_attempt(intent, "turned_away", outcome.why, cause=cause, at=at)
        fields["key_epoch"] = transfer.key_epoch + 1
    update_fields(transfer, **fields)


def _import_and_resume(
    transfer: SellerTransfer, intent: TransferReversal, snapshot: RemoteTransfer, *, cause: Cause, at: datetime
) -> None:
    """Import what Stripe has reversed, ours or external, and resume from there."""
    if not import_external(transfer, snapshot, intent=intent, cause=cause, at=at):
        close_attempt(intent, "", "Stripe's reversals do not add up to the amount it shows.", cause=cause, at=at)
        why = f"Stripe shows {snapshot.reversed_minor} reversed, and its newest reversals do not add up to it."
        # The key of the closed intent is spent: a retry by support needs another.
        fail_permanently(transfer, why, cause=cause, at=at, key_epoch=transfer.key_epoch + 1)
        return
    if intent.status == ReversalStatus.SENDING:
        close_attempt(intent, "already_reversed", "Stripe had reversed it already.", cause=cause, at=at)
    resume(transfer, cause=cause, at=at)


def _open_external_review(transfer: SellerTransfer, reversal: RemoteReversal) -> None:
    recovered = _recoverable(transfer, reversal.amount_minor)
    texts = []
    if recovered:
        amount = format_amount(recovered, transfer.currency)
        texts.append(f"It is booked: {amount} of it pays what was written off, and is no loss any more.")
    if recovered < reversal.amount_minor:
        texts.append(
            "It is booked, and Veza does not pay the seller again on its own: check with whoever made it. A later "
            "refund of the order counts it as reversed already. If it was a mistake: “Reissue transfer” on its page."
        )
    else:
        texts.append("Check with whoever made it, then close this item.")
    open_review(
        EXTERNAL_REVERSAL,
        transfer,
        why=f"{reversal.reversal_id} is an external reversal: it was made in Stripe's dashboard, not by Veza.",
        what_to_do=" ".join(texts),
        amount_minor=reversal.amount_minor,
        currency=transfer.currency,
    )


def _open_duplicate_review(transfer: SellerTransfer, intent: TransferReversal, stripe_reversal_id: str) -> None:
    why = f"Stripe made {stripe_reversal_id} for an intent that is {intent.status}"
    log.error("transfer_reversed_twice", transfer=str(transfer.pk), why=why)
    open_review(
        REVERSED_TWICE,
        transfer,
        why=why,
        what_to_do="Finance: press “Refresh from Stripe” on the transfer's page: Veza books the second reversal, and "
        "offers to reissue what was reversed too much.",
        amount_minor=intent.amount_minor,
        currency=transfer.currency,
    )
