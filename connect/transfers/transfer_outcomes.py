"""What each of Stripe's answers to a transfer means for the row: one function for each kind of answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from connect.debts.set_off import complete_by_set_off
from connect.messages.transfers import write_transfer_email
from connect.models import LOCKED_TRANSFER, SellerTransfer, WaitingFor
from connect.postings import post_sent
from connect.reversals.reversal_outcomes import begin_reversal
from connect.states import TRANSFER_UNSENT, TransferStatus
from connect.stripe.client import BALANCE_TOO_LOW, DOES_NOT_EXIST
from connect.stripe.health import HEALTH
from connect.stripe.objects import RemoteTransfer
from connect.worker.retry_policy import (
    TRANSFER_FAILED,
    fail_permanently,
    retry_unanswered,
    schedule_retry,
    transfer_policy,
    update_fields,
    wait_for,
)
from veza.core import writes
from veza.core.causes import Cause
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected
from veza.core.reviews import close_review, open_review
from veza.core.states import may_move, move

log = structlog.get_logger(__name__)

# Veza's own code for a refusal after which Stripe shows that the account cannot receive transfers: the refusal itself
# carries none.
NOT_ALLOWED_TO_RECEIVE = "account_cannot_receive"
# The review item of a row for which Stripe has several transfers.
SENT_TWICE = "transfer_sent_twice"
# The same request cannot succeed until the account or our data was changed.
HOPELESS = frozenset({DOES_NOT_EXIST, "transfers_not_allowed", "account_invalid"})


@dataclass(frozen=True)
class TransferAttempt:
    """One attempt to send a transfer, as it was committed before the call."""

    transfer: SellerTransfer
    key: str
    destination: str
    amount_minor: int
    # Which attempt of the row this is, whether nothing may have reached Stripe before it, and whether to look there.
    number: int
    is_first: bool
    search_first: bool


@writes.atomic()
def record_transfer(attempt: TransferAttempt, outcome: Outcome[RemoteTransfer], *, cause: Cause) -> None:
    """Book the outcome of `attempt`. Money that moved is booked whatever else happened to the row meanwhile.

    Any other answer counts only for the last attempt: an earlier one knows nothing about the one after it.
    """
    transfer, at = LOCKED_TRANSFER.get(attempt.transfer.pk), timezone.now()
    if isinstance(outcome, Accepted):
        answer = (outcome.value.amount_minor, outcome.value.currency)
        assert answer == (attempt.amount_minor, transfer.currency), "an accepted transfer is of the amount we sent"
        _record_success(transfer, outcome.value, cause=cause, at=at)
        return
    if transfer.status not in TRANSFER_UNSENT or transfer.send_attempts != attempt.number:
        return
    match outcome:
        case Refused():
            _record_refusal(transfer, outcome, cause=cause, at=at)
        case NotSent():
            _record_not_sent(transfer, attempt, outcome, cause=cause, at=at)
        case Unknown(why=why):
            retry_unanswered(transfer, why, transfer_policy(), cause=cause, at=at)


def find_transfer(snapshot: RemoteTransfer) -> SellerTransfer | None:
    """Our row of a transfer at Stripe, locked: the one that it names. None when Veza did not make it."""
    try:
        key = UUID(snapshot.our_id)
    except ValueError:
        return None
    return SellerTransfer.objects.locked().filter(pk=key).first()


def book_lost_answer(transfer: SellerTransfer, snapshot: RemoteTransfer, *, cause: Cause, at: datetime) -> bool:
    """Book a transfer that Stripe has and whose answer never reached us. Whether it was booked.

    The caller holds the row's lock. One that is not the transfer we asked for opens a review item: the seller may have
    been paid twice.
    """
    assert connection.in_atomic_block, "a transfer is booked in the transaction that holds its lock"
    if transfer.stripe_transfer_id == snapshot.transfer_id:
        return False
    request = (transfer.sent_minor, transfer.currency, transfer.destination)
    is_same = (snapshot.amount_minor, snapshot.currency, snapshot.destination) == request
    if transfer.stripe_transfer_id or transfer.in_doubt_since is None or not is_same:
        _open_duplicate_review(transfer, snapshot)
        return False
    _record_success(transfer, snapshot, cause=cause, at=at)
    return True


def _record_success(transfer: SellerTransfer, snapshot: RemoteTransfer, *, cause: Cause, at: datetime) -> None:
    """Book a transfer that Stripe has, once, and begin at once what is to be reversed of it."""
    if transfer.stripe_transfer_id or not may_move(transfer, TransferStatus.COMPLETED):
        if transfer.stripe_transfer_id != snapshot.transfer_id:
            _open_duplicate_review(transfer, snapshot)
        return
    assert snapshot.amount_minor == transfer.sent_minor, "the amount is frozen while a transfer is in doubt"
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
    write_transfer_email(transfer)
    for kind in (TRANSFER_FAILED, SENT_TWICE):
        close_review(kind, transfer, note=f"Stripe has it: {snapshot.transfer_id}.")
    if snapshot.reversed_minor:
        # Found late, and reversed meanwhile: the webhook that reported it matched no row then.
        update_fields(transfer, refresh_due_at=Now())
    if transfer.outstanding_minor:
        begin_reversal(transfer, cause=cause, at=at)


def _record_refusal(transfer: SellerTransfer, refusal: Refused, *, cause: Cause, at: datetime) -> None:
    fields: dict[str, Any] = {"in_doubt_since": None, "key_epoch": transfer.key_epoch + 1}
    why = f"{refusal.code} {refusal.message}".strip()
    if _shrink_by_target(transfer, cause=cause, at=at, **fields):
        return
    pause = settings.TRANSFER_RETRY_BACKOFF_MAX
    if refusal.code in BALANCE_TOO_LOW:
        wait_for(transfer, WaitingFor.PLATFORM_BALANCE, recheck_after=pause, why=why, **fields)
    elif refusal.code == NOT_ALLOWED_TO_RECEIVE:
        wait_for(transfer, WaitingFor.ACCOUNT, recheck_after=pause, why=refusal.message, **fields)
    elif refusal.code in HOPELESS:
        fail_permanently(transfer, why, cause=cause, at=at, **fields)
    else:
        if transfer.status == TransferStatus.PENDING:
            move(transfer, TransferStatus.FAILED, cause=cause, at=at)
        schedule_retry(transfer, why, transfer_policy(), cause=cause, at=at, **fields)


def _record_not_sent(
    transfer: SellerTransfer, attempt: TransferAttempt, outcome: NotSent, *, cause: Cause, at: datetime
) -> None:
    HEALTH.open_review_if_rejected(outcome, transfer)
    fields: dict[str, Any] = {"next_retry_at": Now() + transfer_policy().base, "last_error": outcome.why[:500]}
    if attempt.is_first:
        # Stripe may have stored the rejection under this key.
        no_doubt = {"in_doubt_since": None, "key_epoch": transfer.key_epoch + auth_rejected(outcome)}
        if _shrink_by_target(transfer, cause=cause, at=at, **no_doubt):
            return
        fields |= no_doubt
    update_fields(transfer, **fields)


def _shrink_by_target(transfer: SellerTransfer, *, cause: Cause, at: datetime, **fields: Any) -> bool:
    """Once it is certain that nothing was sent, send less instead of reversing. True when nothing is left to send."""
    assert transfer.reversed_minor == 0, "nothing is reversed of a transfer that was never sent"
    target, remaining = transfer.reversal_target_minor, transfer.sent_minor - transfer.reversal_target_minor
    assert remaining >= 0, "the target lies within what was to be sent"
    if remaining == 0 and transfer.net_withheld_minor == 0:
        fields |= {"reversal_target_minor": 0, "next_retry_at": None, "waiting_for": WaitingFor.NOTHING}
        move(transfer, TransferStatus.CANCELLED, cause=cause, at=at, **fields)
        close_review(TRANSFER_FAILED, transfer, note="There is nothing to send any more.")
        return True
    if target:
        update_fields(transfer, amount_minor=transfer.amount_minor - target, reversal_target_minor=0)
    if remaining == 0:
        complete_by_set_off(transfer, cause=cause, at=at, **fields)
    return remaining == 0


def _open_duplicate_review(transfer: SellerTransfer, snapshot: RemoteTransfer) -> None:
    why = f"Stripe has {snapshot.transfer_id} for it; ours is {transfer.stripe_transfer_id or transfer.status}"
    log.error("transfer_sent_twice", transfer=str(transfer.pk), why=why)
    open_review(
        SENT_TWICE,
        transfer,
        why=why,
        what_to_do="Finance: compare the two in Stripe's dashboard and reverse the surplus one in full; then press "
        "“Refresh from Stripe” on the transfer's page.",
        amount_minor=snapshot.amount_minor,
        currency=transfer.currency,
    )


def open_ambiguous_review(transfer: SellerTransfer, stripe_transfer_ids: Sequence[str]) -> None:
    """Open a review item about several transfers at Stripe that match one row: none is picked."""
    assert len(stripe_transfer_ids) > 1, "one match is no ambiguity"
    open_review(
        SENT_TWICE,
        transfer,
        why="Stripe has several transfers for this row: " + ", ".join(stripe_transfer_ids),
        what_to_do="Finance: compare them in Stripe's dashboard and reverse the surplus ones in full. The worker then "
        "books the one that is left.",
        amount_minor=(len(stripe_transfer_ids) - 1) * transfer.sent_minor,
        currency=transfer.currency,
    )
