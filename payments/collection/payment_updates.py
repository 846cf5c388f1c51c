"""Applying Hyperswitch's status of a payment, from a webhook or a refresh: once, whatever the order of the updates."""

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
from payments.review_items import (
    MISMATCH,
    PAYMENT_STATUS_UNKNOWN,
    UNAPPLIED_FUNDS,
    open_review_of_mismatch,
    open_review_of_payment_status,
)
from payments.states import PaymentStatus
from veza.core.causes import Cause
from veza.core.ids import row_id
from veza.core.models import StatusChange
from veza.core.money import format_amount
from veza.core.reviews import close_review
from veza.core.states import may_move, move

# Hyperswitch's status of a payment, and ours. Each that means a problem with the money becomes `mismatched`; `pending`
# and `processing` hold none of it. A test walks Hyperswitch's list: one that is not here is a review item.
STATUS_OF = {
    "succeeded": PaymentStatus.SUCCEEDED,
    "processing": PaymentStatus.PROCESSING,
    "partially_captured_and_processing": PaymentStatus.PROCESSING,
    "requires_payment_method": PaymentStatus.PENDING,
    "requires_confirmation": PaymentStatus.PENDING,
    "requires_customer_action": PaymentStatus.PENDING,
    "requires_merchant_action": PaymentStatus.PENDING,
    "requires_capture": PaymentStatus.PENDING,
    "partially_authorized_and_requires_capture": PaymentStatus.PENDING,
    "failed": PaymentStatus.FAILED,
    "cancelled": PaymentStatus.CANCELLED,
    "expired": PaymentStatus.CANCELLED,
    "partially_captured": PaymentStatus.MISMATCHED,
    "partially_captured_and_capturable": PaymentStatus.MISMATCHED,
    "conflicted": PaymentStatus.MISMATCHED,
    "review": PaymentStatus.MISMATCHED,
    "cancelled_post_capture": PaymentStatus.MISMATCHED,
}
_OPEN = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)
_STATUS_UNKNOWN = "unclear"  # In a payment's error_code, until Hyperswitch reports a status that we know.
_CAPTURES = frozenset({"succeeded", "partially_captured", "partially_captured_and_capturable"})
# What an open payment waits for at Hyperswitch, for staff; the other statuses say it themselves.
NOTES = {
    "requires_customer_action": "waiting for the buyer to confirm it with their bank",
    "requires_merchant_action": "waiting for a decision in Hyperswitch's dashboard",
    "requires_capture": "authorized, not captured: nothing is received yet",
    "partially_authorized_and_requires_capture": "authorized in part, not captured: nothing is received yet",
    "partially_captured_and_processing": "captured in part; the rest is being processed",
}


def apply_payment(snapshot: RemotePayment, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Bring our payment to its status at Hyperswitch, with everything that follows, in this transaction.

    An update older than the last one applied, or one that the table of moves forbids, is stale and changes nothing. One
    that leaves our status as it is and brings something new about the payment is stored.
    """
    assert connection.in_atomic_block, "an update and everything that follows from it are one commit"
    key = row_id("pay", snapshot.payment_id)
    payment = Payment.objects.locked().filter(pk=key).first() if key else None
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    if _is_older(snapshot, payment):
        return HandlingResult(Result.STALE, payment.correlation_id)
    target = STATUS_OF.get(snapshot.status)
    if target is None:
        _mark_status_unknown(payment, snapshot)
        return HandlingResult(Result.IGNORED, payment.correlation_id)
    if snapshot.status == "succeeded" and snapshot.received_minor is None:
        return _request_received_amount(snapshot, payment)
    if target == PaymentStatus.FAILED and payment.status == PaymentStatus.SUCCEEDED:
        target = PaymentStatus.MISMATCHED
    if not _is_applicable(snapshot, target, payment):
        if _is_detail(snapshot, target, payment):
            return _store_details(payment, snapshot)
        return _ignore_stale(payment)
    _apply(payment, snapshot, target, cause=cause, at=at)
    return HandlingResult(Result.OK, payment.correlation_id)


def _is_older(snapshot: RemotePayment, payment: Payment) -> bool:
    last = payment.provider_updated_at
    return last is not None and snapshot.updated_at is not None and snapshot.updated_at < last


def _is_applicable(snapshot: RemotePayment, target: PaymentStatus, payment: Payment) -> bool:
    has_more = payment.status == PaymentStatus.MISMATCHED and _added_minor(snapshot, payment) > 0
    if not may_move(payment, target) and not has_more:
        return False
    return not _is_decided(snapshot, target, payment) and not _holds_mismatched_funds(target, payment)


def _is_detail(snapshot: RemotePayment, target: PaymentStatus, payment: Payment) -> bool:
    """Whether the update leaves our status and the money as they are, and brings something new about the payment."""
    holds_nothing = payment.received_minor == 0
    if payment.error_code == _STATUS_UNKNOWN:
        return holds_nothing or (target == payment.status and not _added_minor(snapshot, payment))
    stored = (payment.provider_status, payment.error_code, payment.error_message)
    is_other = (snapshot.status, snapshot.error_code, snapshot.error_message) != stored
    if target not in (PaymentStatus.PENDING, PaymentStatus.PROCESSING):
        return target == payment.status == PaymentStatus.FAILED and is_other and holds_nothing
    times = [at for at in (payment.provider_updated_at, payment.provider_status_at) if at is not None]
    is_newer = snapshot.updated_at > max(times) if snapshot.updated_at is not None and times else is_other
    return is_newer and holds_nothing


def _store_details(payment: Payment, snapshot: RemotePayment) -> HandlingResult:
    """Store what is new about a payment whose status stays.

    `provider_updated_at` stays too: it orders the updates that move a payment, and this one must hide none of them.
    """
    _close_review_of_status(payment, snapshot)
    changes: dict[str, Any] = {
        "provider_status": snapshot.status,
        "provider_status_at": snapshot.updated_at or payment.provider_status_at,
    }
    if payment.status in _OPEN or snapshot.error_code or payment.error_code == _STATUS_UNKNOWN:
        changes |= {"error_code": snapshot.error_code, "error_message": snapshot.error_message}
    if payment.status not in _OPEN:
        changes["next_attempt_at"] = None  # A final payment that was due for a refresh has had it.
    Payment.objects.filter(pk=payment.pk).update(**changes)
    return HandlingResult(Result.OK, payment.correlation_id)


def _close_review_of_status(payment: Payment, snapshot: RemotePayment) -> None:
    if payment.error_code == _STATUS_UNKNOWN:
        close_review(PAYMENT_STATUS_UNKNOWN, payment, note=f"The status at Hyperswitch is {snapshot.status}.")


def _ignore_stale(payment: Payment) -> HandlingResult:
    """Nothing changes. A final payment that was due for a refresh has had it: it is not refreshed again."""
    if payment.next_attempt_at is not None and payment.status not in _OPEN:
        Payment.objects.filter(pk=payment.pk).update(next_attempt_at=None)
    return HandlingResult(Result.STALE, payment.correlation_id)


def _holds_mismatched_funds(target: PaymentStatus, payment: Payment) -> bool:
    """Whether a mismatched payment would be cancelled while we hold its money: finance decides about that first."""
    is_mismatched = payment.status == PaymentStatus.MISMATCHED
    return is_mismatched and target == PaymentStatus.CANCELLED and payment.received_minor > payment.refunded_minor


def _request_received_amount(snapshot: RemotePayment, payment: Payment) -> HandlingResult:
    """Never assume that everything was captured: have the worker refresh the payment, unless it has already."""
    last = payment.provider_updated_at
    is_refreshed = last is not None and snapshot.updated_at is not None and snapshot.updated_at <= last
    if (payment.received_minor and is_refreshed) or payment.status == PaymentStatus.SUCCEEDED:
        return HandlingResult(Result.STALE, payment.correlation_id)
    Payment.objects.filter(pk=payment.pk).update(next_attempt_at=Now())
    return HandlingResult(Result.WAITING, payment.correlation_id)


def _added_minor(snapshot: RemotePayment, payment: Payment) -> int:
    """What Hyperswitch received since the last update."""
    if snapshot.status not in _CAPTURES or snapshot.received_minor is None:
        return 0
    if payment.received_currency not in ("", snapshot.currency):
        return 0  # One payment does not arrive in two currencies: it is mismatched, and finance decides.
    return max(0, snapshot.received_minor - payment.received_minor)


def _is_decided(snapshot: RemotePayment, target: PaymentStatus, payment: Payment) -> bool:
    """Whether the update is about money that was refunded already, or about a mismatch that finance has decided."""
    if _added_minor(snapshot, payment):
        return False
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELLED) and payment.received_minor:
        return True
    is_same_update = snapshot.updated_at is not None and snapshot.updated_at == payment.provider_updated_at
    if target != PaymentStatus.MISMATCHED or not is_same_update:
        return False
    # A decision is ours and has no time at Hyperswitch: it was made about the last update.
    return StatusChange.objects.filter(subject_id=payment.pk, from_status=PaymentStatus.MISMATCHED).exists()


def _is_exact(payment: Payment, snapshot: RemotePayment) -> bool:
    """Whether the price was received exactly, and not refunded before the purchase was fulfilled."""
    if (snapshot.currency, snapshot.received_minor) != (payment.currency, payment.amount_minor):
        return False
    return not payment.refunded_minor or allocations.is_applied(payment)


def _apply(payment: Payment, snapshot: RemotePayment, target: PaymentStatus, *, cause: Cause, at: datetime) -> None:
    added_minor = _added_minor(snapshot, payment)
    if target == PaymentStatus.SUCCEEDED and not _is_exact(payment, snapshot):
        target = PaymentStatus.MISMATCHED
    _close_review_of_status(payment, snapshot)
    had_waiting_deliveries, previous_status = payment.has_waiting_deliveries, payment.status
    _store(payment, target, _changes(payment, snapshot, target, added_minor, at=at), cause=cause, at=at)
    if added_minor:
        assert payment.received_currency == snapshot.currency, "a payment is received in one currency"
        post_received(payment, added_minor, currency=snapshot.currency, at=at)
        if had_waiting_deliveries:
            wake_waiting(payment.correlation_id)
    if previous_status == PaymentStatus.MISMATCHED and (added_minor or payment.status != previous_status):
        for kind in (MISMATCH, UNAPPLIED_FUNDS):  # What follows may open them again.
            close_review(kind, payment, note=f"The status at Hyperswitch is {snapshot.status}.")
    _follow(payment, snapshot, cause=cause, at=at)


def _changes(
    payment: Payment, snapshot: RemotePayment, target: PaymentStatus, added_minor: int, *, at: datetime
) -> dict[str, Any]:
    """The fields that an applied update sets, the status not among them."""
    changes: dict[str, Any] = {
        "hyperswitch_payment_id": snapshot.payment_id,
        "provider_updated_at": snapshot.updated_at or payment.provider_updated_at,
        "provider_status": snapshot.status,
        "provider_status_at": snapshot.updated_at or payment.provider_status_at,
        "received_minor": payment.received_minor + added_minor,
        "payment_method_id": snapshot.payment_method_id or payment.payment_method_id,
        "error_code": snapshot.error_code,
        "error_message": snapshot.error_message,
        "next_attempt_at": None,
    }
    if added_minor:
        changes |= {"received_currency": snapshot.currency, "has_waiting_deliveries": False}
    if target in (PaymentStatus.SUCCEEDED, PaymentStatus.CANCELLED, PaymentStatus.MISMATCHED):
        changes["close_due_at"] = None  # Otherwise the buyer may still pay: the page is closed after its session.
    if target == PaymentStatus.SUCCEEDED:
        changes["succeeded_at"] = at
    return changes


def _store(payment: Payment, target: PaymentStatus, changes: dict[str, Any], *, cause: Cause, at: datetime) -> None:
    assert changes["received_minor"] >= payment.received_minor, "an update never reduces what was received"
    if payment.status != target:
        move(payment, target, cause=cause, at=at, **changes)
        return
    Payment.objects.filter(pk=payment.pk).update(**changes)
    for name, value in changes.items():
        setattr(payment, name, value)


def _follow(payment: Payment, snapshot: RemotePayment, *, cause: Cause, at: datetime) -> None:
    match payment.status:
        case PaymentStatus.SUCCEEDED:
            assert payment.received_minor >= payment.amount_minor, "a payment succeeds when its price was received"
            assert payment.held_currency == payment.currency, "a payment succeeds in the currency of its price"
            purchase_of(payment).payment_succeeded(payment, cause=cause, at=at)
            if payment.disputed_minor:
                book_disputes(payment, at=at)  # They took unapplied funds; now the funds are applied.
        case PaymentStatus.FAILED | PaymentStatus.CANCELLED:
            purchase_of(payment).payment_failed(payment, cause=cause, at=at)
        case PaymentStatus.MISMATCHED:
            open_review_of_mismatch(payment, _describe_mismatch(payment, snapshot))


def _describe_mismatch(payment: Payment, snapshot: RemotePayment) -> str:
    """In words: the price, what was received, and what Hyperswitch reports where that is something else."""
    price = format_amount(payment.amount_minor, payment.currency)
    amount = format_amount(payment.received_minor, payment.held_currency) if payment.received_minor else "nothing"
    report = snapshot.status
    remote = (snapshot.received_minor, snapshot.currency)
    if snapshot.received_minor is not None and remote != (payment.received_minor, payment.held_currency):
        report += f", {format_amount(snapshot.received_minor, snapshot.currency)}"
    return f"The price is {price}; {amount} was received (Hyperswitch reports {report})."


def _mark_status_unknown(payment: Payment, snapshot: RemotePayment) -> None:
    Payment.objects.filter(pk=payment.pk).update(error_code=_STATUS_UNKNOWN)
    open_review_of_payment_status(payment, snapshot.status)
