"""What the provider says became of a refund, from a webhook or from asking: booked once, whatever the order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from payments.collection.payment_updates import MISMATCH, open_review_of_mismatch
from payments.disputes.dispute_postings import book_disputes
from payments.hyperswitch.objects import RemoteRefund
from payments.inbox.intake import HandlingResult, Result
from payments.ledger import allocations, postings
from payments.ledger.chart_of_accounts import PSP_CLEARING, RECOVERABLE
from payments.models import Payment, Posting, Refund
from payments.ports import purchase_of
from payments.review_items import (
    open_review_of_refund_excess,
    open_review_of_refund_in_doubt,
    open_review_of_returned_refund,
    update_reviews_after_failure,
    update_reviews_after_success,
)
from payments.states import PaymentStatus, RefundStatus
from veza.core.causes import Cause
from veza.core.ids import new_id, row_id
from veza.core.money import format_amount
from veza.core.reviews import close_review
from veza.core.states import may_move, move

_PUZZLE = "review"


def apply_refund(snapshot: RemoteRefund, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Bring our refund to where the provider says it is, with everything that follows, in this transaction.

    One we do not know, of a payment we do, was made at the provider's dashboard: it is taken in.
    """
    assert connection.in_atomic_block, "what a provider said is booked in one commit"
    payment = _payment_of(snapshot)
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if payment.received_minor == 0:
        # Faster than the payment's own news: what became of the refund is booked when there is something to give back.
        Payment.objects.filter(pk=payment.pk).update(has_waiting_deliveries=True)
        return HandlingResult(Result.WAITING, payment.correlation_id)
    refund = _ours(snapshot) or _import_external(payment, snapshot)
    refund.payment = payment
    if _is_older(snapshot, refund):
        return HandlingResult(_learn_late(refund, snapshot, cause=cause, at=at), refund.correlation_id)
    if (snapshot.amount_minor, snapshot.currency) != (refund.amount_minor, refund.currency):
        open_review_of_refund_in_doubt(
            refund, f"The provider's refund is of {format_amount(snapshot.amount_minor, snapshot.currency)}."
        )
        return HandlingResult(Result.WAITING, refund.correlation_id)
    match snapshot.status:
        case "succeeded":
            return HandlingResult(_succeed(refund, snapshot, cause=cause, at=at), refund.correlation_id)
        case "failed":
            return HandlingResult(fail_refund(refund, snapshot, cause=cause, at=at), refund.correlation_id)
        case "pending":
            acknowledge_refund(refund, snapshot)
            return HandlingResult(Result.OK, refund.correlation_id)
    return HandlingResult(_puzzle(refund, snapshot), refund.correlation_id)


def _payment_of(snapshot: RemoteRefund) -> Payment | None:
    """The payment, locked: of the refund if that is ours, else the one the provider names."""
    refund_key, payment_key = row_id("ref", snapshot.refund_id), row_id("pay", snapshot.payment_id)
    ours = Payment.objects.locked().filter(refunds=refund_key).first() if refund_key else None
    if ours is not None or payment_key is None:
        return ours
    return Payment.objects.locked().filter(pk=payment_key).first()


def _ours(snapshot: RemoteRefund) -> Refund | None:
    known = Q(hyperswitch_refund_id=snapshot.refund_id)
    if key := row_id("ref", snapshot.refund_id):
        known |= Q(pk=key)
    return Refund.objects.locked().filter(known).first()


def _import_external(payment: Payment, snapshot: RemoteRefund) -> Refund:
    """A refund made at the provider's dashboard. The floor whose sale it was says whose money it is."""
    refund = payment.refunds.create(
        pk=row_id("ref", snapshot.refund_id) or new_id(),
        correlation_id=payment.correlation_id,
        amount_minor=snapshot.amount_minor,
        currency=snapshot.currency,
        allocation=allocations.allocate_refund(snapshot.amount_minor, payment),
        source=Refund.Source.EXTERNAL,
        reason="Made at the provider's dashboard.",
        hyperswitch_refund_id=snapshot.refund_id,
    )
    _allocate(refund, purchase_of(payment).allocate_external_refund(refund))
    return refund


def _allocate(refund: Refund, allocation: Mapping[str, int]) -> None:
    assert refund.status != RefundStatus.SUCCEEDED, "an allocation is fixed when the refund is booked"
    assert sum(allocation.values()) == refund.amount_minor, "the allocation of a refund adds up to it"
    assert all(amount > 0 for amount in allocation.values()), "a refund takes from accounts and gives to none"
    if allocation != refund.allocation:
        refund.allocation = dict(allocation)
        refund.save(update_fields=["allocation"])


def _puzzle(refund: Refund, snapshot: RemoteRefund) -> Result:
    """`review` and words we do not know: it stays as it is, and a person looks. Saying so again is old news."""
    if refund.provider_updated_at == snapshot.updated_at and refund.error_code == _PUZZLE:
        return Result.STALE
    Refund.objects.filter(pk=refund.pk).update(
        hyperswitch_refund_id=snapshot.refund_id, provider_updated_at=snapshot.updated_at, error_code=_PUZZLE
    )
    open_review_of_refund_in_doubt(refund, f"The provider says {snapshot.status!r}: a person there has to look at it.")
    return Result.OK


def _is_older(snapshot: RemoteRefund, refund: Refund) -> bool:
    known = refund.provider_updated_at
    return known is not None and snapshot.updated_at is not None and snapshot.updated_at < known


def _learn_late(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    """Old news. One of it tells something: a success before a known failure means that the money came back."""
    if snapshot.status != "succeeded" or refund.status != RefundStatus.FAILED:
        return Result.STALE
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at)
    open_review_of_returned_refund(refund)
    return Result.OK


def _succeed(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    if not may_move(refund, RefundStatus.SUCCEEDED):
        return Result.STALE
    _cap_to_remaining(refund)
    move(refund, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at, **_settled(refund, snapshot))
    _count(refund, refund.amount_minor)
    _post(refund, [postings.Line(leg, PSP_CLEARING, part, leg) for leg, part in refund.allocation.items()], at=at)
    update_reviews_after_success(refund)
    _follow(refund, cause=cause, at=at)
    purchase_of(refund.payment).refund_succeeded(refund, cause=cause, at=at)
    return Result.OK


def _count(refund: Refund, amount_minor: int) -> None:
    payment = refund.payment
    if refund.currency == payment.held_currency:
        payment.refunded_minor += amount_minor
        Payment.objects.filter(pk=payment.pk).update(refunded_minor=payment.refunded_minor)


def _cap_to_remaining(refund: Refund) -> None:
    """More may have been refunded meanwhile than this allocation allowed for: at the dashboard, or by a refund that
    was thought dead.

    The floor whose sale it was allocates it again, item by item; what no account has left is recoverable.
    """
    payment = refund.payment
    remaining = allocations.remaining_of(payment) if refund.currency == payment.held_currency else {}
    if payment.refunded_minor or allocations.capped_to(refund.allocation, remaining) != refund.allocation:
        _allocate(refund, purchase_of(payment).reallocate_refund(refund))
    _allocate(refund, allocations.capped_to(refund.allocation, remaining))
    if excess := refund.allocation.get(RECOVERABLE, 0):
        open_review_of_refund_excess(refund, excess)


def _follow(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """What follows on this floor from money that went or came back."""
    payment = refund.payment
    if payment.disputes.exists():
        book_disputes(payment, at=at)
    if payment.status == PaymentStatus.MISMATCHED and payment.refunded_minor >= payment.received_minor:
        move(payment, PaymentStatus.CANCELLED, cause=cause, at=at)
        close_review(MISMATCH, payment, note="All that was received has been given back.")
        purchase_of(payment).payment_failed(payment, cause=cause, at=at)
    elif payment.status == PaymentStatus.CANCELLED and payment.received_minor > payment.refunded_minor:
        move(payment, PaymentStatus.MISMATCHED, cause=cause, at=at)
        open_review_of_mismatch(payment, "It was cancelled because all of it had been given back, and some came back.")


def fail_refund(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    """Book that a refund failed, or that one which had succeeded came back."""
    if refund.status == RefundStatus.PENDING:
        book_failure(refund, cause=cause, at=at, **_settled(refund, snapshot))
        return Result.OK
    if refund.status == RefundStatus.SUCCEEDED:
        _bounce(refund, snapshot, cause=cause, at=at)
        return Result.OK
    return Result.STALE


def book_failure(refund: Refund, *, cause: Cause, at: datetime, **known: Any) -> None:
    """Fail a locked refund that is pending, with what is known of why, and everything that follows."""
    move(refund, RefundStatus.FAILED, cause=cause, at=at, **known)
    update_reviews_after_failure(refund)
    purchase_of(refund.payment).refund_failed(refund, cause=cause, at=at)


def _bounce(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> None:
    """The bank sent the money back: mirror what was booked, and let a person find the buyer another way."""
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at, **_settled(refund, snapshot))
    _count(refund, -refund.amount_minor)
    _post(refund, [postings.Line(PSP_CLEARING, leg, part, leg) for leg, part in refund.allocation.items()], at=at)
    open_review_of_returned_refund(refund)
    _follow(refund, cause=cause, at=at)
    purchase_of(refund.payment).refund_returned(refund, cause=cause, at=at)


def _post(refund: Refund, lines: list[postings.Line], *, at: datetime) -> None:
    postings.post(
        postings.Reference(Posting.Kind.REFUND, refund.pk, refund.posting_batches),
        lines,
        payment=refund.payment,
        currency=refund.currency,
        correlation_id=refund.correlation_id,
        at=at,
    )


def _settled(refund: Refund, snapshot: RemoteRefund) -> dict[str, Any]:
    return {
        "hyperswitch_refund_id": snapshot.refund_id,
        "provider_updated_at": snapshot.updated_at or refund.provider_updated_at,
        "error_code": snapshot.error_code,
        "error_message": snapshot.error_message,
        "next_attempt_at": None,
        "posting_batches": refund.posting_batches + 1,
    }


def acknowledge_refund(refund: Refund, snapshot: RemoteRefund) -> None:
    """Keep the provider's word that it has the refund: it is no longer asked about until it is stuck."""
    Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None).update(
        hyperswitch_refund_id=snapshot.refund_id, next_attempt_at=None, attempts=0
    )
