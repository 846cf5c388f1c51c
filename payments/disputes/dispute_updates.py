"""A payer's bank asks for the money back: held in suspense while it is argued about, gone when lost, back when won.

Each (dispute, event) is delivered once ever, in any order, and disputes have no clock to order them by. So a delivery
moves a dispute forwards only (opened, challenged, an end); whatever contradicts an end makes us ask the provider, and
only its answer moves the dispute anywhere else.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, models
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from payments.disputes.dispute_postings import book_disputes
from payments.hyperswitch.objects import RemoteDispute
from payments.inbox.intake import HandlingResult, Result
from payments.models import Dispute, Payment
from payments.ports import purchase_of
from payments.states import DISPUTE_ENDS, DISPUTE_UNDER_WAY, DisputeStatus
from veza.core.causes import Cause
from veza.core.ids import row_id
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review
from veza.core.states import move

LOOK_AGAIN_AFTER = timedelta(days=1)
# A bank may come back to a dispute that has ended; after this long nobody asks any more.
LOOK_FOR = timedelta(days=180)
TO_ANSWER = "dispute_to_answer"
_FORWARDS = (DisputeStatus.OPENED, DisputeStatus.CHALLENGED)


def apply_dispute(snapshot: RemoteDispute, /, *, cause: Cause, at: datetime, is_answer: bool = False) -> HandlingResult:
    """Bring a dispute to where Hyperswitch says it is, with everything that follows, in this transaction.

    A delivery, or an entry of a list, moves a dispute forwards only. The answer to a read of this one dispute
    (`is_answer`) may also take an end back.
    """
    assert connection.in_atomic_block, "what a provider said is booked in one commit"
    key = row_id("pay", snapshot.payment_id)
    payment = Payment.objects.locked().filter(pk=key).first() if key else None
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if payment.received_minor == 0:
        Payment.objects.filter(pk=payment.pk).update(has_waiting_deliveries=True)
        return HandlingResult(Result.WAITING, payment.correlation_id)
    status = _status_of(snapshot.status)
    if status is None:
        _open_review_of_status(payment, snapshot)
        return HandlingResult(Result.IGNORED, payment.correlation_id)
    dispute = Dispute.objects.locked().filter(hyperswitch_dispute_id=snapshot.dispute_id).first()
    if dispute is None:
        dispute = _open(payment, snapshot, status, at=at)
    elif is_answer or _is_forwards(dispute.status, status):
        if not _change(dispute, snapshot, status, cause=cause, at=at):
            return HandlingResult(Result.STALE, payment.correlation_id)
    elif dispute.status == status or status not in DISPUTE_ENDS:
        return HandlingResult(Result.STALE, payment.correlation_id)
    else:
        Dispute.objects.filter(pk=dispute.pk).update(next_attempt_at=Now())
        return HandlingResult(Result.OK, payment.correlation_id)
    dispute.payment = payment
    book_disputes(payment, at=at)
    _review_whether_to_answer(dispute)
    purchase_of(payment).dispute_changed(dispute, cause=cause, at=at)
    return HandlingResult(Result.OK, payment.correlation_id)


def due() -> models.QuerySet[Dispute]:
    """Disputes that are to be asked about at some time, claimed by `next_check_at`. Ended and old ones have none."""
    return Dispute.objects.filter(next_attempt_at__isnull=False)


def _status_of(remote_status: str) -> DisputeStatus | None:
    status = remote_status.removeprefix("dispute_")
    return DisputeStatus(status) if status in DisputeStatus.values else None


def _is_forwards(current: str, reported: DisputeStatus) -> bool:
    return _rank(reported) > _rank(current)


def _rank(status: str) -> int:
    return _FORWARDS.index(DisputeStatus(status)) if status in _FORWARDS else len(_FORWARDS)


def _open(payment: Payment, snapshot: RemoteDispute, status: DisputeStatus, *, at: datetime) -> Dispute:
    return Dispute.objects.create(
        payment=payment,
        correlation_id=payment.correlation_id,
        hyperswitch_dispute_id=snapshot.dispute_id,
        status=status,
        stage=snapshot.stage[:30],
        amount_minor=snapshot.amount_minor,
        currency=snapshot.currency,
        reason=snapshot.reason,
        evidence_due_at=snapshot.evidence_due_at,
        next_attempt_at=at + LOOK_AGAIN_AFTER,
    )


def _change(dispute: Dispute, snapshot: RemoteDispute, status: DisputeStatus, *, cause: Cause, at: datetime) -> bool:
    """Take over what the provider says; whether anything about the money has changed."""
    known = (dispute.status, dispute.stage, dispute.amount_minor, dispute.currency)
    if known == (status, snapshot.stage[:30], snapshot.amount_minor, snapshot.currency):
        return False
    fields = {
        "stage": snapshot.stage[:30],
        "amount_minor": snapshot.amount_minor,
        "currency": snapshot.currency,
        "reason": snapshot.reason,
        "evidence_due_at": snapshot.evidence_due_at,
    }
    if dispute.status == status:
        Dispute.objects.filter(pk=dispute.pk).update(**fields)
        for name, value in fields.items():
            setattr(dispute, name, value)
    else:
        move(dispute, status, cause=cause, at=at, **fields)
    return True


def _review_whether_to_answer(dispute: Dispute) -> None:
    if dispute.status != DisputeStatus.OPENED:
        close_review(TO_ANSWER, dispute, note=f"The dispute is {dispute.status}.")
        return
    until = f" until {dispute.evidence_due_at:%d %B %Y}" if dispute.evidence_due_at else ""
    open_review(
        TO_ANSWER,
        dispute,
        why=f"The buyer's bank asks for {format_amount(dispute.amount_minor, dispute.currency)} back "
        f"({dispute.reason or 'no reason given'}).",
        what_to_do=f"Answer it or accept it at the provider's dashboard{until}.",
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
    )


def _open_review_of_status(payment: Payment, snapshot: RemoteDispute) -> None:
    open_review(
        "dispute_unclear",
        payment,
        why=f"The provider calls dispute {snapshot.dispute_id} {snapshot.status!r}, a status we do not know.",
        what_to_do="Look at the dispute at the provider's dashboard; its money is not booked.",
        amount_minor=snapshot.amount_minor,
        currency=snapshot.currency,
    )


def refresh_later(dispute_id: UUID) -> None:
    """Ask about a dispute again in a day, as long as it is open or young; else never, unless news contradict it."""
    worth_it = Q(status__in=DISPUTE_UNDER_WAY) | Q(created_at__gt=Now() + LOOK_AGAIN_AFTER - LOOK_FOR)
    later = Case(When(worth_it, then=Now() + LOOK_AGAIN_AFTER), default=Value(None, models.DateTimeField()))
    Dispute.objects.filter(pk=dispute_id).update(next_attempt_at=later)
