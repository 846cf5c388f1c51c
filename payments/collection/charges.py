"""Charges of a saved method that Hyperswitch does not finish without the payer.

The payer is not on a page to answer the bank or to enter a card, so such a charge has failed: the floors above ask the
payer, on a page of its own. It is closed at Hyperswitch. Should it succeed all the same, it is booked like any late
payment.
"""

from payments.hyperswitch.objects import RemotePayment
from payments.models import Payment
from payments.retry_policy import UNCONFIRMED_AFTER
from payments.states import PaymentStatus

# In `error_code`, where Hyperswitch reports no code of its own.
AUTHENTICATION_REQUIRED = "authentication_required"
NOT_CONFIRMED = "not_confirmed"
# Hyperswitch's statuses in which a payment can still be paid by a payer who has its page or its bank's request.
AWAITS_PAYER = frozenset({"requires_payment_method", "requires_confirmation", "requires_customer_action"})
_MAY_FAIL = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)


def needs_payer(payment: Payment, snapshot: RemotePayment) -> bool:
    """Whether the report says that a charge without the payer is not made without them.

    A payment page always awaits its payer, and is never meant.
    """
    if not payment.off_session or payment.status not in _MAY_FAIL:
        return False
    if snapshot.status == "requires_customer_action":
        return True
    return snapshot.status in AWAITS_PAYER and _was_sent_long_before(payment, snapshot)


def is_awaiting_payer(payment: Payment) -> bool:
    """Whether Hyperswitch would still let the payer pay it, as far as it has told us."""
    return payment.hyperswitch_payment_id is not None and payment.provider_status in AWAITS_PAYER


def why_failed(snapshot: RemotePayment) -> str:
    """The error code of a charge that needs the payer."""
    fallback = AUTHENTICATION_REQUIRED if snapshot.status == "requires_customer_action" else NOT_CONFIRMED
    return snapshot.error_code or fallback


def _was_sent_long_before(payment: Payment, snapshot: RemotePayment) -> bool:
    """By our clock, and for a read only: a webhook of that status may have been made before the confirmation."""
    if payment.first_sent_at is None or snapshot.read_at is None:
        return False
    return snapshot.read_at - payment.first_sent_at >= UNCONFIRMED_AFTER
