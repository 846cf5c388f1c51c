"""Money of a payment that Hyperswitch does not hold any more: it was voided there after the capture, or failed.

Veza sends nothing then. A void takes the road of a refund all the same: order, invoice, licences and sellers' shares
follow it, and it is mirrored when the money is there again.
"""

from datetime import datetime

from django.db import connection

from payments.ledger import allocations
from payments.models import Payment, Refund
from payments.ports import purchase_of
from payments.refunds.refund_postings import allocate, allocate_finally, post_out
from payments.refunds.refund_updates import book_money_back, follow_success
from payments.states import RefundStatus
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.states import move


def set_voided(payment: Payment, target_minor: int, *, currency: str, reason: str, cause: Cause, at: datetime) -> None:
    """Bring the voids of a locked payment to `target_minor` of what it received in `currency`, with what follows.

    The newest void is mirrored first; what that mirrors too much is voided again.
    """
    assert connection.in_atomic_block, "a payment is voided in the commit of the report about it"
    voids = payment.refunds.filter(source=Refund.Source.VOID, status=RefundStatus.SUCCEEDED)
    standing = list(voids.filter(currency=currency).order_by("-pk"))
    voided_minor = sum(void.amount_minor for void in standing)
    while voided_minor > target_minor:
        void = standing.pop(0)
        void.payment = payment
        move(void, RefundStatus.BOUNCED, cause=cause, at=at)
        book_money_back(void, cause=cause, at=at)
        voided_minor -= void.amount_minor
    if voided_minor < target_minor:
        _void(payment, target_minor - voided_minor, currency=currency, reason=reason, cause=cause, at=at)
    assert payment.voided_minor(currency) == target_minor, "what is voided is what Hyperswitch does not hold"


def _void(payment: Payment, amount_minor: int, *, currency: str, reason: str, cause: Cause, at: datetime) -> None:
    void = payment.refunds.create(
        pk=new_id(),
        correlation_id=payment.correlation_id,
        amount_minor=amount_minor,
        currency=currency,
        allocation=allocations.allocate_refund(amount_minor, payment),
        source=Refund.Source.VOID,
        reason=reason[:500],
    )
    void.payment = payment
    allocate(void, purchase_of(payment).allocate_external_refund(void))
    allocate_finally(void)
    move(void, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at)
    post_out(void, at=at)
    follow_success(void, cause=cause, at=at)
