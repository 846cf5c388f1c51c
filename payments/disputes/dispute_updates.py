"""A payer's bank asks for the money back: it is in suspense while undecided, lost at the bank, or ours again when won.

Each (dispute, event) is delivered once, in any order, and disputes have no clock to order them by. So a webhook moves a
dispute forwards only (opened, challenged, an end); one that contradicts an end makes the dispute due for a refresh, and
only the answer to that moves it anywhere else.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from payments.contradictions import waits_for_receipt
from payments.disputes.dispute_postings import book_disputes
from payments.emptied_payments import follow_emptied
from payments.hyperswitch.objects import RemoteDispute, Unreadable
from payments.inbox.intake import HandlingResult, Result
from payments.models import Dispute, Payment
from payments.ports import purchase_of
from payments.retry_policy import DISPUTE_REFRESH_FOR, DISPUTE_REFRESH_INTERVAL
from payments.review_items import (
    DISPUTE_STATUS_UNKNOWN,
    DISPUTE_TO_ANSWER,
    follow_lost_funds,
    lost_unapplied_minor,
)
from payments.states import DISPUTE_ENDS, DISPUTE_UNDER_WAY, DisputeStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.ids import row_id
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review
from veza.core.states import move
from veza.core.words import format_date

_STAGE_LENGTH = 30
_FORWARDS = (DisputeStatus.OPENED, DisputeStatus.CHALLENGED)


def apply_dispute(snapshot: RemoteDispute, /, *, cause: Cause, at: datetime, is_answer: bool = False) -> HandlingResult:
    """Bring a dispute to its status at Hyperswitch, with everything that follows, in this transaction.

    A webhook, or an entry of a list, moves a dispute forwards only. The answer to a refresh of this one dispute
    (`is_answer`) may also move it away from an end. Raises Unreadable for one of another payment.
    """
    assert connection.in_atomic_block, "an update and everything that follows from it are one commit"
    key = row_id("pay", snapshot.payment_id)
    payment = Payment.objects.locked().filter(pk=key).first() if key else None
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if waits_for_receipt(payment, at=at):
        return HandlingResult(Result.WAITING, payment.correlation_id)
    status = _status_of(snapshot.status)
    if status is None:
        _open_review_of_status(payment, snapshot)
        return HandlingResult(Result.IGNORED, payment.correlation_id)
    close_review(DISPUTE_STATUS_UNKNOWN, payment, note=f"{snapshot.dispute_id} is {status} at Hyperswitch.")
    return HandlingResult(
        _apply(payment, snapshot, status, cause=cause, at=at, is_answer=is_answer), payment.correlation_id
    )


def _apply(
    payment: Payment, snapshot: RemoteDispute, status: DisputeStatus, *, cause: Cause, at: datetime, is_answer: bool
) -> Result:
    dispute = Dispute.objects.filter(hyperswitch_dispute_id=snapshot.dispute_id).first()
    if dispute is not None and dispute.payment_id != payment.pk:
        raise Unreadable(f"payment_id should be that of dispute {snapshot.dispute_id} and is another")
    if dispute is None:
        dispute = _open(payment, snapshot, status, at=at)
    elif is_answer or _is_forwards(dispute.status, status):
        if not _change(dispute, snapshot, status, cause=cause, at=at):
            return Result.STALE
    elif dispute.status == status or status not in DISPUTE_ENDS:
        return Result.STALE
    else:
        writes.update(dispute, next_attempt_at=Now())
        return Result.OK
    assert dispute.payment_id == payment.pk, "a dispute stays with its payment"
    dispute.payment = payment
    lost_before_minor = lost_unapplied_minor(payment)
    book_disputes(payment, at=at)
    follow_lost_funds(payment, lost_before_minor=lost_before_minor)
    follow_emptied(payment, cause=cause, at=at)
    _update_review_of_answer(dispute)
    purchase_of(payment).dispute_changed(dispute, cause=cause, at=at)
    return Result.OK


def due() -> models.QuerySet[Dispute]:
    """Disputes that will be refreshed, claimed by `next_attempt_at`. Old ones that have ended will not."""
    return Dispute.objects.filter(next_attempt_at__isnull=False)


def _status_of(remote_status: str) -> DisputeStatus | None:
    status = remote_status.removeprefix("dispute_")
    return DisputeStatus(status) if status in DisputeStatus.values else None


def _is_forwards(current: str, target: DisputeStatus) -> bool:
    return _rank(target) > _rank(current)


def _rank(status: str) -> int:
    return _FORWARDS.index(DisputeStatus(status)) if status in _FORWARDS else len(_FORWARDS)


def _open(payment: Payment, snapshot: RemoteDispute, status: DisputeStatus, *, at: datetime) -> Dispute:
    return Dispute.objects.create(
        payment=payment,
        correlation_id=payment.correlation_id,
        hyperswitch_dispute_id=snapshot.dispute_id,
        status=status,
        next_attempt_at=at + DISPUTE_REFRESH_INTERVAL,
        **_fields_of(snapshot),
    )


def _change(dispute: Dispute, snapshot: RemoteDispute, status: DisputeStatus, *, cause: Cause, at: datetime) -> bool:
    """Store the snapshot; whether anything that concerns the money has changed."""
    fields = _fields_of(snapshot)
    relevant = ("stage", "amount_minor", "currency")
    if dispute.status == status and all(getattr(dispute, name) == fields[name] for name in relevant):
        return False
    if (dispute.amount_minor, dispute.currency) != (snapshot.amount_minor, snapshot.currency):
        fields["converted_minor"] = None  # It was entered for the amount before.
    if dispute.status == status:
        writes.update(dispute, **fields)
    else:
        move(dispute, status, cause=cause, at=at, **fields)
    return True


def _fields_of(snapshot: RemoteDispute) -> dict[str, Any]:
    return {
        "stage": snapshot.stage[:_STAGE_LENGTH],
        "amount_minor": snapshot.amount_minor,
        "currency": snapshot.currency,
        "reason": snapshot.reason,
        "evidence_due_at": snapshot.evidence_due_at,
    }


def _open_review_of_status(payment: Payment, snapshot: RemoteDispute) -> None:
    _open_review_of_dispute_status(
        payment,
        hyperswitch_dispute_id=snapshot.dispute_id,
        remote_status=snapshot.status,
        amount_minor=snapshot.amount_minor,
        currency=snapshot.currency,
    )


def refresh_later(dispute_id: UUID) -> None:
    """Refresh a dispute again in a day while it is open or young; else never, unless an update contradicts it."""
    is_worth_it = Q(status__in=DISPUTE_UNDER_WAY) | Q(
        created_at__gt=Now() + DISPUTE_REFRESH_INTERVAL - DISPUTE_REFRESH_FOR
    )
    later = Case(When(is_worth_it, then=Now() + DISPUTE_REFRESH_INTERVAL), default=Value(None, models.DateTimeField()))
    Dispute.objects.filter(pk=dispute_id).update(next_attempt_at=later)


def _update_review_of_answer(dispute: Dispute) -> None:
    """Open a review item while the dispute waits for our evidence; close it afterwards."""
    if dispute.status != DisputeStatus.OPENED:
        close_review(DISPUTE_TO_ANSWER, dispute, note=f"The dispute is {dispute.status}.")
        return
    deadline = f" by {format_date(dispute.evidence_due_at)}" if dispute.evidence_due_at else ""
    amount = format_amount(dispute.amount_minor, dispute.currency)
    open_review(
        DISPUTE_TO_ANSWER,
        dispute,
        why=f"The buyer's bank asks for {amount} back ({dispute.reason or 'no reason given'}).",
        what_to_do=f"Support: submit evidence or accept the dispute in Hyperswitch's dashboard{deadline}.",
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
    )


def _open_review_of_dispute_status(
    payment: Payment, *, hyperswitch_dispute_id: str, remote_status: str, amount_minor: int, currency: str
) -> None:
    """The dispute is not booked: Veza does not know what its status means."""
    open_review(
        DISPUTE_STATUS_UNKNOWN,
        payment,
        why=f"Hyperswitch reports the status {remote_status!r} for dispute {hyperswitch_dispute_id}, which Veza does "
        "not know.",
        what_to_do="Support: check the dispute in Hyperswitch's dashboard. Its amount is not booked.",
        amount_minor=amount_minor,
        currency=currency,
    )
