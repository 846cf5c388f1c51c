"""Payment pages that nobody paid are closed by our clock: an abandoned session sends no webhook."""

from uuid import UUID

import structlog
from django.db import models, transaction
from django.db.models.functions import Coalesce, Now

from payments.collection.payment_requests import PAGE_OVER, close_payment_page
from payments.models import Payment
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core.causes import Cause

log = structlog.get_logger(__name__)


def to_close() -> models.QuerySet[Payment]:
    """Payments that have an end: claimed by `close_due_at`."""
    return Payment.objects.filter(close_due_at__isnull=False)


def close_pages_soon(purpose: str, purpose_id: UUID) -> None:
    """Make the pages that are still open for what has been paid otherwise due to be closed: one could pay it twice."""
    payments = Payment.objects.of(purpose, purpose_id).filter(status__in=PAYMENT_OPEN, close_due_at__isnull=False)
    payments.update(close_due_at=Now())


def close_unpaid(payment_id: UUID, *, cause: Cause) -> str:
    """Ask the provider to cancel a payment whose session is over; cancelled or unknown there, it has expired.

    One that is being paid after all stays: the provider refuses, and what it says is booked instead. So is what came
    of a declined one whose buyer tried again on the same page. Without an answer it is tried again when its lease is
    over. Returns what came of it.
    """
    if not _begin(payment_id):
        return "nothing to close"
    payment, result = close_payment_page(payment_id, reason="abandoned", cause=cause)
    if result == PAGE_OVER:
        Payment.objects.filter(pk=payment_id).exclude(status__in=PAYMENT_OPEN).update(close_due_at=None)
    log.info(
        "unpaid_closed" if result == PAGE_OVER else "unpaid_not_closed",
        payment=str(payment_id),
        story=str(payment.correlation_id),
        status=payment.status,
        result=result,
    )
    return result


@transaction.atomic(durable=True)
def _begin(payment_id: UUID) -> bool:
    """Commit that it is our clock that closes it: the webhook of the cancel may be faster than the answer."""
    payment = Payment.objects.locked().get(pk=payment_id)
    if payment.status not in PAYMENT_OPEN and not _can_be_paid_again(payment):
        Payment.objects.filter(pk=payment_id).update(close_due_at=None)
        return False
    Payment.objects.filter(pk=payment_id).update(closing_started_at=Coalesce("closing_started_at", Now()))
    return True


def _can_be_paid_again(payment: Payment) -> bool:
    """Whether its buyer was declined on a page that lets them try again: no webhook may tell us that they did."""
    has_a_page = payment.hyperswitch_payment_id is not None and not payment.off_session
    return payment.status == PaymentStatus.FAILED and has_a_page
