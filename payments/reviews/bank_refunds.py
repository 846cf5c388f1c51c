"""Bank refunds of unapplied funds: money that was received for nothing, and that Hyperswitch cannot return."""

from uuid import UUID

from django.utils import timezone

from payments.models import Payment, Refund
from payments.refunds.bank_refunds import book_bank_refund, is_bank_refund_possible, open_bank_refund
from payments.review_items import funds_to_return
from payments.reviews.automatic_refunds import NothingToReturn
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause


@writes.atomic()
def book_bank_return_of_funds(
    *, refund_id: UUID, payment_id: UUID, bank_reference: str, booked_by_id: UUID, cause: Cause
) -> Refund:
    """Book that our bank paid the unapplied funds of a payment back to the buyer; all of them, in one transfer.

    The same id again returns the first. Raises OwnAccount, NothingToReturn, and what `open_bank_refund` raises.
    """
    payment = Payment.objects.locked().get(pk=payment_id)
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    refuse_own(payment.payer_id, cause)
    funds = funds_to_return(payment)
    if not funds.allocation:
        raise NothingToReturn("This payment has no unapplied funds to return.")
    refund = open_bank_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=funds.total_minor,
        currency=funds.currency,
        allocation=funds.allocation,
        bank_reference=bank_reference,
        reason=cause.reason,
        requested_by_id=booked_by_id,
    )
    book_bank_refund(refund, cause=cause, at=timezone.now())
    return refund


def is_bank_return_possible(payment: Payment) -> bool:
    """Whether unapplied funds are held that Hyperswitch cannot return."""
    return is_bank_refund_possible(payment) and bool(funds_to_return(payment).allocation)
