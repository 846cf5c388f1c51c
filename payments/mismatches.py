"""Money that is not what was asked for: a person accepts it, or gives it back."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from payments.accounts import UNAPPLIED
from payments.holdings import unclaimed
from payments.models import Payment, Refund
from payments.refunds import open_refund
from payments.states import PaymentStatus
from veza.core.cases import close_case
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.facts import announce
from veza.core.ids import new_id
from veza.core.states import move


class NotMismatched(NotAllowed):
    code = "payment_not_mismatched"


class TooLittleReceived(NotAllowed):
    code = "too_little_received"


@transaction.atomic(durable=True)
def accept(*, payment_id: UUID, cause: Cause) -> Payment:
    """Take a mismatched payment as it is: what it pays for is fulfilled, and a surplus goes back by itself.

    Raises NotMismatched, and TooLittleReceived when less than was asked for came, or another currency.
    """
    payment = _mismatched(payment_id)
    if payment.received_minor < payment.amount_minor or payment.held_currency != payment.currency:
        raise TooLittleReceived("Less than the price was received. Give it back, and let the buyer pay again.")
    at = timezone.now()
    move(payment, PaymentStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at)
    announce("payment.succeeded", payment, cause=cause, at=at)
    _send_back(payment, payment.received_minor - payment.amount_minor, reason="More was paid than was asked for.")
    close_case("payment_mismatch", payment, note=f"Accepted: {cause.reason or 'no reason given'}.")
    return payment


@transaction.atomic(durable=True)
def give_back(*, payment_id: UUID, cause: Cause) -> Payment:
    """Give all that nobody claimed of a mismatched payment back; it is cancelled when that has succeeded.

    Raises NotMismatched, and what opening a refund raises.
    """
    payment = _mismatched(payment_id)
    _send_back(payment, sum(unclaimed(payment).values()), reason="The payment was not what was asked for.")
    close_case("payment_mismatch", payment, note=f"Given back: {cause.reason or 'no reason given'}.")
    return payment


def _mismatched(payment_id: UUID) -> Payment:
    payment = Payment.objects.locked().get(pk=payment_id)
    if payment.status != PaymentStatus.MISMATCHED:
        raise NotMismatched(f"This payment is {payment.status}: there is nothing to decide.")
    return payment


def _send_back(payment: Payment, amount_minor: int, *, reason: str) -> None:
    if not amount_minor:
        return
    open_refund(
        refund_id=new_id(),
        payment=payment,
        amount_minor=amount_minor,
        legs={UNAPPLIED: amount_minor},
        source=Refund.Source.LATE_PAYMENT,
        reason=reason,
        requested_by_id=None,
        send_after=timezone.now(),
    )
