"""Refunds that stay pending for long: finance finds out what became of them, and may end one that will not be made.

Some refunds are reported as pending for ever. Until it is decided, what a refund promises counts as gone, so one that
never ends would keep its items from being refunded another way.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from payments.hyperswitch import client
from payments.hyperswitch.objects import RemoteRefund
from payments.models import Payment, Refund
from payments.refunds.refund_updates import apply_refund, book_failure
from payments.review_items import REFUND_OVERDUE
from payments.states import RefundStatus
from veza.core import calls, writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.outcomes import Accepted, Refused
from veza.core.reviews import open_review
from veza.core.sweeps import Tally, beat
from veza.core.words import format_date

WORKER = "payments.review_refunds"
ENDED_BY_STAFF = "ended_by_staff"
BATCH = 200
log = structlog.get_logger(__name__)


class RefundNotOverdue(NotAllowed):
    code = "refund_not_overdue"
    http_status = 409


def overdue_refunds() -> QuerySet[Refund]:
    """Refunds that have been pending for REFUND_REVIEW_AFTER, the oldest first."""
    if not settings.REFUND_REVIEW_AFTER:
        return Refund.objects.none()
    before = timezone.now() - settings.REFUND_REVIEW_AFTER
    return Refund.objects.filter(status=RefundStatus.PENDING, created_at__lte=before).order_by("created_at")


def is_under_review(refund: Refund) -> bool:
    """Whether the refund has been pending for so long that finance finds out about it."""
    after: timedelta = settings.REFUND_REVIEW_AFTER
    return refund.status == RefundStatus.PENDING and bool(after) and refund.created_at <= timezone.now() - after


def review_overdue_refunds() -> int:
    """Open a review item about each overdue refund, and again as long after one was closed by hand.

    Returns how many were opened. One that raises is logged, counted and left to the next time. Leaves a heartbeat.
    """
    recent = ReviewItem.objects.filter(kind=REFUND_OVERDUE, subject_id=OuterRef("pk")).exclude(
        closed_at__lte=timezone.now() - settings.REFUND_REVIEW_AFTER
    )
    count, errors = 0, []
    for refund_id in overdue_refunds().exclude(Exists(recent)).values_list("pk", flat=True)[:BATCH]:
        try:
            count += _review(refund_id)
        except DatabaseError as error:
            errors.append(f"{refund_id}: {error}")
            log.exception("refund_not_reviewed", refund=str(refund_id))
    beat(WORKER, Tally(done=count, failed=len(errors), last_error=errors[-1] if errors else ""))
    return count


@writes.atomic()
def _review(refund_id: UUID) -> bool:
    """Under the payment's lock: a refund that ends at this moment closes the review item, or is found ended."""
    Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.get(pk=refund_id)
    if refund.status != RefundStatus.PENDING:
        return False
    _open_review_of_overdue_refund(refund)
    return True


def end_overdue_refund(*, refund_id: UUID, cause: Cause, at: datetime) -> Refund:
    """Fail an overdue refund of which Hyperswitch's staff say that it will not be made.

    It is read first: an answer that decides it is applied instead. Should it succeed after all it is booked, and what
    it takes beyond the payment is a review item. Raises RefundNotOverdue.
    """
    refund = Refund.objects.get(pk=refund_id)
    if not is_under_review(refund):
        raise RefundNotOverdue("Only a refund that has been pending for long can be ended.")
    outcome = client.read_refund(refund.provider_key, force_sync=True)
    if not isinstance(outcome, Accepted | Refused):
        calls.record(outcome, subject=refund, our_id=refund.provider_key)
        raise RefundNotOverdue("Hyperswitch does not answer now, so the refund stays pending. Try again later.")
    return _end(refund_id, outcome, cause=cause, at=at)


@writes.atomic()
def _end(refund_id: UUID, outcome: Accepted[RemoteRefund] | Refused, *, cause: Cause, at: datetime) -> Refund:
    payment = Payment.objects.locked().get(refunds=refund_id)
    if isinstance(outcome, Accepted):
        apply_refund(outcome.value, cause=cause, at=at)
    refund = Refund.objects.get(pk=refund_id)
    refund.payment = payment
    calls.record(outcome, subject=refund, our_id=refund.provider_key)
    if refund.status == RefundStatus.PENDING:
        error = {"error_code": ENDED_BY_STAFF, "error_message": cause.reason[:500]}
        book_failure(refund, cause=cause, at=at, next_attempt_at=None, **error)
    return refund


def _open_review_of_overdue_refund(refund: Refund) -> None:
    """The refund is pending for days: banks take hours, and some providers never report an end."""
    amount = format_amount(refund.amount_minor, refund.currency)
    open_review(
        REFUND_OVERDUE,
        refund,
        why=f"A refund of {amount} has been pending since {format_date(refund.created_at)}. Its amount stays promised "
        "to the buyer; whatever else is left of the payment can be refunded meanwhile.",
        what_to_do="Finance: press “Refresh from Hyperswitch” on the refund's page. If it stays pending, ask "
        "Hyperswitch's staff; once they have confirmed that it will not be made, press “End refund”, and refund again.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )
