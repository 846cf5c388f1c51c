"""Which report on a payment or refund is believed: reads and webhooks in order, and what only a second read confirms.

Between two reads the later request wins: Hyperswitch's clock may be a second behind itself. Between a read and a
webhook its `updated` decides. A read alone never lowers an amount or undoes a success: two reads at least CONFIRM_AFTER
apart have to agree. Nor does a webhook that cannot be ordered by its clock: the row is read instead.
"""

from datetime import datetime
from typing import Any

from django.db import connection

from payments.hyperswitch.objects import RemotePayment, RemoteRefund
from payments.models import Payment, Refund
from payments.ports import purchase_of
from payments.retry_policy import CONFIRM_AFTER
from payments.review_items import close_review_of_contradiction, open_review_of_contradiction
from payments.states import PaymentStatus
from veza.core import writes
from veza.core.causes import Cause

Reported = Payment | Refund
Snapshot = RemotePayment | RemoteRefund
# An unpaid page ends so. Of a payment that was paid it would be a surprise, and a webhook alone is not enough.
_SURPRISES = frozenset({"cancelled", "expired"})
# The fields of a row that nothing contradicts.
AGREED: dict[str, Any] = {"contradicted_at": None, "contradicted_by": ""}


def is_outdated(snapshot: Snapshot, row: Reported) -> bool:
    """Whether something newer was applied or remembered already."""
    if snapshot.read_at is None:
        return _has_older_clock(snapshot, row)
    reads = [row.last_read_at, row.contradicted_at if row.contradicted_by else None]
    return any(last is not None and snapshot.read_at < last for last in reads)


def must_wait(snapshot: Snapshot, row: Reported, *, is_adverse: bool) -> bool:
    """Whether a report that changes something has to wait for a read that says the same.

    `is_adverse`: it lowers an amount, or undoes a success.
    """
    return _must_be_confirmed(snapshot, row, is_adverse=is_adverse) and not _is_confirmed(snapshot, row)


def waits_for_receipt(payment: Payment, *, at: datetime) -> bool:
    """Whether a report of a refund or dispute comes before that of its locked payment, and is applied later.

    A payment that ended may have lost what it captured before we heard of the capture: then nothing is received any
    more. It is read once; if it ended there too, the report is not kept waiting: what it takes is ours to recover.
    """
    if payment.received_minor:
        return False
    has_ended = payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELLED)
    if has_ended and payment.has_waiting_deliveries and payment.last_read_at is not None:
        return False
    changes: dict[str, Any] = {}
    if not payment.has_waiting_deliveries:
        changes["has_waiting_deliveries"] = True
        if has_ended:
            changes["last_read_at"] = None  # A read from before this report does not count.
    if has_ended and payment.next_attempt_at is None:
        changes["next_attempt_at"] = at
    _set(payment, changes)
    return True


def _must_be_confirmed(snapshot: Snapshot, row: Reported, *, is_adverse: bool) -> bool:
    if snapshot.read_at is None:
        return is_adverse and (snapshot.status in _SURPRISES or not _has_newer_clock(snapshot, row))
    contradicts_webhook = row.last_read_at is None and _has_older_clock(snapshot, row)
    return is_adverse or contradicts_webhook


def _is_confirmed(snapshot: Snapshot, row: Reported) -> bool:
    """Whether an earlier read, long enough ago, said the same."""
    if snapshot.read_at is None or row.contradicted_at is None:
        return False
    is_late_enough = snapshot.read_at - row.contradicted_at >= CONFIRM_AFTER
    return is_late_enough and row.contradicted_by == _summary_of(snapshot)


def remember(snapshot: Snapshot, row: Reported, *, at: datetime) -> None:
    """Store what was said, and have the row read: after a webhook now, after a read in CONFIRM_AFTER.

    Meanwhile the payment is in doubt. A review item is opened when two reads contradict the row, and each other.
    """
    assert connection.in_atomic_block, "the payment is locked while a contradiction is stored"
    changes: dict[str, Any] = {"next_attempt_at": at}
    if snapshot.read_at is None:
        changes["contradicted_at"] = row.contradicted_at or at
    else:
        changes["next_attempt_at"] = at + CONFIRM_AFTER
        if row.contradicted_by != _summary_of(snapshot):
            changes |= {"contradicted_at": snapshot.read_at, "contradicted_by": _summary_of(snapshot)}
            if row.contradicted_by:
                open_review_of_contradiction(row, row.contradicted_by, _summary_of(snapshot))
    _set(row, changes)


def agree(snapshot: Snapshot, row: Reported, *, is_success: bool, cause: Cause, at: datetime) -> None:
    """A report changed nothing. After a read no contradiction is left; a newer success is remembered by its clock."""
    changes: dict[str, Any] = {}
    if is_success and _has_newer_clock(snapshot, row):
        changes |= {"provider_updated_at": snapshot.updated_at, "last_read_at": None}
    if snapshot.read_at is not None:
        changes |= AGREED | {"last_read_at": snapshot.read_at}
    was_contradicted = row.contradicted_at is not None
    _set(row, changes)
    if was_contradicted and row.contradicted_at is None:
        end_contradiction(row, snapshot, cause=cause, at=at)


def end_contradiction(row: Reported, snapshot: Snapshot, *, cause: Cause, at: datetime) -> None:
    """Close the review item about contradicting reads, if one is open; what waited for the doubt to end proceeds."""
    close_review_of_contradiction(row, snapshot.status)
    payment = row if isinstance(row, Payment) else row.payment
    if not payment.is_in_doubt():
        purchase_of(payment).doubt_ended(payment, cause=cause, at=at)


def latest_clock(snapshot: Snapshot, row: Reported) -> datetime | None:
    """The later `updated` of the two: a late webhook stays late, whatever a read said."""
    clocks = [clock for clock in (snapshot.updated_at, row.provider_updated_at) if clock is not None]
    return max(clocks, default=None)


def _has_older_clock(snapshot: Snapshot, row: Reported) -> bool:
    last = row.provider_updated_at
    return last is not None and snapshot.updated_at is not None and snapshot.updated_at < last


def _has_newer_clock(snapshot: Snapshot, row: Reported) -> bool:
    last = row.provider_updated_at
    return last is not None and snapshot.updated_at is not None and snapshot.updated_at > last


def _summary_of(snapshot: Snapshot) -> str:
    amount_minor = snapshot.received_minor if isinstance(snapshot, RemotePayment) else snapshot.amount_minor
    amount = "no amount" if amount_minor is None else str(amount_minor)
    return f"{snapshot.status}, {amount} {snapshot.currency}"[:100]


def _set(row: Reported, changes: dict[str, Any]) -> None:
    if changes:
        writes.update(row, **changes)
