"""Applying Hyperswitch's status of a payment, from a webhook or a refresh: once, whatever the order of the updates."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from payments.collection.charges import needs_payer, why_failed
from payments.collection.foreign_receipts import receive_foreign
from payments.collection.payment_changes import CAPTURES, STATUS_OF, STATUS_UNKNOWN, Change, change_of, is_detail
from payments.contradictions import AGREED, agree, is_outdated, latest_clock, must_wait, remember
from payments.disputes.dispute_postings import book_disputes
from payments.hyperswitch.objects import RemotePayment
from payments.inbox.intake import HandlingResult, Result, wake_waiting
from payments.ledger import allocations
from payments.ledger.postings import post_received
from payments.models import LOCKED_PAYMENT, Dispute, Payment
from payments.ports import purchase_of
from payments.refunds.refund_postings import cover_excess
from payments.refunds.voids import set_voided
from payments.retry_policy import AMOUNT_MISSING_FOR
from payments.review_items import (
    MISMATCH,
    PAYMENT_AMOUNT_MISSING,
    PAYMENT_STATUS_UNKNOWN,
    UNAPPLIED_FUNDS,
    close_review_of_contradiction,
    open_review_of_mismatch,
    open_review_of_missing_amount,
    open_review_of_payment_status,
    update_review_of_surplus,
)
from payments.states import PaymentStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.ids import row_id
from veza.core.money import format_amount
from veza.core.reviews import close_review
from veza.core.states import move

_OPEN = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)
_FOLLOWED = (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELLED)


def apply_payment(snapshot: RemotePayment, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Bring our payment to its status at Hyperswitch, with everything that follows, in this transaction.

    An update older than the last one applied, or one that changes neither the status nor the money, is stale, unless
    it brings something new about the payment, which is stored. One that takes something away may have to be confirmed
    by a second read (payments/contradictions.py).
    """
    assert connection.in_atomic_block, "an update and everything that follows from it are one commit"
    key = row_id("pay", snapshot.payment_id)
    payment = next(iter(LOCKED_PAYMENT(key)), None) if key else None
    if payment is None:
        return HandlingResult(Result.UNMATCHED)
    return HandlingResult(_apply_to(payment, snapshot, cause=cause, at=at), payment.correlation_id)


def _apply_to(payment: Payment, snapshot: RemotePayment, *, cause: Cause, at: datetime) -> Result:
    if is_outdated(snapshot, payment):
        return Result.STALE
    if snapshot.status not in STATUS_OF:
        _mark_status_unknown(payment, snapshot)
        return Result.IGNORED
    if snapshot.status == "succeeded" and snapshot.received_minor is None:
        return _request_received_amount(snapshot, payment, at=at)
    change = change_of(snapshot, payment)
    if change is None:
        is_new = is_detail(snapshot, payment)
        if is_new:
            _store_details(payment, snapshot)
        _ignore_stale(payment, snapshot, cause=cause, at=at)
        return Result.OK if is_new else Result.STALE
    if must_wait(snapshot, payment, is_adverse=change.is_adverse):
        remember(snapshot, payment, at=at)
        return Result.OK if snapshot.read_at is None else Result.WAITING
    _apply(payment, snapshot, change, cause=cause, at=at)
    return Result.OK


def _store_details(payment: Payment, snapshot: RemotePayment) -> None:
    """Store what is new about a payment whose status stays.

    `provider_updated_at` stays too: it orders the updates that move a payment, and this one must hide none of them.
    """
    _close_review_of_status(payment, snapshot)
    changes: dict[str, Any] = {
        "provider_status": snapshot.status,
        "provider_status_at": snapshot.updated_at or payment.provider_status_at,
    }
    if payment.status in _OPEN or snapshot.error_code or payment.error_code == STATUS_UNKNOWN:
        changes |= {"error_code": snapshot.error_code, "error_message": snapshot.error_message}
    writes.update(payment, **changes)


def _close_review_of_status(payment: Payment, snapshot: RemotePayment) -> None:
    if payment.error_code == STATUS_UNKNOWN:
        close_review(PAYMENT_STATUS_UNKNOWN, payment, note=f"The status at Hyperswitch is {snapshot.status}.")


def _ignore_stale(payment: Payment, snapshot: RemotePayment, *, cause: Cause, at: datetime) -> None:
    """Nothing changes. A final payment that was due for a refresh has had it: it is not refreshed again."""
    is_due = payment.next_attempt_at is not None and payment.status not in _OPEN
    if is_due and (payment.contradicted_at is None or snapshot.read_at is not None):
        writes.update(payment, next_attempt_at=None)
    is_success = snapshot.status in CAPTURES and payment.status == PaymentStatus.SUCCEEDED
    agree(snapshot, payment, is_success=is_success, cause=cause, at=at)


def _request_received_amount(snapshot: RemotePayment, payment: Payment, *, at: datetime) -> Result:
    """Never assume that everything was captured: have the worker refresh the payment, unless it has already.

    After AMOUNT_MISSING_FOR a review item asks finance for the amount.
    """
    # What finance entered has no time at Hyperswitch: it was entered after a read.
    lasts = [last for last in (payment.provider_updated_at, payment.last_read_at) if last is not None]
    is_refreshed = bool(lasts) and snapshot.updated_at is not None and snapshot.updated_at <= max(lasts)
    is_known = payment.status == PaymentStatus.SUCCEEDED and snapshot.currency == payment.held_currency
    if (payment.received_minor and is_refreshed) or is_known:
        return Result.STALE
    since = payment.amount_missing_since or at
    writes.update(payment, next_attempt_at=Now(), amount_missing_since=since, has_waiting_deliveries=True)
    if at - since >= AMOUNT_MISSING_FOR:
        open_review_of_missing_amount(payment)
    return Result.WAITING


def _apply(payment: Payment, snapshot: RemotePayment, change: Change, *, cause: Cause, at: datetime) -> None:
    previous, was_in_doubt, was_applied = payment.status, payment.is_in_doubt(), False
    had_waiting_deliveries = payment.has_waiting_deliveries
    if change.target in _FOLLOWED and change.target != previous:
        purchase_of(payment).lock(payment)  # Whatever is read before the first write is read in fewer round trips.
    if change.adds_money and previous != PaymentStatus.PENDING:
        was_applied = allocations.is_applied(payment)
    _close_reviews(payment, snapshot, change)
    _store(payment, change.target, _changes(payment, snapshot, change, at=at), cause=cause, at=at)
    if change.added_minor:
        post_received(payment, change.added_minor, currency=snapshot.currency, at=at)
        if had_waiting_deliveries:
            wake_waiting(payment.correlation_id)
    _apply_flows(payment, snapshot, change, cause=cause, at=at)
    if change.added_minor and payment.refunded_minor:
        cover_excess(payment, payment.held_currency, at=at)
    if payment.status == change.target:  # Otherwise it was voided in full, and what follows has followed.
        is_repeated = previous == PaymentStatus.SUCCEEDED and not change.adds_money
        _follow(payment, snapshot, is_repeated=is_repeated, cause=cause, at=at)
    if was_applied:
        update_review_of_surplus(payment)
    if was_in_doubt and not payment.is_in_doubt():
        purchase_of(payment).doubt_ended(payment, cause=cause, at=at)


def _apply_flows(payment: Payment, snapshot: RemotePayment, change: Change, *, cause: Cause, at: datetime) -> None:
    """Book what was received in other currencies than first, and what was voided: what is there again before what is
    not, so that the payment is never emptied between the two.
    """
    for flow in change.flows[1:]:
        if flow.added_minor:
            receive_foreign(payment, flow.added_minor, currency=flow.currency, cause=cause, at=at)
    report = f"{snapshot.status}, {snapshot.currency}" if len(change.flows) > 1 else snapshot.status
    reason = f"Hyperswitch reports {report}: the money is not there any more."
    for flow in sorted(change.flows, key=lambda flow: flow.newly_voided_minor):
        if flow.newly_voided_minor:
            target_minor = flow.voided_minor
            set_voided(payment, target_minor, currency=flow.currency, reason=reason, cause=cause, at=at)


def _close_reviews(payment: Payment, snapshot: RemotePayment, change: Change) -> None:
    """Close the review items that the report resolves. What follows may open some of them again."""
    note = f"The status at Hyperswitch is {snapshot.status}."
    _close_review_of_status(payment, snapshot)
    if payment.amount_missing_since is not None:
        close_review(PAYMENT_AMOUNT_MISSING, payment, note=note)
    if payment.contradicted_at is not None:
        close_review_of_contradiction(payment, snapshot.status)
    was_mismatched = payment.status == PaymentStatus.MISMATCHED
    if was_mismatched and (change.moves_money or change.target != payment.status):
        for kind in (MISMATCH, UNAPPLIED_FUNDS):
            close_review(kind, payment, note=note)


def _changes(payment: Payment, snapshot: RemotePayment, change: Change, *, at: datetime) -> dict[str, Any]:
    """The fields that an applied update sets, the status not among them."""
    changes: dict[str, Any] = AGREED | {
        "hyperswitch_payment_id": snapshot.payment_id,
        "provider_updated_at": latest_clock(snapshot, payment),
        "last_read_at": snapshot.read_at,
        "provider_status": snapshot.status,
        "provider_status_at": snapshot.updated_at or payment.provider_status_at,
        "received_minor": payment.received_minor + change.added_minor,
        "amount_missing_since": None,
        "payment_method_id": snapshot.payment_method_id or payment.payment_method_id,
        "error_code": snapshot.error_code,
        "error_message": snapshot.error_message,
        "decline_details": snapshot.decline_details,
        "card_expires_on": snapshot.card_expires_on or payment.card_expires_on,
        "next_attempt_at": None,
    }
    if change.added_minor:
        changes |= {"received_currency": snapshot.currency, "has_waiting_deliveries": False}
    if change.target in (PaymentStatus.SUCCEEDED, PaymentStatus.CANCELLED, PaymentStatus.MISMATCHED):
        changes["close_due_at"] = None  # Otherwise the buyer may still pay: the page is closed after its session.
    if needs_payer(payment, snapshot):
        changes |= {"error_code": why_failed(snapshot), "close_due_at": Now()}
    if change.target == PaymentStatus.SUCCEEDED and payment.status != PaymentStatus.SUCCEEDED:
        changes["succeeded_at"] = at
    return changes


def _store(payment: Payment, target: PaymentStatus, changes: dict[str, Any], *, cause: Cause, at: datetime) -> None:
    assert changes["received_minor"] >= payment.received_minor, "an update never reduces what was received"
    if payment.status != target:
        move(payment, target, cause=cause, at=at, **changes)
        return
    writes.update(payment, **changes)


def _follow(payment: Payment, snapshot: RemotePayment, *, is_repeated: bool, cause: Cause, at: datetime) -> None:
    match payment.status:
        case PaymentStatus.SUCCEEDED if not is_repeated:
            assert payment.received_minor >= payment.amount_minor, "a payment succeeds when its price was received"
            assert payment.held_currency == payment.currency, "a payment succeeds in the currency of its price"
            purchase_of(payment).payment_succeeded(payment, cause=cause, at=at)
            if payment.disputed_minor:
                # They took unapplied funds that are applied now, or shares for which a surplus has come.
                book_disputes(payment, at=at)
                for dispute in Dispute.objects.filter(payment=payment).order_by("pk"):
                    dispute.payment = payment
                    purchase_of(payment).dispute_changed(dispute, cause=cause, at=at)
        case PaymentStatus.FAILED | PaymentStatus.CANCELLED:
            purchase_of(payment).payment_failed(payment, cause=cause, at=at)
        case PaymentStatus.MISMATCHED:
            open_review_of_mismatch(payment, _describe_mismatch(payment, snapshot))


def _describe_mismatch(payment: Payment, snapshot: RemotePayment) -> str:
    """In words: the price, what was received, and what Hyperswitch reports where that is something else."""
    price = format_amount(payment.amount_minor, payment.currency)
    captured = payment.captured_funds()
    amount = format_amount(*captured) if captured[0] else "nothing"
    report = snapshot.status
    if snapshot.received_minor is not None and captured != (snapshot.received_minor, snapshot.currency):
        report += f", {format_amount(snapshot.received_minor, snapshot.currency)}"
    return f"The price is {price}; {amount} was received (Hyperswitch reports {report})."


def _mark_status_unknown(payment: Payment, snapshot: RemotePayment) -> None:
    writes.update(payment, error_code=STATUS_UNKNOWN)
    open_review_of_payment_status(payment, snapshot.status)
