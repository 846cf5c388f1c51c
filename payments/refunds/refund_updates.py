"""Applying Hyperswitch's status of a refund, from a webhook or a refresh: once, whatever the order of the updates."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from payments.contradictions import (
    AGREED,
    agree,
    end_contradiction,
    is_outdated,
    latest_clock,
    must_wait,
    remember,
    waits_for_receipt,
)
from payments.disputes.dispute_postings import book_disputes
from payments.emptied_payments import follow_emptied
from payments.hyperswitch.objects import RemoteRefund, Unreadable
from payments.inbox.intake import HandlingResult, Result
from payments.ledger import allocations
from payments.ledger.chart_of_accounts import RECOVERABLE
from payments.ledger.losses import recover_losses
from payments.models import DISPUTES_EXIST, LOCKED_PAYMENT, Payment, Refund
from payments.ports import purchase_of
from payments.refunds.refund_postings import (
    allocate,
    allocate_finally,
    change_amount,
    cover_excess,
    post_back,
    post_other_amount,
    post_out,
)
from payments.refunds.refund_reviews import (
    open_review_of_refund_in_doubt,
    open_review_of_returned_refund,
    update_reviews_after_failure,
    update_reviews_after_success,
)
from payments.states import RefundStatus
from veza.core import reads, writes
from veza.core.causes import Cause
from veza.core.ids import new_id, row_id
from veza.core.money import format_amount
from veza.core.states import may_move, move

_LOCKED_REFUND = reads.Read(
    lambda refund_id, key: Refund.objects.locked().filter(Q(hyperswitch_refund_id=refund_id) | Q(pk=key)),
    str,
    UUID,
    is_kept=True,
)
_NO_KEY = UUID(int=0)
_IN_REVIEW = "review"  # In a refund's error_code, while Hyperswitch's staff have to decide.


def apply_refund(snapshot: RemoteRefund, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Bring our refund to its status at Hyperswitch, with everything that follows, in this transaction.

    One that we do not know, of a payment that we do, is an external refund: it is imported. A report that lowers the
    amount of a refund, or undoes its success, may have to be confirmed by a second read (payments/contradictions.py).
    Raises Unreadable for one of ours that names another payment.
    """
    assert connection.in_atomic_block, "an update and everything that follows from it are one commit"
    payment, refund = _lock(snapshot)
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if waits_for_receipt(payment, at=at):
        return HandlingResult(Result.WAITING, payment.correlation_id)
    if refund is None and snapshot.amount_minor == 0:
        return HandlingResult(Result.IGNORED, payment.correlation_id)
    refund = refund or _import_external(payment, snapshot)
    if refund.payment_id != payment.pk:
        raise Unreadable(f"payment_id should be that of refund {refund.pk} and is another")
    refund.payment = payment
    return HandlingResult(_apply(refund, snapshot, cause=cause, at=at), refund.correlation_id)


def _apply(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    if is_outdated(snapshot, refund):
        return _apply_outdated(refund, snapshot, cause=cause, at=at)
    if snapshot.status not in ("succeeded", "failed"):
        result = _apply_undecided(refund, snapshot)
        agree(snapshot, refund, is_success=False, cause=cause, at=at)  # What an earlier read said is not repeated.
        return result
    is_success = snapshot.status == "succeeded" and snapshot.amount_minor > 0
    if not _is_news(snapshot, refund, is_success=is_success):
        agree(snapshot, refund, is_success=is_success, cause=cause, at=at)
        return Result.STALE
    if must_wait(snapshot, refund, is_adverse=_is_adverse(snapshot, refund, is_success=is_success)):
        remember(snapshot, refund, at=at)
        return Result.OK if snapshot.read_at is None else Result.WAITING
    was_contradicted = refund.contradicted_at is not None
    if is_success:
        _book_success(refund, snapshot, cause=cause, at=at)
    else:
        fail_refund(refund, snapshot, cause=cause, at=at)
    if was_contradicted:
        end_contradiction(refund, snapshot, cause=cause, at=at)
    return Result.OK


def _is_news(snapshot: RemoteRefund, refund: Refund, *, is_success: bool) -> bool:
    """Whether the end that Hyperswitch reports changes the refund's status or amount. A success of zero gave the buyer
    nothing, as a failure does.
    """
    if refund.status == RefundStatus.SUCCEEDED:
        return not is_success or _is_of_other_amount(snapshot, refund)
    return may_move(refund, RefundStatus.SUCCEEDED if is_success else RefundStatus.FAILED)


def _is_adverse(snapshot: RemoteRefund, refund: Refund, *, is_success: bool) -> bool:
    """Whether the report undoes the refund's success, or does not leave it at least its amount."""
    if refund.status != RefundStatus.SUCCEEDED:
        return False
    return not is_success or snapshot.currency != refund.currency or snapshot.amount_minor < refund.amount_minor


def _apply_undecided(refund: Refund, snapshot: RemoteRefund) -> Result:
    """Hyperswitch has it, and the bank has not answered yet. In another currency it puts the payment in doubt."""
    if snapshot.status != "pending":
        return _mark_in_review(refund, snapshot)
    acknowledge_refund(refund, snapshot)
    if _is_of_other_amount(snapshot, refund):
        amount = format_amount(snapshot.amount_minor, snapshot.currency)
        open_review_of_refund_in_doubt(refund, f"The amount of the refund at Hyperswitch is {amount}.")
    is_foreign = snapshot.currency != refund.currency
    if is_foreign != (refund.error_code == Refund.OTHER_CURRENCY):
        code = Refund.OTHER_CURRENCY if is_foreign else ""
        Refund.objects.filter(pk=refund.pk, status=RefundStatus.PENDING).update(error_code=code)
    return Result.OK


def first_reads(payment_id: object, refund_id: object) -> Sequence[reads.Query]:
    """What `apply_refund` locks and reads first, of a refund with these ids at Hyperswitch."""
    payment_key = row_id("pay", payment_id)
    if payment_key is None or not isinstance(refund_id, str):
        return ()
    refund = _LOCKED_REFUND.on(refund_id, row_id("ref", refund_id) or _NO_KEY)
    facts = (read.on(payment_key) for read in (*allocations.READS_OF_REMAINING, DISPUTES_EXIST))
    return LOCKED_PAYMENT.on(payment_key), refund, *facts


def _lock(snapshot: RemoteRefund) -> tuple[Payment | None, Refund | None]:
    """The payment and its refund, locked in this order. Usually Hyperswitch names both."""
    if queries := first_reads(snapshot.payment_id, snapshot.refund_id):
        payments, refunds, *_ = reads.together(*queries)
        if payments and refunds and refunds[0].payment_id == payments[0].pk:
            return payments[0], refunds[0]
    payment = _payment_of(snapshot)
    return payment, _find_refund(snapshot) if payment is not None else None


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
    return Refund.objects.filter(is_same).first()


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


def _mark_in_review(refund: Refund, snapshot: RemoteRefund) -> Result:
    """`review`, or a status that we do not know: the refund stays as it is. The same update again is stale.

    In another currency it puts the payment in doubt, as one that is pending does.
    """
    code = Refund.OTHER_CURRENCY if snapshot.currency != refund.currency else _IN_REVIEW
    if refund.provider_updated_at == snapshot.updated_at and refund.error_code == code:
        return Result.STALE
    writes.update(
        refund,
        hyperswitch_refund_id=snapshot.refund_id,
        provider_updated_at=latest_clock(snapshot, refund),
        last_read_at=snapshot.read_at,
        error_code=code,
    )
    open_review_of_refund_in_doubt(
        refund, f"Hyperswitch reports the status {snapshot.status!r}: its staff have to resolve it."
    )
    return Result.OK


def _apply_outdated(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> Result:
    """Stale, with one exception: a success before a failure that we have applied means that the bank returned it."""
    if snapshot.status != "succeeded" or refund.status != RefundStatus.FAILED:
        return Result.STALE
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at)
    open_review_of_returned_refund(refund)
    return Result.OK


def _book_success(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> None:
    """Book that the money went to the buyer, as much of it as Hyperswitch reports."""
    is_changed = _is_of_other_amount(snapshot, refund)
    amount: dict[str, Any] = {"amount_minor": snapshot.amount_minor, "currency": snapshot.currency}
    fields = _final_fields(refund, snapshot)
    if refund.status == RefundStatus.SUCCEEDED:
        assert is_changed, "a success is booked once"
        post_other_amount(refund, **amount, at=at)
        Refund.objects.filter(pk=refund.pk).update(**fields)
    else:
        if is_changed:
            change_amount(refund, **amount)
        allocate_finally(refund, is_changed=is_changed)
        move(refund, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at, **fields)
        post_out(refund, at=at)
    follow_success(refund, cause=cause, at=at)


def follow_success(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """Everything that follows from a refund that was posted, with the payment locked."""
    update_reviews_after_success(refund)
    _follow(refund, cause=cause, at=at)
    purchase_of(refund.payment).refund_succeeded(refund, cause=cause, at=at)


def _is_of_other_amount(snapshot: RemoteRefund, refund: Refund) -> bool:
    return (snapshot.amount_minor, snapshot.currency) != (refund.amount_minor, refund.currency)


def _follow(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """Bring the payment and its disputes up to date after money was refunded or returned."""
    payment = refund.payment
    if DISPUTES_EXIST(payment.pk):
        book_disputes(payment, at=at)
    follow_emptied(payment, cause=cause, at=at)


def fail_refund(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> None:
    """Book that a pending refund failed, or that a succeeded one was returned by the bank."""
    if snapshot.status == "succeeded":
        message = "Hyperswitch reports a success of nothing."
        snapshot = replace(snapshot, error_code="nothing_refunded", error_message=message)
    if refund.status == RefundStatus.PENDING:
        book_failure(refund, cause=cause, at=at, **_final_fields(refund, snapshot))
    else:
        _book_return(refund, snapshot, cause=cause, at=at)


def book_failure(refund: Refund, *, cause: Cause, at: datetime, **changes: Any) -> None:
    """Fail a locked pending refund, setting `changes` (the error above all), with everything that follows."""
    assert connection.in_atomic_block, "a refund fails in the commit of everything that follows"
    assert refund.status == RefundStatus.PENDING, "money that was refunded is returned by the bank, not failed"
    move(refund, RefundStatus.FAILED, cause=cause, at=at, **changes)
    update_reviews_after_failure(refund)
    purchase_of(refund.payment).refund_failed(refund, cause=cause, at=at)


def _book_return(refund: Refund, snapshot: RemoteRefund, *, cause: Cause, at: datetime) -> None:
    """The bank returned the money: reverse the postings; support has to pay the buyer another way.

    What had been written off of it has come back too.
    """
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at, **_final_fields(refund, snapshot))
    book_money_back(refund, cause=cause, at=at)


def book_money_back(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """Reverse the postings of a refund that was just moved to `bounced`, with everything that follows."""
    assert refund.status == RefundStatus.BOUNCED, "postings are reversed in the commit of the move"
    post_back(refund, at=at)
    if excess_minor := refund.allocation.get(RECOVERABLE, 0):
        recover_losses(refund, up_to_minor=excess_minor, at=at)
    cover_excess(refund.payment, refund.booked_currency, at=at)
    open_review_of_returned_refund(refund)
    _follow(refund, cause=cause, at=at)
    purchase_of(refund.payment).refund_returned(refund, cause=cause, at=at)


def _final_fields(refund: Refund, snapshot: RemoteRefund) -> dict[str, Any]:
    return AGREED | {
        "hyperswitch_refund_id": snapshot.refund_id,
        "provider_updated_at": latest_clock(snapshot, refund),
        "last_read_at": snapshot.read_at,
        "error_code": snapshot.error_code,
        "error_message": snapshot.error_message,
        "next_attempt_at": None,
    }


def acknowledge_refund(refund: Refund, snapshot: RemoteRefund) -> None:
    """Store that Hyperswitch has the refund: it is not refreshed any more until it is stuck."""
    Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None).update(
        hyperswitch_refund_id=snapshot.refund_id, next_attempt_at=None, attempts=0
    )
