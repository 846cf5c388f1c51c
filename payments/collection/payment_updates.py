"""What the provider says became of a payment, from a webhook or from asking: booked once, whatever the order."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from payments.disputes.dispute_postings import book_disputes
from payments.hyperswitch.objects import RemotePayment
from payments.inbox.intake import HandlingResult, Result, wake_waiting
from payments.ledger import allocations
from payments.ledger.postings import post_received
from payments.models import Payment
from payments.ports import purchase_of
from payments.review_items import UNAPPLIED_FUNDS
from payments.states import PaymentStatus
from veza.core.causes import Cause
from veza.core.ids import row_id
from veza.core.models import StatusChange
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review
from veza.core.states import may_move, move

# Hyperswitch's word for the status of a payment, and ours. What stands for a problem becomes `mismatched`.
STATUS_OF = {
    "succeeded": PaymentStatus.SUCCEEDED,
    "processing": PaymentStatus.PROCESSING,
    "partially_captured_and_processing": PaymentStatus.PROCESSING,
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_customer_action": PaymentStatus.PENDING,
    "requires_merchant_action": PaymentStatus.PENDING,
    "requires_capture": PaymentStatus.PENDING,
    "failed": PaymentStatus.FAILED,
    "cancelled": PaymentStatus.CANCELLED,
    "expired": PaymentStatus.CANCELLED,
    "partially_captured": PaymentStatus.MISMATCHED,
    "conflicted": PaymentStatus.MISMATCHED,
    "review": PaymentStatus.MISMATCHED,
    "cancelled_post_capture": PaymentStatus.MISMATCHED,
}
_OPEN = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)
MISMATCH = "payment_mismatch"
UNCLEAR = "payment_unclear"
_UNCLEAR = "unclear"  # In a payment's error_code, until the provider says something we know.
_HAS_CAPTURED = frozenset({"succeeded", "partially_captured"})


def apply_payment(snapshot: RemotePayment, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Bring our payment to where the provider says it is, with everything that follows, in this transaction.

    An object older than what we know, or one the table of moves forbids, is old news and changes nothing.
    """
    assert connection.in_atomic_block, "what a provider said is booked in one commit"
    key = row_id("pay", snapshot.payment_id)
    payment = Payment.objects.locked().filter(pk=key).first() if key else None
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if _is_older(snapshot, payment):
        return HandlingResult(Result.STALE, payment.correlation_id)
    target = STATUS_OF.get(snapshot.status)
    if target is None:
        _ask_about_word(payment, snapshot)
        return HandlingResult(Result.IGNORED, payment.correlation_id)
    if snapshot.status == "succeeded" and snapshot.received_minor is None:
        return _learn_how_much(snapshot, payment)
    if target == PaymentStatus.FAILED and payment.status == PaymentStatus.SUCCEEDED:
        target = PaymentStatus.MISMATCHED
    moves = may_move(payment, target) or _brings_more(snapshot, payment)
    if not moves or _was_decided(snapshot, target, payment) or _would_hide_money(target, payment):
        return _old_news(payment)
    _book(payment, snapshot, target, cause=cause, at=at)
    return HandlingResult(Result.OK, payment.correlation_id)


def _is_older(snapshot: RemotePayment, payment: Payment) -> bool:
    known = payment.provider_updated_at
    return known is not None and snapshot.updated_at is not None and snapshot.updated_at < known


def _old_news(payment: Payment) -> HandlingResult:
    """Nothing changes. A settled payment that was to be read has been: it is not asked about for ever."""
    if payment.next_attempt_at is not None and payment.status not in _OPEN:
        Payment.objects.filter(pk=payment.pk).update(next_attempt_at=None)
    return HandlingResult(Result.STALE, payment.correlation_id)


def _would_hide_money(target: PaymentStatus, payment: Payment) -> bool:
    """Whether a wrong payment would be called cancelled while we hold its money: a person decides about that first."""
    is_wrong = payment.status == PaymentStatus.MISMATCHED
    return is_wrong and target == PaymentStatus.CANCELLED and payment.received_minor > payment.refunded_minor


def _learn_how_much(snapshot: RemotePayment, payment: Payment) -> HandlingResult:
    """Never assume that everything was captured: the sweep reads the payment, unless its answer is booked already."""
    known = payment.provider_updated_at
    answered = (
        payment.received_minor
        and known is not None
        and snapshot.updated_at is not None
        and snapshot.updated_at <= known
    )
    if answered or payment.status == PaymentStatus.SUCCEEDED:
        return HandlingResult(Result.STALE, payment.correlation_id)
    Payment.objects.filter(pk=payment.pk).update(next_attempt_at=Now())
    return HandlingResult(Result.WAITING, payment.correlation_id)


def _newly_received(snapshot: RemotePayment, payment: Payment) -> int:
    if snapshot.status not in _HAS_CAPTURED or snapshot.received_minor is None:
        return 0
    if payment.received_currency not in ("", snapshot.currency):
        return 0  # A person looks at it: one payment does not come in two currencies.
    return max(0, snapshot.received_minor - payment.received_minor)


def _brings_more(snapshot: RemotePayment, payment: Payment) -> bool:
    return payment.status == PaymentStatus.MISMATCHED and _newly_received(snapshot, payment) > 0


def _was_decided(snapshot: RemotePayment, target: PaymentStatus, payment: Payment) -> bool:
    """Whether this is about money that has gone back already, or about a mismatch that a person has decided."""
    if _newly_received(snapshot, payment):
        return False
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELLED) and payment.received_minor:
        return True
    if (
        target != PaymentStatus.MISMATCHED
        or snapshot.updated_at is None
        or snapshot.updated_at != payment.provider_updated_at
    ):
        return False
    # A decision is ours and has no time at the provider: what it said last is what was decided about.
    return StatusChange.objects.filter(subject_id=payment.pk, from_status=PaymentStatus.MISMATCHED).exists()


def _is_right(payment: Payment, snapshot: RemotePayment) -> bool:
    """Whether the money that was asked for has come, and has not gone back before anything was given for it."""
    if (snapshot.currency, snapshot.received_minor) != (payment.currency, payment.amount_minor):
        return False
    return not payment.refunded_minor or allocations.is_applied(payment)


def _book(payment: Payment, snapshot: RemotePayment, target: PaymentStatus, *, cause: Cause, at: datetime) -> None:
    newly = _newly_received(snapshot, payment)
    if target == PaymentStatus.SUCCEEDED and not _is_right(payment, snapshot):
        target = PaymentStatus.MISMATCHED
    known: dict[str, Any] = {
        "hyperswitch_payment_id": snapshot.payment_id,
        "provider_updated_at": snapshot.updated_at or payment.provider_updated_at,
        "received_minor": payment.received_minor + newly,
        "payment_method_id": snapshot.payment_method_id or payment.payment_method_id,
        "error_code": snapshot.error_code,
        "error_message": snapshot.error_message,
        "next_attempt_at": None,
    }
    if newly:
        known |= {"received_currency": snapshot.currency, "has_waiting_deliveries": False}
    if target in (PaymentStatus.SUCCEEDED, PaymentStatus.CANCELLED, PaymentStatus.MISMATCHED):
        known["close_due_at"] = (
            None  # Else the buyer may still pay, or pay again after a decline: asked for at its end.
        )
    if target == PaymentStatus.SUCCEEDED:
        known["succeeded_at"] = at
    if payment.error_code == _UNCLEAR:
        close_review(UNCLEAR, payment, note=f"The provider says {snapshot.status} now.")
    was_awaited, was = payment.has_waiting_deliveries, payment.status
    _keep(payment, target, known, cause=cause, at=at)
    if newly:
        post_received(payment, newly, currency=snapshot.currency, at=at)
    if newly and was_awaited:
        wake_waiting(payment.correlation_id)
    if was == PaymentStatus.MISMATCHED and (newly or payment.status != was):
        for kind in (MISMATCH, UNAPPLIED_FUNDS):  # What follows may open them anew.
            close_review(kind, payment, note=f"The provider's newer word is {snapshot.status}.")
    _tell(payment, snapshot, cause=cause, at=at)


def _keep(payment: Payment, target: PaymentStatus, known: dict[str, Any], *, cause: Cause, at: datetime) -> None:
    if payment.status != target:
        move(payment, target, cause=cause, at=at, **known)
        return
    Payment.objects.filter(pk=payment.pk).update(**known)
    for name, value in known.items():
        setattr(payment, name, value)


def _tell(payment: Payment, snapshot: RemotePayment, *, cause: Cause, at: datetime) -> None:
    match payment.status:
        case PaymentStatus.SUCCEEDED:
            purchase_of(payment).payment_succeeded(payment, cause=cause, at=at)
            if payment.disputed_minor:
                book_disputes(payment, at=at)  # Taken from money nobody had claimed; now somebody has.
        case PaymentStatus.FAILED | PaymentStatus.CANCELLED:
            purchase_of(payment).payment_failed(payment, cause=cause, at=at)
        case PaymentStatus.MISMATCHED:
            open_review_of_mismatch(payment, _what_came(payment, snapshot))


def _what_came(payment: Payment, snapshot: RemotePayment) -> str:
    """In words: what was asked for, what is booked, and what the provider says where that is something else."""
    params = format_amount(payment.amount_minor, payment.currency)
    came = format_amount(payment.received_minor, payment.held_currency) if payment.received_minor else "nothing"
    says = snapshot.status
    booked = (payment.received_minor, payment.held_currency)
    if snapshot.received_minor is not None and (snapshot.received_minor, snapshot.currency) != booked:
        says += f", {format_amount(snapshot.received_minor, snapshot.currency)}"
    return f"{params} was asked for and {came} was received (the provider says {says})."


def open_review_of_mismatch(payment: Payment, why: str) -> None:
    """A person decides about the money of a wrong payment."""
    open_review(
        MISMATCH,
        payment,
        why=why,
        what_to_do="Compare the payment with the provider's dashboard, then accept it or give the money back.",
        amount_minor=payment.received_minor,
        currency=payment.held_currency,
    )


def _ask_about_word(payment: Payment, snapshot: RemotePayment) -> None:
    """There is nothing to accept or give back: the payment stays as it is until the provider says what we know."""
    Payment.objects.filter(pk=payment.pk).update(error_code=_UNCLEAR)
    open_review(
        UNCLEAR,
        payment,
        why=f"The provider calls the payment {snapshot.status!r}, a status we do not know. It stays {payment.status}.",
        what_to_do="Look at the payment at the provider's dashboard. The case closes when it has a status we know.",
        amount_minor=payment.received_minor,
        currency=payment.held_currency,
    )
