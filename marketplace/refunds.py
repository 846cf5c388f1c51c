"""Who may have an order's money back, how much of it, and until when.

A refund is of a whole order, of some of its items, of an amount, or of an amount within some items. Its split over
items, and within each over seller, fee and tax, is fixed when it is opened, always over what is left.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from marketplace.allocation import ItemShares, accounts_of, remaining_of, split
from marketplace.models import Order, OrderItem, RefundLine
from marketplace.states import OrderStatus
from payments.models import Payment, Refund
from payments.refunds.refund_requests import (
    PaymentMissing,
    RefundAlreadyRequested,
    RefundExceedsPayment,
    open_refund,
    send_now,
)
from payments.states import PaymentStatus
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User
from veza.core.money import format_amount
from veza.core.states import move

MAY_REFUND = "payments.refund_for_buyer"


class OrderNotRefundable(NotAllowed):
    code = "order_not_refundable"


class RefundWindowExpired(NotAllowed):
    code = "refund_window_expired"


class RefundForbidden(NotAllowed):
    code = "refund_forbidden"
    http_status = 403


class ItemNotInOrder(NotAllowed):
    code = "item_not_in_order"


@dataclass(frozen=True)
class RefundRequest:
    """What is asked back: everything that is left, unless items or an amount (or both) say less."""

    reason: str
    item_ids: Collection[UUID] = ()
    amount_minor: int | None = None


def request_refund(
    *, refund_id: UUID, order_id: UUID, asked_by: User, refund_request: RefundRequest, cause: Cause
) -> Refund:
    """Open a refund of an order and ask the provider for it. The refund answers as pending.

    Asking again with the same id returns the first refund. Raises NotFound, RefundForbidden, OrderNotRefundable,
    RefundWindowExpired, ItemNotInOrder, PaymentMissing, RefundAlreadyRequested, RefundExceedsPayment,
    RefundLimitReached.
    """
    refund = place_refund(
        refund_id=refund_id, order_id=order_id, asked_by=asked_by, refund_request=refund_request, cause=cause
    )
    if refund.first_sent_at is None:
        send_now(refund.pk, cause=cause)
    return refund


@transaction.atomic(durable=True)
def place_refund(
    *, refund_id: UUID, order_id: UUID, asked_by: User, refund_request: RefundRequest, cause: Cause
) -> Refund:
    """Commit a refund that nobody has told the provider about yet, and mark its order as waiting for it."""
    payment = Payment.objects.of(Payment.Purpose.ORDER, order_id).locked().filter(received_minor__gt=0).first()
    order = Order.objects.locked().filter(pk=order_id).first()
    items = list(OrderItem.objects.filter(order=order_id).order_by("pk"))
    source = _who_asks(order, items, asked_by)
    assert order is not None, "nobody asks about an order that does not exist"
    if payment is not None and (earlier := payment.refunds.filter(pk=refund_id).first()):
        return earlier
    _refuse_unless_refundable(order, source)
    if payment is None:
        raise PaymentMissing("No payment of this order has been received, so there is nothing to give back.")
    if payment.status != PaymentStatus.SUCCEEDED:
        raise PaymentMissing("The payment of this order is in doubt. It can be refunded once a person has decided it.")
    parts = _parts(order, _asked_items(items, asked_by, source, refund_request), refund_request)
    refund = open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=sum(part.total_minor for part in parts),
        allocation=accounts_of(parts),
        source=source,
        reason=refund_request.reason,
        requested_by_id=asked_by.pk,
    )
    keep_lines(refund, parts)
    move(order, OrderStatus.REFUND_PENDING, cause=cause)
    return refund


def _who_asks(order: Order | None, items: Sequence[OrderItem], asked_by: User) -> Refund.Source:
    """As whom the person asks. Raises NotFound for somebody the order is none of the business of."""
    if order is not None and order.buyer_id == asked_by.pk:
        return Refund.Source.BUYER
    if order is not None and any(item.seller_id == asked_by.pk for item in items):
        return Refund.Source.SELLER
    if not asked_by.is_staff:
        raise NotFound("There is no such order.")
    if not asked_by.has_perm(MAY_REFUND):
        raise RefundForbidden("Refunding for a buyer needs the permission to do so. Ask finance.")
    if order is None:
        raise NotFound("There is no such order.")
    return Refund.Source.SUPPORT


def _refuse_unless_refundable(order: Order, source: Refund.Source) -> None:
    if order.status == OrderStatus.REFUND_PENDING:
        raise RefundAlreadyRequested("A refund of this order is already in progress.")
    if order.status != OrderStatus.COMPLETED:
        raise OrderNotRefundable(f"Only a completed order can be refunded; this one is {order.status}.")
    if order.total_minor == 0:
        raise OrderNotRefundable("Nothing was paid for this order.")
    late = order.refund_deadline is not None and timezone.now() > order.refund_deadline
    if late and source != Refund.Source.SUPPORT:
        raise RefundWindowExpired(f"This order could be refunded until {order.refund_deadline:%d %B %Y}.")


def _asked_items(
    items: Sequence[OrderItem], asked_by: User, source: Refund.Source, refund_request: RefundRequest
) -> list[OrderItem]:
    """The items the refund is about: those named, or all that the person may give back."""
    unknown = set(refund_request.item_ids) - {item.pk for item in items}
    if unknown:
        raise ItemNotInOrder(f"{min(unknown)} is not an item of this order.")
    params = [item for item in items if not refund_request.item_ids or item.pk in refund_request.item_ids]
    if source != Refund.Source.SELLER:
        return params
    own = [item for item in params if item.seller_id == asked_by.pk]
    if refund_request.item_ids and len(own) < len(params):
        raise RefundForbidden("A seller may give back their own items only.")
    return own


def _parts(order: Order, items: Sequence[OrderItem], refund_request: RefundRequest) -> list[ItemShares]:
    left = remaining_of(items)
    available = sum(part.total_minor for part in left)
    amount = available if refund_request.amount_minor is None else refund_request.amount_minor
    if amount > available or available == 0:
        raise RefundExceedsPayment(f"Only {format_amount(available, order.currency)} is left to refund here.")
    return [part for part in split(amount, left) if part.total_minor]


def keep_lines(refund: Refund, parts: Sequence[ItemShares]) -> None:
    """Fix how much of each item a refund gives back."""
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
