"""Bank refunds of orders: finance paid the buyer from our bank account, and books which items it was for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from marketplace.allocation import ItemShares, accounts_of, payment_applied_to, remaining_shares, split
from marketplace.models import Order, OrderItem
from marketplace.refunds import ItemNotInOrder, OrderNotRefundable, create_refund_lines
from marketplace.states import OrderStatus
from payments.models import Payment, Refund
from payments.refunds.bank_refunds import book_bank_refund, is_bank_refund_possible, open_bank_refund
from payments.refunds.refund_requests import PaymentMissing, RefundExceedsPayment, refuse_unpayable_amount
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.money import format_amount


@dataclass(frozen=True)
class BankTransfer:
    """What our bank paid to the buyer: `amount_minor` of the order's currency, for these items."""

    reference: str
    amount_minor: int
    item_ids: Collection[UUID]


@writes.atomic()
def refund_from_bank(
    *, refund_id: UUID, order_id: UUID, bank_transfer: BankTransfer, booked_by_id: UUID, cause: Cause
) -> Refund:
    """Book that our bank paid a buyer back: licences and sellers' shares follow. Returns the refund, succeeded.

    The same id again returns the first. Raises PaymentMissing, OrderNotRefundable, ItemNotInOrder,
    RefundExceedsPayment, AmountNotPayable, OwnAccount, and what `open_bank_refund` raises.
    """
    payment = payment_to_refund(order_id, is_locked=True)
    order = Order.objects.locked().get(pk=order_id)
    if payment is None:
        raise PaymentMissing("No payment of this order has been received, so there is nothing to refund.")
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    refuse_own(order.buyer_id, cause)
    if order.status != OrderStatus.COMPLETED:
        raise OrderNotRefundable(f"Only a completed order can be refunded; this one is {order.status}.")
    parts = split_bank_transfer(order, bank_transfer)
    refund = open_bank_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=bank_transfer.amount_minor,
        allocation=accounts_of(parts),
        bank_reference=bank_transfer.reference,
        reason=cause.reason,
        requested_by_id=booked_by_id,
    )
    create_refund_lines(refund, parts)
    book_bank_refund(refund, cause=cause, at=timezone.now())
    return refund


def split_bank_transfer(order: Order, bank_transfer: BankTransfer) -> Sequence[ItemShares]:
    """How much of each item the transfer gives back. Raises ItemNotInOrder, RefundExceedsPayment, AmountNotPayable."""
    items = list(OrderItem.objects.filter(order=order, pk__in=bank_transfer.item_ids).order_by("pk"))
    if not items or len(items) < len(set(bank_transfer.item_ids)):
        raise ItemNotInOrder("Select the items that were refunded: at least one, all of this order.")
    remaining = remaining_shares(items)
    available_minor = sum(share.total_minor for share in remaining)
    if not 0 < bank_transfer.amount_minor <= available_minor:
        raise RefundExceedsPayment(f"Only {format_amount(available_minor, order.currency)} of these items is left.")
    refuse_unpayable_amount(bank_transfer.amount_minor, order.currency)
    return [part for part in split(bank_transfer.amount_minor, remaining, order.currency) if part.total_minor]


def payment_to_refund(order_id: UUID, *, is_locked: bool = False) -> Payment | None:
    """The payment that brought the money of an order."""
    payments = payment_applied_to(order_id)
    return (payments.locked() if is_locked else payments).filter(received_minor__gt=0).first()


def is_refundable_from_bank(order: Order) -> bool:
    """Whether finance may book a bank refund of the order now."""
    payment = payment_to_refund(order.pk)
    return order.status == OrderStatus.COMPLETED and payment is not None and is_bank_refund_possible(payment)
