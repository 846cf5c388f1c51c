"""Money that pays for nothing goes back to the buyer without anybody asking: a refund is opened, a sweep sends it."""

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from payments.ledger.allocations import combine, reserved_by_refunds, subtract, unapplied_funds
from payments.models import Payment, Refund
from payments.refunds.refund_requests import (
    RefundAlreadyRequested,
    RefundExceedsPayment,
    RefundLimitReached,
    open_refund,
)
from payments.review_items import funds_to_return, open_review_of_unapplied_funds
from payments.states import RefundStatus
from veza.core.errors import NotAllowed
from veza.core.ids import new_id


class NothingToReturn(NotAllowed):
    code = "nothing_to_send_back"


def return_unapplied_funds(payment: Payment, *, claimed: Mapping[str, int] | None = None, reason: str) -> bool:
    """Send back what nobody claims of a locked payment, and legs that were `claimed` for nothing: all in one refund.

    In the caller's transaction. It never refuses, because what it reacts to has happened: where no refund can be opened
    (too old, one under way, disputed), a case asks a person. Returns whether one was opened.
    """
    allocation = combine(subtract(reserved_by_refunds(payment), unapplied_funds(payment)), claimed or {})
    if not allocation:
        return False
    try:
        open_return_of_funds(payment, allocation, refund_id=new_id(), reason=reason)
    except (RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached) as no:
        open_review_of_unapplied_funds(
            payment, sum(allocation.values()), f"{reason} No refund of it could be opened: {no.text}"
        )
        return False
    return True


def open_return_of_funds(payment: Payment, allocation: Mapping[str, int], *, refund_id: UUID, reason: str) -> Refund:
    """Open a refund that a sweep sends from now on; the payment is locked. Raises what opening a refund raises."""
    return open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=sum(allocation.values()),
        allocation=allocation,
        source=Refund.Source.LATE_PAYMENT,
        reason=reason,
        requested_by_id=None,
        send_after=timezone.now(),
    )


@transaction.atomic(durable=True)
def retry_return_of_funds(*, refund_id: UUID, payment_id: UUID, reason: str) -> Refund:
    """Open a refund of late money again, under a new id, after the last one came to nothing.

    Asking again with the same id returns the first. Raises NothingToSendBack when that money is not here any more,
    RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    payment = Payment.objects.locked().get(pk=payment_id)
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    allocation = funds_to_return(payment)
    if not allocation:
        raise NothingToReturn("Nothing of this payment waits to be sent back.")
    return open_return_of_funds(payment, allocation, refund_id=refund_id, reason=reason)


def funds_are_returnable(payment: Payment) -> bool:
    """Whether late money of a payment is here and on no way back."""
    if not payment.received_minor or payment.refunds.filter(status=RefundStatus.PENDING).exists():
        return False
    return bool(funds_to_return(payment))
