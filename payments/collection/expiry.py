"""The worker closes unpaid payment pages after their session: Hyperswitch sends no webhook for an abandoned one."""

from uuid import UUID

import structlog
from django.db import connection, models
from django.db.models.functions import Coalesce, Now

from payments.collection.payment_requests import PAGE_CLOSED, close_payment_page
from payments.models import Payment
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core import writes
from veza.core.causes import Cause

log = structlog.get_logger(__name__)


def to_close() -> models.QuerySet[Payment]:
    """Payments whose page will be closed, claimed by `close_due_at`."""
    return Payment.objects.filter(close_due_at__isnull=False)


def close_pages_soon(purpose: str, purpose_id: UUID) -> None:
    """Make the pages of a purchase that is paid already due, declined ones too: the buyer could pay it twice."""
    Payment.objects.of(purpose, purpose_id).filter(close_due_at__isnull=False).update(close_due_at=Now())


def close_order_pages_of(payer_id: UUID) -> None:
    """Make the pages of all orders of a payer due, declined ones too. The caller has closed the payer's account."""
    assert connection.in_atomic_block, "the pages are due in the commit that closes the account"
    pages = Payment.objects.filter(payer=payer_id, purpose=Payment.Purpose.ORDER, close_due_at__isnull=False)
    keys = [payment.pk for payment in pages.locked()]
    Payment.objects.filter(pk__in=keys, close_due_at__isnull=False).update(close_due_at=Now())


def close_unpaid(payment_id: UUID, *, cause: Cause) -> str:
    """Cancel a payment at Hyperswitch whose session is over; cancelled or unknown there, it has expired.

    One that is being paid after all stays: Hyperswitch refuses, and its status is applied instead. So is that of a
    declined one whose buyer tried again on the same page. Without an answer it is retried when its lease is over.
    Returns the result.
    """
    if not _start_closing(payment_id):
        return "nothing to close"
    payment, result = close_payment_page(payment_id, reason="abandoned", cause=cause)
    if result == PAGE_CLOSED:
        Payment.objects.filter(pk=payment_id).exclude(status__in=PAYMENT_OPEN).update(close_due_at=None)
    log.info(
        "unpaid_closed" if result == PAGE_CLOSED else "unpaid_not_closed",
        payment=str(payment_id),
        correlation_id=str(payment.correlation_id),
        status=payment.status,
        result=result,
    )
    return result


@writes.atomic()
def _start_closing(payment_id: UUID) -> bool:
    """Commit that the worker closes it: the webhook of the cancellation may be faster than the answer."""
    payment = Payment.objects.locked().get(pk=payment_id)
    if payment.status not in PAYMENT_OPEN and not _can_be_paid_again(payment):
        writes.update(payment, close_due_at=None)
        return False
    Payment.objects.filter(pk=payment_id).update(closing_started_at=Coalesce("closing_started_at", Now()))
    return True


def _can_be_paid_again(payment: Payment) -> bool:
    """Whether its buyer was declined on a page that lets them try again: a webhook about that may never arrive."""
    has_page = payment.hyperswitch_payment_id is not None and not payment.off_session
    return payment.status == PaymentStatus.FAILED and has_page
