"""Money that is not what was asked for: a person accepts it, or gives it back."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from payments.collection.payment_updates import MISMATCH
from payments.ledger.allocations import is_applied, unapplied_funds
from payments.models import Payment
from payments.ports import purchase_of
from payments.review_items import UNAPPLIED_FUNDS
from payments.reviews.automatic_refunds import open_return_of_funds, return_unapplied_funds
from payments.states import PaymentStatus
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.reviews import close_review
from veza.core.states import move


class NotMismatched(NotAllowed):
    code = "payment_not_mismatched"


class TooLittleReceived(NotAllowed):
    code = "too_little_received"


class NothingUnclaimed(NotAllowed):
    code = "nothing_unclaimed"


@transaction.atomic(durable=True)
def accept(*, payment_id: UUID, cause: Cause) -> Payment:
    """Take a mismatched payment as it is: what it pays for is fulfilled, and a surplus goes back by itself.

    Raises NotMismatched, and TooLittleReceived when less than was asked for came, or another currency.
    """
    payment = _mismatched(payment_id)
    if payment.received_minor < payment.amount_minor or payment.held_currency != payment.currency:
        raise TooLittleReceived("Less than the price was received. Give it back, and let the buyer pay again.")
    if not is_applied(payment) and payment.received_minor - payment.refunded_minor < payment.amount_minor:
        raise TooLittleReceived("Less than the price is left of what was received. Give back the rest of it.")
    at = timezone.now()
    for kind in (MISMATCH, UNAPPLIED_FUNDS):  # What follows may open the second anew.
        close_review(kind, payment, note=f"Accepted: {cause.reason or 'no reason given'}.")
    move(payment, PaymentStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at)
    purchase_of(payment).payment_succeeded(payment, cause=cause, at=at)
    return_unapplied_funds(payment, reason="More was paid than was asked for.")
    return payment


@transaction.atomic(durable=True)
def give_back(*, payment_id: UUID, cause: Cause) -> Payment:
    """Give all that nobody claimed of a mismatched payment back; it is cancelled when that has succeeded.

    One of which nothing ever came is cancelled at once. Raises NotMismatched, NothingUnclaimed when all that came was
    claimed, and what opening a refund raises.
    """
    payment = _mismatched(payment_id)
    if payment.received_minor == 0:
        _cancel(payment, cause=cause)
        return payment
    allocation = unapplied_funds(payment)
    if not allocation:
        raise NothingUnclaimed(
            "What this payment pays for was fulfilled, so nothing of it is unclaimed. Accept it, then refund it where "
            "it was bought."
        )
    open_return_of_funds(payment, allocation, refund_id=new_id(), reason="The payment was not what was asked for.")
    return payment


def _cancel(payment: Payment, *, cause: Cause) -> None:
    """Nothing came and nobody waits for it: what it was to pay for is given up."""
    at = timezone.now()
    move(payment, PaymentStatus.CANCELLED, cause=cause, at=at)
    purchase_of(payment).payment_failed(payment, cause=cause, at=at)
    close_review(MISMATCH, payment, note=f"Nothing was received: {cause.reason or 'no reason given'}.")


def _mismatched(payment_id: UUID) -> Payment:
    payment = Payment.objects.locked().get(pk=payment_id)
    if payment.status != PaymentStatus.MISMATCHED:
        raise NotMismatched(f"This payment is {payment.status}: there is nothing to decide.")
    return payment
