"""The worker closes unpaid payment pages after their session: Hyperswitch sends no webhook for an abandoned one."""

from uuid import UUID

import structlog
from django.db import connection, models
from django.db.models.functions import Coalesce, Now

from payments.collection.charges import is_awaiting_payer
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
    close_pages(Payment.objects.of(purpose, purpose_id))


def close_pages(payments: models.QuerySet[Payment]) -> None:
    """Make the pages of these payments due: what they are for is not sold to their payers any more.

    A payment that another process is changing is passed over: it may wait for what our caller has locked, and what it
    brings is returned.
    """
    to_close = payments.filter(close_due_at__isnull=False).order_by()
    free = to_close.select_for_update(skip_locked=True, no_key=True, of=("self",))
    Payment.objects.filter(pk__in=free.values("pk")).update(close_due_at=Now())


def close_order_pages_of(payer_id: UUID) -> None:
    """Make the pages of all orders of a payer due, declined ones too. The caller has closed the payer's account."""
    assert connection.in_atomic_block, "the pages are due in the commit that closes the account"
    close_pages(Payment.objects.filter(payer=payer_id, purpose=Payment.Purpose.ORDER))


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
    """Whether it has ended here and not at Hyperswitch: a webhook about that may never arrive.

    The buyer was declined on a page that lets them try again, or it was made at Hyperswitch after we had given it up.
    """
    if payment.hyperswitch_payment_id is None or payment.status not in (PaymentStatus.FAILED, PaymentStatus.CANCELLED):
        return False
    is_declined_page = payment.status == PaymentStatus.FAILED and not payment.off_session
    return is_declined_page or is_awaiting_payer(payment)
