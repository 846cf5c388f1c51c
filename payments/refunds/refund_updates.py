"""Applying Hyperswitch's status of a refund, from a webhook or a refresh: once, whatever the order of the updates."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from payments.disputes.dispute_postings import book_disputes
from payments.hyperswitch.objects import RemoteRefund
from payments.inbox.intake import HandlingResult, Result
from payments.ledger import allocations, postings
from payments.ledger.chart_of_accounts import PSP_CLEARING, RECOVERABLE
from payments.models import Payment, Posting, Refund
from payments.ports import purchase_of
from payments.review_items import (
    MISMATCH,
    open_review_of_mismatch,
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

_IN_REVIEW = "review"  # In a refund's error_code, while Hyperswitch's staff have to decide.


def apply_refund(snapshot: RemoteRefund, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Bring our refund to its status at Hyperswitch, with everything that follows, in this transaction.

    One that we do not know, of a payment that we do, is an external refund: it is imported.
    """
    assert connection.in_atomic_block, "an update and everything that follows from it are one commit"
    payment = _payment_of(snapshot)
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if payment.received_minor == 0:
        # Faster than the payment's own update: it is applied once there is something to refund.
        Payment.objects.filter(pk=payment.pk).update(has_waiting_deliveries=True)
        return HandlingResult(Result.WAITING, payment.correlation_id)
    refund = _find_refund(snapshot) or _import_external(payment, snapshot)
    assert refund.payment_id == payment.pk, "a refund stays with its payment"
    refund.payment = payment
    return HandlingResult(_apply(refund, snapshot, cause=cause, at=at), refund.correlation_id)


def _apply(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    if _is_older(snapshot, refund):
        return _apply_older(refund, snapshot, cause=cause, at=at)
    if (snapshot.amount_minor, snapshot.currency) != (refund.amount_minor, refund.currency):
        amount = format_amount(snapshot.amount_minor, snapshot.currency)
        open_review_of_refund_in_doubt(refund, f"The amount of the refund at Hyperswitch is {amount}.")
        return Result.WAITING
    match snapshot.status:
        case "succeeded":
            return book_success(refund, snapshot, cause=cause, at=at)
        case "failed":
            return fail_refund(refund, snapshot, cause=cause, at=at)
        case "pending":
            acknowledge_refund(refund, snapshot)
            return Result.OK
    return _mark_in_review(refund, snapshot)


def _payment_of(snapshot: RemoteRefund) -> Payment | None:
    """The payment, locked: that of our refund, or else the one that Hyperswitch names."""
    refund_key, payment_key = row_id("ref", snapshot.refund_id), row_id("pay", snapshot.payment_id)
    payment = Payment.objects.locked().filter(refunds=refund_key).first() if refund_key else None
    if payment is not None or payment_key is None:
        return payment
    return Payment.objects.locked().filter(pk=payment_key).first()


def _find_refund(snapshot: RemoteRefund) -> Refund | None:
    is_same = Q(hyperswitch_refund_id=snapshot.refund_id)
    if key := row_id("ref", snapshot.refund_id):
        is_same |= Q(pk=key)
    return Refund.objects.locked().filter(is_same).first()


def _import_external(payment: Payment, snapshot: RemoteRefund) -> Refund:
    """Record an external refund. The floor that made the sale says whose money it is."""
    refund = payment.refunds.create(
        pk=row_id("ref", snapshot.refund_id) or new_id(),
        correlation_id=payment.correlation_id,
        amount_minor=snapshot.amount_minor,
        currency=snapshot.currency,
        allocation=allocations.allocate_refund(snapshot.amount_minor, payment),
        source=Refund.Source.EXTERNAL,
        reason="Made in Hyperswitch's dashboard.",
        hyperswitch_refund_id=snapshot.refund_id,
    )
    allocate(refund, purchase_of(payment).allocate_external_refund(refund))
    return refund


def allocate(refund: Refund, allocation: Mapping[str, int]) -> None:
    """Store whose money a refund is that was not booked yet: {account: minor units of its currency}."""
    assert refund.status != RefundStatus.SUCCEEDED, "the allocation of a refund is fixed when it is booked"
    assert sum(allocation.values()) == refund.amount_minor, "the allocation of a refund adds up to its amount"
    assert all(amount > 0 for amount in allocation.values()), "a refund takes from accounts and gives to none"
    if allocation != refund.allocation:
        refund.allocation = dict(allocation)
        refund.save(update_fields=["allocation"])


def _mark_in_review(refund: Refund, snapshot: RemoteRefund) -> Result:
    """`review`, or a status that we do not know: the refund stays as it is. The same update again is stale."""
    if refund.provider_updated_at == snapshot.updated_at and refund.error_code == _IN_REVIEW:
        return Result.STALE
    Refund.objects.filter(pk=refund.pk).update(
        hyperswitch_refund_id=snapshot.refund_id,
        provider_updated_at=snapshot.updated_at,
        last_read_at=snapshot.read_at,
        error_code=_IN_REVIEW,
    )
    open_review_of_refund_in_doubt(
        refund, f"Hyperswitch reports the status {snapshot.status!r}: its staff have to resolve it."
    )
    return Result.OK


def _is_older(snapshot: RemoteRefund, refund: Refund) -> bool:
    """Between two reads the later request wins; otherwise Hyperswitch's clock decides."""
    if snapshot.read_at is not None and refund.last_read_at is not None:
        return snapshot.read_at < refund.last_read_at
    last = refund.provider_updated_at
    return last is not None and snapshot.updated_at is not None and snapshot.updated_at < last


def _apply_older(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    """Stale, with one exception: a success before a failure that we have applied means that the bank returned it."""
    if snapshot.status != "succeeded" or refund.status != RefundStatus.FAILED:
        if snapshot.read_at is not None and refund.last_read_at is None:
            # Hyperswitch's clock may be a second behind its own webhook: the next read wins over this one.
            Refund.objects.filter(pk=refund.pk).update(last_read_at=snapshot.read_at)
        return Result.STALE
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at)
    open_review_of_returned_refund(refund)
    return Result.OK


def book_success(refund: Refund, snapshot: RemoteRefund | None, *, cause: Cause, at: datetime) -> Result:
    """Book that the money left, with everything that follows. A void has no snapshot: Hyperswitch has no id for it."""
    if not may_move(refund, RefundStatus.SUCCEEDED):
        return Result.STALE
    _cap_to_remaining(refund)
    move(refund, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at, **_final_fields(refund, snapshot))
    _add_to_refunded(refund, refund.amount_minor)
    _post(refund, [postings.Line(leg, PSP_CLEARING, part, leg) for leg, part in refund.allocation.items()], at=at)
    update_reviews_after_success(refund)
    _follow(refund, cause=cause, at=at)
    purchase_of(refund.payment).refund_succeeded(refund, cause=cause, at=at)
    return Result.OK


def _add_to_refunded(refund: Refund, change_minor: int) -> None:
    """Change the payment's sum of refunds; one in another currency than was received does not count in it."""
    payment = refund.payment
    if refund.currency == payment.held_currency:
        payment.refunded_minor += change_minor
        assert payment.refunded_minor >= 0, "no refund is returned that was not booked"
        Payment.objects.filter(pk=payment.pk).update(refunded_minor=payment.refunded_minor)


def _cap_to_remaining(refund: Refund) -> None:
    """More may have been refunded meanwhile than this allocation allowed for: externally, or by a failed refund that
    succeeded after all.

    The floor that made the sale allocates it again, item by item; what exceeds every account is recoverable.
    """
    payment = refund.payment
    remaining = allocations.remaining_of(payment) if refund.currency == payment.held_currency else {}
    if payment.refunded_minor or allocations.capped_to(refund.allocation, remaining) != refund.allocation:
        allocate(refund, purchase_of(payment).reallocate_refund(refund))
    allocate(refund, allocations.capped_to(refund.allocation, remaining))
    within = (
        part <= remaining.get(account, 0) for account, part in refund.allocation.items() if account != RECOVERABLE
    )
    assert all(within), "a refund takes no more from an account than it has: the rest is recoverable"
    if excess_minor := refund.allocation.get(RECOVERABLE, 0):
        open_review_of_refund_excess(refund, excess_minor)


def _follow(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """Bring the payment and its disputes up to date after money was refunded or returned."""
    payment = refund.payment
    if payment.disputes.exists():
        book_disputes(payment, at=at)
    if payment.status == PaymentStatus.MISMATCHED and payment.refunded_minor >= payment.received_minor:
        move(payment, PaymentStatus.CANCELLED, cause=cause, at=at)
        close_review(MISMATCH, payment, note="Everything that was received has been refunded.")
        purchase_of(payment).payment_failed(payment, cause=cause, at=at)
    elif payment.status == PaymentStatus.CANCELLED and payment.received_minor > payment.refunded_minor:
        move(payment, PaymentStatus.MISMATCHED, cause=cause, at=at)
        open_review_of_mismatch(payment, "It was cancelled with everything refunded, and a refund was returned.")


def fail_refund(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    """Book that a refund failed, or that a succeeded one was returned by the bank."""
    if refund.status == RefundStatus.PENDING:
        book_failure(refund, cause=cause, at=at, **_final_fields(refund, snapshot))
        return Result.OK
    if refund.status == RefundStatus.SUCCEEDED:
        book_return(refund, snapshot, cause=cause, at=at)
        return Result.OK
    return Result.STALE


def book_failure(refund: Refund, *, cause: Cause, at: datetime, **changes: Any) -> None:
    """Fail a locked pending refund, setting `changes` (the error above all), with everything that follows."""
    assert connection.in_atomic_block, "a refund fails in the commit of everything that follows"
    assert refund.status == RefundStatus.PENDING, "money that was refunded is returned by the bank, not failed"
    move(refund, RefundStatus.FAILED, cause=cause, at=at, **changes)
    update_reviews_after_failure(refund)
    purchase_of(refund.payment).refund_failed(refund, cause=cause, at=at)


def book_return(refund: Refund, snapshot: RemoteRefund | None, *, cause: Cause, at: datetime) -> None:
    """The bank returned the money, or it is there again after a void: reverse the postings.

    Support has to pay the buyer of a returned refund another way.
    """
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at, **_final_fields(refund, snapshot))
    _add_to_refunded(refund, -refund.amount_minor)
    _post(refund, [postings.Line(PSP_CLEARING, leg, part, leg) for leg, part in refund.allocation.items()], at=at)
    open_review_of_returned_refund(refund)
    _follow(refund, cause=cause, at=at)
    purchase_of(refund.payment).refund_returned(refund, cause=cause, at=at)


def _post(refund: Refund, lines: list[postings.Line], *, at: datetime) -> None:
    assert sum(line.amount_minor for line in lines) == refund.amount_minor, "a refund is posted whole"
    postings.post(
        postings.Reference(Posting.Kind.REFUND, refund.pk, refund.posting_batches),
        lines,
        payment=refund.payment,
        currency=refund.currency,
        correlation_id=refund.correlation_id,
        at=at,
    )


def _final_fields(refund: Refund, snapshot: RemoteRefund | None) -> dict[str, Any]:
    if snapshot is None:
        assert refund.source == Refund.Source.VOID, "every refund but a void is reported by Hyperswitch"
        return {"posting_batches": refund.posting_batches + 1}
    return {
        "hyperswitch_refund_id": snapshot.refund_id,
        "provider_updated_at": snapshot.updated_at or refund.provider_updated_at,
        "last_read_at": snapshot.read_at,
        "error_code": snapshot.error_code,
        "error_message": snapshot.error_message,
        "next_attempt_at": None,
        "posting_batches": refund.posting_batches + 1,
    }


def acknowledge_refund(refund: Refund, snapshot: RemoteRefund) -> None:
    """Store that Hyperswitch has the refund: it is not refreshed any more until it is stuck."""
    Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None).update(
        hyperswitch_refund_id=snapshot.refund_id, next_attempt_at=None, attempts=0
    )
