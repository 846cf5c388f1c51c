"""Who may have an order's money back, how much, and until when."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from marketplace.models import Order, RefundLine
from marketplace.shares import accounts_of, left_of, split
from marketplace.states import OrderStatus
from payments.models import Payment, Refund
from payments.refunds import PaymentMissing, RefundAlreadyRequested, open_refund, send_refund
from payments.states import PaymentStatus
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User
from veza.core.states import move


class OrderNotRefundable(NotAllowed):
    code = "order_not_refundable"


class RefundWindowExpired(NotAllowed):
    code = "refund_window_expired"


def request_refund(*, refund_id: UUID, order_id: UUID, asked_by: User, reason: str, cause: Cause) -> Refund:
    """Open the refund of a whole order and ask the provider for it. The refund answers as pending.

    Raises NotFound, OrderNotRefundable, RefundWindowExpired, PaymentMissing, RefundAlreadyRequested,
    RefundExceedsPayment.
    """
    refund = place_refund(refund_id=refund_id, order_id=order_id, asked_by=asked_by, reason=reason, cause=cause)
    if refund.first_sent_at is None:
        send_refund(refund.pk, cause=cause)
    return refund


@transaction.atomic(durable=True)
def place_refund(*, refund_id: UUID, order_id: UUID, asked_by: User, reason: str, cause: Cause) -> Refund:
    """Commit a refund that nobody has told the provider about yet, and mark its order as waiting for it."""
    payment = Payment.objects.of(Payment.Purpose.ORDER, order_id).locked().filter(received_minor__gt=0).first()
    order = Order.objects.locked().filter(pk=order_id, buyer=asked_by).first()
    if order is None:
        raise NotFound("There is no such order.")
    if payment is not None and (earlier := payment.refunds.filter(pk=refund_id).first()):
        return earlier
    _refuse_unless_refundable(order)
    if payment is None or payment.status != PaymentStatus.SUCCEEDED:
        raise PaymentMissing("No payment of this order has been received, so there is nothing to give back.")
    items = list(order.items.all())
    left = left_of(items)
    amount = sum(part.total_minor for part in left)
    parts = split(amount, left)
    refund = open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=amount,
        legs=accounts_of(parts),
        source=Refund.Source.BUYER,
        reason=reason,
        requested_by_id=asked_by.pk,
    )
    RefundLine.objects.bulk_create(
        RefundLine(
            refund=refund,
            item_id=part.item_id,
            tax_minor=part.tax_minor,
            fee_minor=part.fee_minor,
            seller_minor=part.seller_minor,
        )
        for part in parts
    )
    move(order, OrderStatus.REFUND_PENDING, cause=cause)
    return refund


def _refuse_unless_refundable(order: Order) -> None:
    if order.status == OrderStatus.REFUND_PENDING:
        raise RefundAlreadyRequested("A refund of this order is already in progress.")
    if order.status != OrderStatus.COMPLETED:
        raise OrderNotRefundable(f"Only a completed order can be refunded; this one is {order.status}.")
    if order.total_minor == 0:
        raise OrderNotRefundable("Nothing was paid for this order.")
    if order.refund_deadline is not None and timezone.now() > order.refund_deadline:
        raise RefundWindowExpired(f"This order could be refunded until {order.refund_deadline:%d %B %Y}.")
