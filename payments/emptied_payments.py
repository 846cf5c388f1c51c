"""A payment of which nothing is left has ended; one that has something again is in review again."""

from datetime import datetime

from django.db import connection

from payments.ledger import allocations
from payments.models import Payment
from payments.ports import purchase_of
from payments.review_items import MISMATCH, open_review_of_mismatch
from payments.states import PaymentStatus
from veza.core.causes import Cause
from veza.core.reviews import close_review
from veza.core.states import move


def follow_emptied(payment: Payment, *, cause: Cause, at: datetime) -> None:
    """Bring the status of a locked payment up to date after a refund or a dispute took money of it, or gave it back.

    A mismatched one that is emptied is cancelled with its purchase; a cancelled one that is not any more is mismatched.
    """
    assert connection.in_atomic_block, "a payment ends in the commit of the refund or dispute that empties it"
    if payment.status == PaymentStatus.MISMATCHED and allocations.is_emptied(payment):
        cancel_emptied(payment, note="Everything that was received was refunded, voided or lost.", cause=cause, at=at)
    elif payment.status == PaymentStatus.CANCELLED and not allocations.is_emptied(payment):
        move(payment, PaymentStatus.MISMATCHED, cause=cause, at=at)
        open_review_of_mismatch(payment, "It was cancelled because nothing was left of it, and money has come back.")


def cancel_emptied(payment: Payment, *, note: str, cause: Cause, at: datetime) -> None:
    """Cancel a locked mismatched payment of which nothing is left, with its order or invoice."""
    assert allocations.is_emptied(payment), "a payment of which we hold money is refunded before it is cancelled"
    move(payment, PaymentStatus.CANCELLED, cause=cause, at=at)
    close_review(MISMATCH, payment, note=note)
    purchase_of(payment).payment_failed(payment, cause=cause, at=at)
