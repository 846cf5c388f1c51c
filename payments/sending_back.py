"""Money that pays for nothing goes back to the buyer without anybody asking: a refund is opened, a sweep sends it."""

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from payments.models import Payment, Refund
from payments.refund_cases import not_returned
from payments.refunds import open_refund
from payments.states import RefundStatus
from veza.core.errors import NotAllowed


class NothingToSendBack(NotAllowed):
    code = "nothing_to_send_back"


def open_sending_back(payment: Payment, legs: Mapping[str, int], *, refund_id: UUID, reason: str) -> Refund:
    """Open a refund that a sweep sends from now on; the payment is locked. Raises what opening a refund raises."""
    return open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=sum(legs.values()),
        legs=legs,
        source=Refund.Source.LATE_PAYMENT,
        reason=reason,
        requested_by_id=None,
        send_after=timezone.now(),
    )


@transaction.atomic(durable=True)
def send_back_again(*, refund_id: UUID, payment_id: UUID, reason: str) -> Refund:
    """Open a refund of late money again, under a new id, after the last one came to nothing.

    Asking again with the same id returns the first. Raises NothingToSendBack when that money is not here any more,
    RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    payment = Payment.objects.locked().get(pk=payment_id)
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    legs = not_returned(payment)
    if not legs:
        raise NothingToSendBack("Nothing of this payment waits to be sent back.")
    return open_sending_back(payment, legs, refund_id=refund_id, reason=reason)


def can_be_sent_back(payment: Payment) -> bool:
    """Whether late money of a payment is here and on no way back."""
    if not payment.received_minor or payment.refunds.filter(status=RefundStatus.PENDING).exists():
        return False
    return bool(not_returned(payment))
