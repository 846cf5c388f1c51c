"""What each of Stripe's answers to a sending means for the row: one function a kind of answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connect.debts.set_off import pay_by_set_off
from connect.models import SellerTransfer, WaitingFor
from connect.postings import post_sent
from connect.reversals.reversal_outcomes import begin_reversal
from connect.states import TRANSFER_UNSENT, TransferStatus
from connect.stripe.client import BALANCE_TOO_LOW, DOES_NOT_EXIST
from connect.stripe.health import HEALTH
from connect.stripe.objects import RemoteTransfer
from connect.worker.waiting import TRANSFER_FAILED, change, give_up, try_later, unanswered, wait, with_transfers
from veza.core.causes import Cause
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected
from veza.core.reviews import close_review, open_review
from veza.core.states import may_move, move

log = structlog.get_logger(__name__)

# Our own word for a refusal after which Stripe says that the account cannot receive transfers: the refusal
# itself has no code to tell it by.
NOT_ALLOWED_TO_RECEIVE = "account_cannot_receive"
# Sending the same again cannot succeed until a person has changed something.
HOPELESS = frozenset({DOES_NOT_EXIST, "transfers_not_allowed", "account_invalid"})


@dataclass(frozen=True)
class TransferAttempt:
    """One try to send a transfer, as it was committed before the call."""

    transfer: SellerTransfer
    key: str
    destination: str
    amount_minor: int
    # Which sending of the row this is, and whether nothing may have reached Stripe before it.
    number: int
    first: bool
    key_may_be_forgotten: bool


@transaction.atomic(durable=True)
def record_transfer(sending: TransferAttempt, outcome: Outcome[RemoteTransfer], *, cause: Cause) -> None:
    """Book what came of `sending`. Money that moved is booked whatever else happened to the row meanwhile.

    Any other answer counts only from the last sending: an earlier one knows nothing about the one after it.
    """
    transfer, at = SellerTransfer.objects.locked().get(pk=sending.transfer.pk), timezone.now()
    if isinstance(outcome, Accepted):
        accept(transfer, outcome.value, cause=cause, at=at)
        return
    if transfer.status not in TRANSFER_UNSENT or transfer.sendings != sending.number:
        return
    match outcome:
        case Refused():
            _refused(transfer, outcome, cause=cause, at=at)
        case NotSent():
            _not_sent(transfer, sending, outcome, cause=cause, at=at)
        case Unknown(why=why):
            unanswered(transfer, why, with_transfers(), cause=cause, at=at)


def accept(transfer: SellerTransfer, snapshot: RemoteTransfer, *, cause: Cause, at: datetime) -> None:
    """Stripe has the transfer: book it once, and go straight on to what is to be taken back again."""
    if transfer.stripe_transfer_id or not may_move(transfer, TransferStatus.COMPLETED):
        if transfer.stripe_transfer_id != snapshot.transfer_id:
            _sent_twice(transfer, snapshot)
        return
    move(
        transfer,
        TransferStatus.COMPLETED,
        cause=cause,
        at=at,
        stripe_transfer_id=snapshot.transfer_id,
        completed_at=at,
        in_doubt_since=None,
        waiting_for=WaitingFor.NOTHING,
        retry_count=0,
        next_retry_at=None,
        last_error="",
    )
    post_sent(transfer, at=at)
    close_review(TRANSFER_FAILED, transfer, note=f"Stripe has it: {snapshot.transfer_id}.")
    if snapshot.reversed_minor:
        # Found late, and somebody has reversed it meanwhile: the event that said so matched nothing then.
        change(transfer, refresh_due_at=Now())
    if transfer.owed_minor:
        begin_reversal(transfer, cause=cause, at=at)


def _refused(transfer: SellerTransfer, refused: Refused, *, cause: Cause, at: datetime) -> None:
    cleared: dict[str, Any] = {"in_doubt_since": None, "key_epoch": transfer.key_epoch + 1}
    why = f"{refused.code} {refused.message}".strip()
    if _nothing_left_to_send(transfer, cause=cause, at=at, **cleared):
        return
    if refused.code in BALANCE_TOO_LOW:
        pause = settings.TRANSFER_RETRY_BACKOFF_MAX
        wait(transfer, WaitingFor.PLATFORM_BALANCE, look_again=pause, why=why, **cleared)
    elif refused.code == NOT_ALLOWED_TO_RECEIVE:
        pause = settings.TRANSFER_RETRY_BACKOFF_MAX
        wait(transfer, WaitingFor.ACCOUNT, look_again=pause, why=refused.message, **cleared)
    elif refused.code in HOPELESS:
        give_up(transfer, why, cause=cause, at=at, **cleared)
    else:
        if transfer.status == TransferStatus.PENDING:
            move(transfer, TransferStatus.FAILED, cause=cause, at=at)
        try_later(transfer, why, with_transfers(), cause=cause, at=at, **cleared)


def _not_sent(
    transfer: SellerTransfer, sending: TransferAttempt, outcome: NotSent, *, cause: Cause, at: datetime
) -> None:
    HEALTH.open_review_if_rejected(outcome, transfer)
    fields: dict[str, Any] = {"next_retry_at": Now() + with_transfers().base, "last_error": outcome.why[:500]}
    if sending.first:
        # Stripe may have stored the refusal at its gate under this key.
        cleared = {"in_doubt_since": None, "key_epoch": transfer.key_epoch + auth_rejected(outcome)}
        if _nothing_left_to_send(transfer, cause=cause, at=at, **cleared):
            return
        fields |= cleared
    change(transfer, **fields)


def _nothing_left_to_send(transfer: SellerTransfer, *, cause: Cause, at: datetime, **cleared: Any) -> bool:
    """Once it is certain that nothing was sent, what was to be taken back is simply not sent."""
    target, left = transfer.reversal_target_minor, transfer.sent_minor - transfer.reversal_target_minor
    if left == 0 and transfer.kept_back_minor == 0:
        cleared |= {"reversal_target_minor": 0, "next_retry_at": None, "waiting_for": WaitingFor.NOTHING}
        move(transfer, TransferStatus.CANCELLED, cause=cause, at=at, **cleared)
        close_review(TRANSFER_FAILED, transfer, note="There is nothing to send any more.")
        return True
    if target:
        change(transfer, amount_minor=transfer.amount_minor - target, reversal_target_minor=0)
    if left == 0:
        pay_by_set_off(transfer, cause=cause, at=at, **cleared)
    return left == 0


def _sent_twice(transfer: SellerTransfer, snapshot: RemoteTransfer) -> None:
    why = f"Stripe has {snapshot.transfer_id} for it; ours is {transfer.stripe_transfer_id or transfer.status}"
    log.error("transfer_sent_twice", transfer=str(transfer.pk), why=why)
    open_review(
        "transfer_sent_twice",
        transfer,
        why=why,
        what_to_do="Compare the two in Stripe's dashboard and reverse the one that is too many.",
        amount_minor=snapshot.amount_minor,
        currency=transfer.currency,
    )


def several_found(transfer: SellerTransfer, stripe_transfer_ids: Sequence[str]) -> None:
    """Open a case about several transfers at Stripe that fit one row: none is picked."""
    open_review(
        "transfer_sent_twice",
        transfer,
        why="Stripe has several transfers of this row: " + ", ".join(stripe_transfer_ids),
        what_to_do="Compare them in Stripe's dashboard and reverse those that are too many.",
        amount_minor=(len(stripe_transfer_ids) - 1) * transfer.sent_minor,
        currency=transfer.currency,
    )
