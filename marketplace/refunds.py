"""Who may refund an order, how much of it, and until when.

A refund is of a whole order, of some of its items, of an amount, or of an amount within some items. Its split over
items, and within each over seller, fee and tax, is fixed when it is opened, always over what remains.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.utils import timezone

from marketplace.allocation import ItemShares, accounts_of, payment_applied_to, remaining_shares, split
from marketplace.models import Order, OrderItem, RefundLine
from marketplace.states import OrderStatus
from payments.models import Payment, Refund
from payments.refunds.refund_requests import (
    PaymentMissing,
    RefundAlreadyRequested,
    RefundExceedsPayment,
    open_refund,
    refuse_in_doubt,
    send_now,
)
from payments.states import PaymentStatus
from veza.core import writes
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
    """What to refund: everything that remains, unless items or an amount (or both) limit it."""

    reason: str
    item_ids: Collection[UUID] = ()
    amount_minor: int | None = None


def request_refund(
    *, refund_id: UUID, order_id: UUID, requested_by: User, refund_request: RefundRequest, cause: Cause
) -> Refund:
    """Open a refund of an order and send it to Hyperswitch. It is returned as pending.

    Requesting again with the same id returns the first refund. Raises NotFound, RefundForbidden, OrderNotRefundable,
    RefundWindowExpired, ItemNotInOrder, PaymentMissing, PaymentInDoubt, RefundAlreadyRequested,
    RefundExceedsPayment, RefundLimitReached.
    """
    refund = place_refund(
        refund_id=refund_id, order_id=order_id, requested_by=requested_by, refund_request=refund_request, cause=cause
    )
    if refund.first_sent_at is None:
        send_now(refund.pk, cause=cause)
    return refund


@writes.atomic()
def place_refund(
    *, refund_id: UUID, order_id: UUID, requested_by: User, refund_request: RefundRequest, cause: Cause
) -> Refund:
    """Commit a refund that is not sent yet, and mark its order as waiting for it."""
    payment = payment_applied_to(order_id).locked().filter(received_minor__gt=0).first()
    order = Order.objects.locked().filter(pk=order_id).first()
    items = list(OrderItem.objects.filter(order=order_id).order_by("pk"))
    source = _source_of(requested_by, order, items)
    assert order is not None, "only an order that exists has a source of refunds"
    if payment is not None and (earlier := payment.refunds.filter(pk=refund_id).first()):
        return earlier
    payment = _refuse_unless_refundable(order, payment, source)
    parts = _split_request(order, _requested_items(items, requested_by, source, refund_request), refund_request)
    refund = open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=sum(part.total_minor for part in parts),
        allocation=accounts_of(parts),
        source=source,
        reason=refund_request.reason,
        requested_by_id=requested_by.pk,
    )
    assert refund.currency == payment.currency == order.currency, "order, payment and refund have one currency"
    create_refund_lines(refund, parts)
    move(order, OrderStatus.REFUND_PENDING, cause=cause)
    return refund


def _source_of(user: User, order: Order | None, items: Sequence[OrderItem]) -> Refund.Source:
    """In which role the user requests a refund. Raises NotFound for a user who may not see the order."""
    if order is not None and order.buyer_id == user.pk:
        return Refund.Source.BUYER
    if order is not None and any(item.seller_id == user.pk for item in items):
        return Refund.Source.SELLER
    if not user.is_staff:
        raise NotFound("There is no such order.")
    if not user.has_perm(MAY_REFUND):
        raise RefundForbidden("You do not have the permission to refund for a buyer. Contact finance.")
    if order is None:
        raise NotFound("There is no such order.")
    return Refund.Source.SUPPORT


def _refuse_unless_refundable(order: Order, payment: Payment | None, source: Refund.Source) -> Payment:
    """Return the payment to refund."""
    if order.status == OrderStatus.REFUND_PENDING:
        raise RefundAlreadyRequested("A refund of this order is already in progress.")
    if order.status != OrderStatus.COMPLETED:
        raise OrderNotRefundable(f"Only a completed order can be refunded; this one is {order.status}.")
    if order.total_minor == 0:
        raise OrderNotRefundable("Nothing was paid for this order.")
    is_late = order.refund_deadline is not None and timezone.now() > order.refund_deadline
    if is_late and source != Refund.Source.SUPPORT:
        raise RefundWindowExpired(f"This order could be refunded until {order.refund_deadline:%d %b %Y}.")
    if payment is None:
        raise PaymentMissing("No payment of this order has been received, so there is nothing to refund.")
    refuse_in_doubt(payment)
    if payment.status != PaymentStatus.SUCCEEDED:
        raise PaymentMissing("The payment of this order is in doubt. It can be refunded after a review.")
    return payment


def _requested_items(
    items: Sequence[OrderItem], user: User, source: Refund.Source, refund_request: RefundRequest
) -> list[OrderItem]:
    """The items to refund: those in the request, or all that the user may refund."""
    unknown_ids = set(refund_request.item_ids) - {item.pk for item in items}
    if unknown_ids:
        raise ItemNotInOrder(f"{min(unknown_ids)} is not an item of this order.")
    selection = [item for item in items if not refund_request.item_ids or item.pk in refund_request.item_ids]
    if source != Refund.Source.SELLER:
        return selection
    own = [item for item in selection if item.seller_id == user.pk]
    if refund_request.item_ids and len(own) < len(selection):
        raise RefundForbidden("A seller may refund their own items only.")
    return own


def _split_request(order: Order, items: Sequence[OrderItem], refund_request: RefundRequest) -> list[ItemShares]:
    remaining = remaining_shares(items)
    available = sum(share.total_minor for share in remaining)
    amount = available if refund_request.amount_minor is None else refund_request.amount_minor
    if amount > available or available == 0:
        raise RefundExceedsPayment(f"Only {format_amount(available, order.currency)} is left to refund.")
    return [part for part in split(amount, remaining) if part.total_minor]


def create_refund_lines(refund: Refund, parts: Sequence[ItemShares]) -> None:
    """Record how much of each item a refund gives back."""
    assert connection.in_atomic_block, "a refund's lines are written in the transaction that opens or posts it"
    assert not any(part.is_negative for part in parts), "no part of a refund is negative"
    assert sum(part.total_minor for part in parts) <= refund.booked_minor, "a refund's lines never exceed its amount"
    writes.insert(
        RefundLine(
            refund=refund,
            item_id=part.item_id,
            tax_minor=part.tax_minor,
            fee_minor=part.fee_minor,
            seller_minor=part.seller_minor,
        )
        for part in parts
    )
