"""Who may refund an order, how much of it, and until when.

A refund is of whole items, all that is left of them, or of an amount within items. Buyers give back whole items;
sellers also refund amounts of their own; staff refund what they decide. Its split over items, and within each over
seller, fee and tax, is fixed when it is opened, always over what remains. Several may be pending at once: what they
promise counts as gone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.utils import timezone

from marketplace.allocation import ItemShares, accounts_of, payment_applied_to, remaining_shares, split
from marketplace.models import Order, OrderItem, RefundApplication, RefundLine
from marketplace.refund_applications import find_application, open_application, why_support_decides
from marketplace.refund_limits import BuyerRefundsWholeItems, RefundProposal, refuse_beyond_limits
from marketplace.states import OrderStatus
from payments.models import Payment, Refund
from payments.refunds.refund_requests import (
    PaymentMissing,
    RefundAlreadyRequested,
    RefundExceedsPayment,
    open_refund,
    refuse_in_doubt,
    refuse_unpayable_amount,
    send_now,
)
from payments.states import PaymentStatus, RefundStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User
from veza.core.money import format_amount
from veza.core.states import move

MAY_REFUND = "payments.refund_for_buyer"
# Statuses of an order of which something may be left to refund.
REFUNDABLE = (OrderStatus.COMPLETED, OrderStatus.REFUND_PENDING)


class OrderNotRefundable(NotAllowed):
    code = "order_not_refundable"


class RefundWindowExpired(NotAllowed):
    code = "refund_window_expired"


class RefundForbidden(NotAllowed):
    code = "refund_forbidden"
    http_status = 403


class ItemNotInOrder(NotAllowed):
    code = "item_not_in_order"


class NothingRequested(NotAllowed):
    code = "nothing_requested"


@dataclass(frozen=True)
class RefundRequest:
    """What to refund: all that its requester may refund, unless items or an amount (or both) limit it.

    `item_ids` is None or names items: an empty collection is refused, and never means all of them.
    """

    reason: str
    item_ids: Collection[UUID] | None = None
    amount_minor: int | None = None


@dataclass(frozen=True)
class LockedOrder:
    """An order with its items and the payment that paid for it, both locked."""

    order: Order
    items: Sequence[OrderItem]
    payment: Payment | None


def request_refund(
    *, refund_id: UUID, order_id: UUID, requested_by: User, refund_request: RefundRequest, cause: Cause
) -> Refund | RefundApplication:
    """Open a refund of an order and send it to Hyperswitch. It is returned as pending.

    A buyer's request that support has to decide is returned as an application, and nothing is under way. Requesting
    again with the same id returns the first. Raises NotFound, RefundForbidden, BuyerRefundsWholeItems,
    OrderNotRefundable, RefundWindowExpired, NothingRequested, ItemNotInOrder, PaymentMissing, PaymentInDoubt,
    RefundAlreadyRequested, RefundDeclined, RefundExceedsPayment, GoodwillLimitReached, RefundLimitReached.
    """
    refund = place_refund(
        refund_id=refund_id, order_id=order_id, requested_by=requested_by, refund_request=refund_request, cause=cause
    )
    if isinstance(refund, Refund) and refund.first_sent_at is None:
        send_now(refund.pk, cause=cause)
    return refund


@writes.atomic()
def place_refund(
    *, refund_id: UUID, order_id: UUID, requested_by: User, refund_request: RefundRequest, cause: Cause
) -> Refund | RefundApplication:
    """Commit a refund that is not sent yet, and mark its order as waiting for it; or a buyer's application for one."""
    locked, source = _lock(order_id, requested_by)
    if earlier := _earlier(locked, refund_id, source):
        return earlier
    payment = _refuse_unless_refundable(locked, source)
    items = _requested_items(locked.items, requested_by, source, refund_request)
    proposal = _propose(locked, items, requested_by, source, refund_request)
    if source == Refund.Source.BUYER and (why := why_support_decides(locked.order, items)):
        return open_application(
            application_id=refund_id,
            order=locked.order,
            parts=proposal.parts,
            why=why,
            reason=refund_request.reason,
        )
    refuse_beyond_limits(payment, locked.items, proposal)
    return _open(locked.order, payment, proposal, refund_id=refund_id, reason=refund_request.reason, cause=cause)


def place_granted_refund(application: RefundApplication, *, granted_by: User, cause: Cause) -> Refund:
    """Open the refund that an application of a buyer asked for, under its id, in the caller's transaction.

    It is a decision of staff, so neither the window nor the buyer's limits apply: all that is left of its items now
    goes back. Raises RefundForbidden, OrderNotRefundable, PaymentMissing, PaymentInDoubt, RefundAlreadyRequested,
    RefundExceedsPayment, RefundLimitReached.
    """
    refuse_own_order(granted_by, application.order_id)
    locked, source = _lock(application.order_id, granted_by)
    payment = _refuse_unless_refundable(locked, source)
    item_ids = list(application.lines.values_list("item", flat=True))
    request = RefundRequest(application.reason, item_ids)
    items = _requested_items(locked.items, granted_by, source, request)
    proposal = _propose(locked, items, granted_by, source, request)
    return _open(locked.order, payment, proposal, refund_id=application.pk, reason=application.reason, cause=cause)


def refuse_own_order(staff: User, order_id: UUID) -> None:
    """Raise RefundForbidden for a member of staff who bought or sold in this order: a colleague decides about it."""
    is_buyer = Order.objects.filter(pk=order_id, buyer=staff).exists()
    if is_buyer or OrderItem.objects.filter(order=order_id, seller=staff).exists():
        raise RefundForbidden("You bought or sold in this order. A colleague has to decide.")


def _lock(order_id: UUID, requested_by: User) -> tuple[LockedOrder, Refund.Source]:
    """The order and its payment, locked in this order, and in which role the user acts. Raises NotFound."""
    payment = payment_applied_to(order_id).locked().filter(received_minor__gt=0).first()
    order = Order.objects.locked().filter(pk=order_id).first()
    items = list(OrderItem.objects.filter(order=order_id).order_by("pk"))
    source = source_of(requested_by, order, items)
    assert order is not None, "only an order that exists has a source of refunds"
    return LockedOrder(order, items, payment), source


def _earlier(locked: LockedOrder, refund_id: UUID, source: Refund.Source) -> Refund | RefundApplication | None:
    """What the first request with this id made."""
    refund = locked.payment.refunds.filter(pk=refund_id).first() if locked.payment is not None else None
    if refund is None and source == Refund.Source.BUYER:
        return find_application(locked.order, refund_id)
    return refund


def _propose(
    locked: LockedOrder,
    items: Sequence[OrderItem],
    requested_by: User,
    source: Refund.Source,
    refund_request: RefundRequest,
) -> RefundProposal:
    """What a request for `items` comes to. Raises RefundAlreadyRequested, RefundExceedsPayment, AmountNotPayable."""
    remaining = remaining_shares(locked.items)
    item_ids = {item.pk for item in items}
    selected = [share for share in remaining if share.item_id in item_ids]
    available = sum(share.total_minor for share in selected)
    if available == 0 and _is_pending(item_ids):
        raise RefundAlreadyRequested("A refund of this order is already in progress, and nothing else is left of it.")
    amount = available if refund_request.amount_minor is None else refund_request.amount_minor
    if amount > available or available == 0:
        raise RefundExceedsPayment(f"Only {format_amount(available, locked.order.currency)} is left to refund.")
    refuse_unpayable_amount(amount, locked.order.currency)
    parts = [part for part in split(amount, selected, locked.order.currency) if part.total_minor]
    return RefundProposal(source, requested_by.pk, parts, remaining)


def _is_pending(item_ids: Collection[UUID]) -> bool:
    return RefundLine.objects.filter(item__in=item_ids, refund__status=RefundStatus.PENDING).exists()


def _open(
    order: Order, payment: Payment, proposal: RefundProposal, *, refund_id: UUID, reason: str, cause: Cause
) -> Refund:
    refund = open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=proposal.total_minor,
        allocation=accounts_of(proposal.parts),
        source=proposal.source,
        reason=reason,
        requested_by_id=proposal.requested_by_id,
        by_amount=proposal.is_by_amount,
        beside_pending=True,
    )
    assert refund.currency == payment.currency == order.currency, "order, payment and refund have one currency"
    create_refund_lines(refund, proposal.parts)
    if order.status != OrderStatus.REFUND_PENDING:
        move(order, OrderStatus.REFUND_PENDING, cause=cause)
    return refund


def source_of(user: User, order: Order | None, items: Sequence[OrderItem]) -> Refund.Source:
    """In which role the user requests or reads refunds of an order.

    Raises NotFound for a user who may not see the order, RefundForbidden for staff without the permission.
    """
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


def _refuse_unless_refundable(locked: LockedOrder, source: Refund.Source) -> Payment:
    """Return the payment to refund."""
    order, payment = locked.order, locked.payment
    if order.status not in REFUNDABLE:
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
    if source == Refund.Source.BUYER and refund_request.amount_minor is not None:
        raise BuyerRefundsWholeItems(
            "A buyer gives back whole items: leave out amount_minor. Ask the seller or support for a part of the price."
        )
    own = [item for item in items if source != Refund.Source.SELLER or item.seller_id == user.pk]
    if refund_request.item_ids is None:
        return own
    if not refund_request.item_ids:
        raise NothingRequested("Name the items to refund. Without any, leave them out: that means all of them.")
    unknown_ids = set(refund_request.item_ids) - {item.pk for item in items}
    if unknown_ids:
        raise ItemNotInOrder(f"{min(unknown_ids)} is not an item of this order.")
    selection = [item for item in own if item.pk in refund_request.item_ids]
    if len(selection) < len(set(refund_request.item_ids)):
        raise RefundForbidden("A seller may refund their own items only.")
    return selection


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
