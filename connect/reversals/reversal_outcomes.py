"""What each of Stripe's answers to a reversal means for the row, and what a look at the transfer shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal, WaitingFor
from connect.reversals.external_reversals import adopt, book_reversed
from connect.states import ReversalStatus, TransferStatus
from connect.stripe.client import BALANCE_TOO_LOW
from connect.stripe.health import HEALTH
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.worker.retries import debt_wait
from connect.worker.waiting import REVERSAL_FAILED, change, give_up, unanswered, wait, with_reversals
from veza.core.causes import Cause
from veza.core.models import StatusChange
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected
from veza.core.reviews import close_review, open_review
from veza.core.states import move

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReversalAttempt:
    """One try to take something back, as it was committed before the call."""

    transfer: SellerTransfer
    intent: TransferReversal
    # Which sending of the row this is, and whether nothing may have reached Stripe for this intent before it.
    number: int
    first: bool
    key_may_be_forgotten: bool

    @property
    def stripe_transfer_id(self) -> str:
        return self.transfer.stripe_transfer_id or ""


@transaction.atomic(durable=True)
def record_reversal(taking: ReversalAttempt, outcome: Outcome[RemoteReversal], *, cause: Cause) -> None:
    """Book what came of `taking`. Money that moved is booked whatever else happened to the row meanwhile.

    Any other answer counts only from the last sending: an earlier one knows nothing about the one after it.
    """
    transfer, intent, at = _locked(taking)
    if isinstance(outcome, Accepted):
        _made(transfer, intent, outcome.value.reversal_id, cause=cause, at=at)
        return
    if not _still_open(transfer, intent, taking):
        return
    match outcome:
        case Refused():
            _refused(transfer, intent, outcome, cause=cause, at=at)
        case NotSent():
            _not_sent(transfer, intent, taking, outcome, cause=cause, at=at)
        case Unknown(why=why):
            unanswered(transfer, why, with_reversals(), cause=cause, at=at)


@transaction.atomic(durable=True)
def record_look(
    taking: ReversalAttempt, looked: Outcome[RemoteTransfer], *, refused: Refused | None, cause: Cause
) -> None:
    """Book what reading the transfer showed, after a refusal or before a key that may be forgotten is used
    again.

    Only the amounts count. Nothing taken back past the intent makes the refusal a real one.
    """
    transfer, intent, at = _locked(taking)
    if not _still_open(transfer, intent, taking):
        return
    match looked:
        case Accepted(value=snapshot) if snapshot.reversed_minor > transfer.reversed_minor:
            _adopt(transfer, intent, snapshot, cause=cause, at=at)
        case Accepted() if transfer.reversed_minor > intent.from_minor:
            # Somebody else's reversal, booked already, overtook the intent: it asks for more than is left to ask for.
            _close(intent, "already_reversed", "Another reversal was made meanwhile.", cause=cause, at=at)
            go_on(transfer, cause=cause, at=at)
        case Accepted() if refused is not None:
            _refused(transfer, intent, refused, cause=cause, at=at)
        case Refused() if refused is None:
            _refused(transfer, intent, looked, cause=cause, at=at)
        case NotSent():
            _not_sent(transfer, intent, taking, looked, cause=cause, at=at)
        case _:
            why = looked.why if isinstance(looked, Unknown) else "The transfer could not be read."
            unanswered(transfer, why, with_reversals(), cause=cause, at=at)


def go_on(transfer: SellerTransfer, *, cause: Cause, at: datetime) -> None:
    """Stand where the amounts say: more to take back, all of it back, or the rest stays with the seller."""
    if transfer.owed_minor:
        begin_reversal(transfer, cause=cause, at=at)
        return
    done = TransferStatus.REVERSED if transfer.reversed_minor == transfer.sent_minor else TransferStatus.COMPLETED
    if transfer.status == done:
        return
    if transfer.status == TransferStatus.COMPLETED:
        # All of it was taken back without our asking: it passes through the state in which it would have been asked.
        move(transfer, TransferStatus.REVERSAL_PENDING, cause=cause, at=at, next_retry_at=Now())
    settled = {"next_retry_at": None, "retry_count": 0, "waiting_for": WaitingFor.NOTHING, "last_error": ""}
    move(transfer, done, cause=cause, at=at, **settled)
    close_review(REVERSAL_FAILED, transfer, note="Nothing is owed any more.")


def begin_reversal(transfer: SellerTransfer, *, cause: Cause, at: datetime) -> None:
    """Make a transfer due for taking back what it owes."""
    due: dict[str, Any] = {"next_retry_at": Now(), "retry_count": 0, "waiting_for": WaitingFor.NOTHING}
    if transfer.status == TransferStatus.REVERSAL_PENDING:
        change(transfer, **due)
    else:
        move(transfer, TransferStatus.REVERSAL_PENDING, cause=cause, at=at, **due)


def _locked(taking: ReversalAttempt) -> tuple[SellerTransfer, TransferReversal, datetime]:
    transfer = SellerTransfer.objects.locked().get(pk=taking.transfer.pk)
    return transfer, TransferReversal.objects.locked().get(pk=taking.intent.pk), timezone.now()


def _still_open(transfer: SellerTransfer, intent: TransferReversal, taking: ReversalAttempt) -> bool:
    return (
        transfer.status == TransferStatus.REVERSAL_PENDING
        and intent.status == ReversalStatus.SENDING
        and transfer.sendings == taking.number
    )


def _made(
    transfer: SellerTransfer, intent: TransferReversal, stripe_reversal_id: str, *, cause: Cause, at: datetime
) -> None:
    if intent.status == ReversalStatus.MADE and intent.stripe_reversal_id == stripe_reversal_id:
        return
    if intent.status != ReversalStatus.SENDING:
        _reversed_twice(transfer, intent, stripe_reversal_id)
        return
    move(intent, ReversalStatus.MADE, cause=cause, at=at, stripe_reversal_id=stripe_reversal_id)
    book_reversed(transfer, intent, at=at)
    go_on(transfer, cause=cause, at=at)


def _refused(
    transfer: SellerTransfer, intent: TransferReversal, refused: Refused, *, cause: Cause, at: datetime
) -> None:
    waited = _refusals_of_this_debt(transfer)
    _close(intent, refused.code, refused.message, cause=cause, at=at)
    why = f"{refused.code} {refused.message}".strip()
    epoch = transfer.key_epoch + 1
    if refused.code in BALANCE_TOO_LOW:
        wait(transfer, WaitingFor.DEBT, look_again=debt_wait(waited), why=why, key_epoch=epoch)
    else:
        give_up(transfer, why, cause=cause, at=at, key_epoch=epoch)


def _refusals_of_this_debt(transfer: SellerTransfer) -> int:
    """How often the seller's balance was too low since the transfer last came to owe something."""
    begun = StatusChange.objects.filter(subject_id=transfer.pk, to_status=TransferStatus.REVERSAL_PENDING)
    refusals = transfer.reversals.filter(error_code__in=BALANCE_TOO_LOW)
    if (last := begun.order_by("-pk").first()) is not None:
        # Keys begin with their time.
        refusals = refusals.filter(pk__gt=last.pk)
    return refusals.count()


def _close(intent: TransferReversal, code: str, message: str, *, cause: Cause, at: datetime) -> None:
    told = {"error_code": code[:100], "error_message": message[:500]}
    move(intent, ReversalStatus.REFUSED, cause=cause, at=at, **told)


def _not_sent(
    transfer: SellerTransfer,
    intent: TransferReversal,
    taking: ReversalAttempt,
    outcome: NotSent,
    *,
    cause: Cause,
    at: datetime,
) -> None:
    fields: dict[str, Any] = {"next_retry_at": Now() + with_reversals().base, "last_error": outcome.why[:500]}
    HEALTH.open_review_if_rejected(outcome, transfer)
    if auth_rejected(outcome) and taking.first:
        # Stripe may have stored the refusal at its gate under this key.
        _close(intent, "turned_away", outcome.why, cause=cause, at=at)
        fields["key_epoch"] = transfer.key_epoch + 1
    change(transfer, **fields)


def _adopt(
    transfer: SellerTransfer, intent: TransferReversal, snapshot: RemoteTransfer, *, cause: Cause, at: datetime
) -> None:
    """Book what Stripe took back and we have not booked, ours or made elsewhere, and go on from there."""
    if not adopt(transfer, snapshot, intent=intent, cause=cause, at=at):
        _close(intent, "", "Stripe's reversals do not add up to what it took back.", cause=cause, at=at)
        why = f"Stripe took back {snapshot.reversed_minor} in ways we cannot list"
        # The key of the closed intent is used up: a retry by hand needs another.
        give_up(transfer, why, cause=cause, at=at, key_epoch=transfer.key_epoch + 1)
        return
    if intent.status == ReversalStatus.SENDING:
        _close(intent, "already_reversed", "Stripe had taken it back already.", cause=cause, at=at)
    go_on(transfer, cause=cause, at=at)


def _reversed_twice(transfer: SellerTransfer, intent: TransferReversal, stripe_reversal_id: str) -> None:
    why = f"Stripe made {stripe_reversal_id} for an intent that is {intent.status}"
    log.error("transfer_reversed_twice", transfer=str(transfer.pk), why=why)
    open_review(
        "transfer_reversed_twice",
        transfer,
        why=why,
        what_to_do="Compare the transfer in Stripe's dashboard with ours; pay the seller what was too much.",
        amount_minor=intent.amount_minor,
        currency=transfer.currency,
    )
