"""Which report on a payment is believed: the order of reads and webhooks, and what only a second read confirms.

Between two reads the later request wins: Hyperswitch's clock may be a second behind itself. Between a read and a
webhook its `updated` decides. A read alone never takes anything away: two reads at least CONFIRM_AFTER apart have to
agree. Nor does a webhook that cannot be ordered by its clock: the payment is read instead.
"""

from datetime import datetime
from typing import Any

from django.db import connection

from payments.hyperswitch.objects import RemotePayment
from payments.models import Payment
from payments.ports import purchase_of
from payments.retry_policy import CONFIRM_AFTER
from payments.review_items import PAYMENT_CONTRADICTED, open_review_of_contradiction
from veza.core import writes
from veza.core.causes import Cause
from veza.core.reviews import close_review

# An unpaid page ends so. Of a payment that was paid it would be a surprise, and a webhook alone is not enough.
_SURPRISES = frozenset({"cancelled", "expired"})
# The fields of a payment that nothing contradicts.
AGREED: dict[str, Any] = {"contradicted_at": None, "contradicted_by": ""}


def is_outdated(snapshot: RemotePayment, payment: Payment) -> bool:
    """Whether something newer was applied or remembered already."""
    if snapshot.read_at is None:
        return _has_older_clock(snapshot, payment)
    reads = [payment.last_read_at, payment.contradicted_at if payment.contradicted_by else None]
    return any(last is not None and snapshot.read_at < last for last in reads)


def must_be_confirmed(snapshot: RemotePayment, payment: Payment, *, is_adverse: bool) -> bool:
    """Whether the report is not enough. `is_adverse`: it takes money away, or undoes a success."""
    if snapshot.read_at is None:
        return is_adverse and (snapshot.status in _SURPRISES or not _has_newer_clock(snapshot, payment))
    contradicts_webhook = payment.last_read_at is None and _has_older_clock(snapshot, payment)
    return is_adverse or contradicts_webhook


def is_confirmed(snapshot: RemotePayment, payment: Payment) -> bool:
    """Whether an earlier read, long enough ago, said the same."""
    if snapshot.read_at is None or payment.contradicted_at is None:
        return False
    is_late_enough = snapshot.read_at - payment.contradicted_at >= CONFIRM_AFTER
    return is_late_enough and payment.contradicted_by == _summary_of(snapshot)


def remember(snapshot: RemotePayment, payment: Payment, *, at: datetime) -> None:
    """Store what was said, and have the payment read: after a webhook now, after a read in CONFIRM_AFTER.

    Meanwhile the payment is in doubt. A review item is opened when two reads contradict it, and each other.
    """
    assert connection.in_atomic_block, "the payment is locked while a contradiction is stored"
    changes: dict[str, Any] = {"next_attempt_at": at}
    if snapshot.read_at is None:
        changes["contradicted_at"] = payment.contradicted_at or at
    else:
        changes["next_attempt_at"] = at + CONFIRM_AFTER
        if payment.contradicted_by != _summary_of(snapshot):
            changes |= {"contradicted_at": snapshot.read_at, "contradicted_by": _summary_of(snapshot)}
            if payment.contradicted_by:
                open_review_of_contradiction(payment, payment.contradicted_by, _summary_of(snapshot))
    _set(payment, changes)


def agree(snapshot: RemotePayment, payment: Payment, *, is_success: bool, cause: Cause, at: datetime) -> None:
    """A report changed nothing. After a read no contradiction is left; a newer success is remembered by its clock."""
    changes: dict[str, Any] = {}
    if is_success and _has_newer_clock(snapshot, payment):
        changes |= {"provider_updated_at": snapshot.updated_at, "last_read_at": None}
    if snapshot.read_at is not None:
        changes |= AGREED | {"last_read_at": snapshot.read_at}
    was_contradicted = payment.contradicted_at is not None
    _set(payment, changes)
    if was_contradicted and payment.contradicted_at is None:
        close_contradiction(payment, snapshot)
        if not payment.is_in_doubt():
            purchase_of(payment).doubt_ended(payment, cause=cause, at=at)


def close_contradiction(payment: Payment, snapshot: RemotePayment) -> None:
    """Close the review item about contradicting reads, if one is open."""
    close_review(PAYMENT_CONTRADICTED, payment, note=f"The status at Hyperswitch is {snapshot.status}.")


def latest_clock(snapshot: RemotePayment, payment: Payment) -> datetime | None:
    """The later `updated` of the two: a late webhook stays late, whatever a read said."""
    clocks = [clock for clock in (snapshot.updated_at, payment.provider_updated_at) if clock is not None]
    return max(clocks, default=None)


def _has_older_clock(snapshot: RemotePayment, payment: Payment) -> bool:
    last = payment.provider_updated_at
    return last is not None and snapshot.updated_at is not None and snapshot.updated_at < last


def _has_newer_clock(snapshot: RemotePayment, payment: Payment) -> bool:
    last = payment.provider_updated_at
    return last is not None and snapshot.updated_at is not None and snapshot.updated_at > last


def _summary_of(snapshot: RemotePayment) -> str:
    amount = "no amount" if snapshot.received_minor is None else str(snapshot.received_minor)
    return f"{snapshot.status}, {amount} {snapshot.currency}"[:100]


def _set(payment: Payment, changes: dict[str, Any]) -> None:
    if changes:
        writes.update(payment, **changes)
