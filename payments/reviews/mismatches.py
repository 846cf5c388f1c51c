"""Payments of a wrong amount or currency: finance accepts the received amount, or refunds it in full."""

from uuid import UUID

from django.db import connection
from django.utils import timezone

from payments.emptied_payments import cancel_emptied
from payments.ledger.allocations import (
    Funds,
    foreign_funds,
    is_applied,
    is_emptied,
    unapplied_funds,
)
from payments.ledger.chart_of_accounts import UNAPPLIED
from payments.models import Payment
from payments.ports import purchase_of
from payments.refunds.refund_requests import may_be_refunded, refundable_in
from payments.review_items import MISMATCH, UNAPPLIED_FUNDS
from payments.reviews.automatic_refunds import open_return_of_funds, return_unapplied_funds
from payments.states import PaymentStatus
from veza.core import writes
from veza.core.accounts import refuse_own
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


@writes.atomic()
def accept_received_amount(*, payment_id: UUID, cause: Cause) -> Payment:
    """Accept a mismatched payment: its order or invoice is fulfilled, and a surplus is returned automatically.

    What a pending refund is going to return, and what a dispute holds, counts as gone. Raises OwnAccount,
    NotMismatched, and TooLittleReceived when less than the price was received, or remains, or in another currency.
    """
    payment = _lock_mismatched(payment_id)
    refuse_own(payment.payer_id, cause)
    if payment.received_minor < payment.amount_minor or payment.held_currency != payment.currency:
        raise TooLittleReceived("Less than the price was received. Refund it in full, and let the buyer pay again.")
    if not is_acceptable(payment):
        raise TooLittleReceived("Less than the price remains of what was received: refunds and disputes took the rest.")
    at, was_in_doubt = timezone.now(), payment.is_in_doubt()
    for kind in (MISMATCH, UNAPPLIED_FUNDS):  # What follows may open the second again.
        close_review(kind, payment, note=f"Accepted: {cause.reason or 'no reason given'}.")
    move(payment, PaymentStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at)
    purchase_of(payment).payment_succeeded(payment, cause=cause, at=at)
    return_unapplied_funds(payment, reason="More was paid than the price.")
    if was_in_doubt and not payment.is_in_doubt():
        purchase_of(payment).doubt_ended(payment, cause=cause, at=at)
    return payment


def is_acceptable(payment: Payment) -> bool:
    """Whether the price of a mismatched payment is held, in its currency, or its purchase was fulfilled before.

    Not while another currency is held instead: that is refunded.
    """
    if foreign_funds(payment).allocation:
        return False
    if is_applied(payment):
        return True
    return payment.refundable_minor() >= payment.amount_minor and payment.held_currency == payment.currency


def is_refundable_in_full(payment: Payment) -> bool:
    """Whether a mismatched payment has something to return, or nothing is left of it and it can just be cancelled."""
    if is_emptied(payment):
        return True
    return may_be_refunded(payment, refundable_funds(payment))


def refundable_funds(payment: Payment) -> Funds:
    """What “Refund in full” returns of a mismatched payment: what was applied to nothing, in its currency.

    What a dispute holds is not returned as well: the bank gives it to the buyer, or back to us.
    """
    foreign = foreign_funds(payment)
    funds = foreign if foreign.allocation else Funds(unapplied_funds(payment), payment.held_currency)
    left_minor = min(funds.total_minor, refundable_in(funds.currency, payment))
    return Funds({UNAPPLIED: left_minor} if left_minor > 0 else {}, funds.currency)


@writes.atomic()
def refund_in_full(*, payment_id: UUID, cause: Cause) -> Payment:
    """Refund the unapplied part of a mismatched payment; it is cancelled when that refund has succeeded.

    If nothing is left of it, or nothing was ever received, it is cancelled immediately. Raises NotMismatched,
    NothingUnclaimed when everything received was applied or is disputed, and what `open_refund` raises.
    """
    payment = _lock_mismatched(payment_id)
    if is_emptied(payment):
        note = f"Nothing is left of it: {cause.reason or 'no reason given'}."
        cancel_emptied(payment, note=note, cause=cause, at=timezone.now())
        return payment
    funds = refundable_funds(payment)
    if not funds.allocation:
        if not is_applied(payment):
            raise NothingUnclaimed("A dispute holds what was received. Its end decides: wait for the bank.")
        raise NothingUnclaimed(
            "This payment was applied to an order or invoice that was fulfilled. Accept the received amount, then "
            "refund the order or invoice."
        )
    open_return_of_funds(
        payment, funds, refund_id=new_id(), reason="The amount or currency received was not that of the price."
    )
    return payment


def _lock_mismatched(payment_id: UUID) -> Payment:
    assert connection.in_atomic_block, "a lock lasts until the end of its transaction"
    payment = Payment.objects.locked().get(pk=payment_id)
    if payment.status != PaymentStatus.MISMATCHED:
        raise NotMismatched(f"This payment is {payment.status}, not mismatched: there is nothing to decide.")
    return payment
