"""How an order follows its money: completed, failed or expired, refunded, disputed.

These functions implement the port `payments/ports.py` and are assigned in `veza/wiring.py`. Status and licences are
computed from all refunds and disputes each time, never toggled, so the order in which updates arrive does not matter.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection

from marketplace import licenses
from marketplace.allocation import (
    ITEMS_OF,
    MONEY_OF,
    REFUNDED_ONLY,
    accounts_of,
    has_pending_refund,
    is_refunded_in_full,
    lost_to_disputes,
    remaining_after_loss,
    remaining_shares,
    shares_at_sale,
)
from marketplace.cart_lines import return_to_cart, take_out_of_cart
from marketplace.deliverability import BEFORE_DELIVERY, undeliverable_ids
from marketplace.messages.disputes import write_dispute_email
from marketplace.messages.orders import ORDER_RECEIPT, write_unpaid_email
from marketplace.messages.refunds import REFUND_REQUESTED, write_refund_email
from marketplace.messages.sales import drafts_of_sales
from marketplace.models import LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.ports import sellers
from marketplace.refund_applications import APPLICATIONS_OF, end_pointless_applications
from marketplace.states import ENDED_UNPAID, OrderStatus
from payments.collection.expiry import close_pages, close_pages_soon
from payments.ledger.postings import post_applied
from payments.models import Dispute, Payment, Refund
from payments.reviews.automatic_refunds import return_unapplied_funds
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core import reads
from veza.core.causes import Cause
from veza.core.email.outbox import draft, write_email, write_emails
from veza.core.models import User
from veza.core.states import may_move, move

# One that is closed while the payment is booked counts as closed afterwards: the buyer keeps what they paid for.
_CLOSED_BUYER_OF = reads.Read(
    lambda order_id: User.objects.filter(orders=order_id, closed_at__isnull=False).values_list("pk"), UUID, is_kept=True
)
_LOCKED_ORDER = reads.Read(lambda key: Order.objects.locked().filter(pk=key), UUID, is_kept=True)
# What follows the money of an order, and the money itself.
_FOLLOWING_MONEY = (*MONEY_OF, licenses.LICENSES_OF, APPLICATIONS_OF)


def may_collect(payment: Payment, /) -> bool:
    """Whether the order is still to be paid: neither fulfilled nor cancelled. Locks it."""
    order = _LOCKED_ORDER(payment.purpose_id)[0]
    return order.completed_at is None and order.status != OrderStatus.CANCELLED


def payment_succeeded(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The money of an order arrived: complete the order, even one that had failed, expired or been cancelled.

    Money of another payment, after the order was paid, is returned.
    """
    order = lock_purchase(payment)
    if order.completed_at is None:
        if order.reopened_at is not None:
            close_pages_soon(Payment.Purpose.ORDER, order.pk)
        complete_order(order, payment=payment, cause=cause, at=at)
    elif payment.applied_at is None:
        return_unapplied_funds(payment, reason="The order was paid already.")


def complete_order(order: Order, *, payment: Payment | None, cause: Cause, at: datetime) -> None:
    """Grant the licences of a locked order and allocate its money; `payment` is None for a free order."""
    assert connection.in_atomic_block, "an order is completed in the transaction that locks it"
    assert (payment is None) == (order.total_minor == 0), "an order is completed by its payment, a free one without"
    items = ITEMS_OF(order.pk)
    is_buyer_closed = payment is not None and bool(_CLOSED_BUYER_OF(order.pk))
    withheld_items = _withhold(items) if is_buyer_closed else _withhold_undeliverable(order, items)
    if order.status in ENDED_UNPAID:
        take_out_of_cart(order.buyer_id, [item.offer_id for item in items])  # They had returned there.
    deadline = at + settings.REFUND_WINDOW
    move(order, OrderStatus.COMPLETED, cause=cause, at=at, completed_at=at, refund_deadline=deadline)
    licenses.grant(order, items)
    _close_pages_of_rivals(order, items)
    is_refunding = False
    if payment is not None:
        _claim_payment(order, items, payment=payment, at=at)
        is_refunding = _refund_withheld(withheld_items, payment=payment)
    sellers().order_completed(order, cause=cause, at=at)
    write_emails([draft(ORDER_RECEIPT, order, to=order.buyer_id), *drafts_of_sales(order, items)])
    if is_refunding:
        move(order, OrderStatus.REFUND_PENDING, cause=cause, at=at)


def payment_failed(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The payment of an order failed, was cancelled, or expired: so does the order, unless it had ended before, or
    another payment of it is under way. What came from the buyer's cart returns there.
    """
    order = lock_order(payment)
    status = _status_without(payment, order)
    if may_move(order, status) and not _has_another_under_way(order, payment):
        move(order, status, cause=cause, at=at)
        return_to_cart(order, ITEMS_OF(order.pk))
        write_unpaid_email(order, payment)


def _status_without(payment: Payment, order: Order) -> OrderStatus:
    """How an order ends whose payment came to nothing."""
    if order.cancel_requested_at is not None:
        return OrderStatus.CANCELLED
    if payment.status == PaymentStatus.FAILED:
        return OrderStatus.FAILED
    # Neither the buyer nor support cancelled it: its payment page's session ended.
    is_expired = payment.closing_started_at is not None or payment.provider_status == "expired"
    return OrderStatus.EXPIRED if is_expired else OrderStatus.CANCELLED


def _has_another_under_way(order: Order, payment: Payment) -> bool:
    if order.reopened_at is None:
        return False
    others = Payment.objects.of(Payment.Purpose.ORDER, order.pk).exclude(pk=payment.pk)
    return others.filter(status__in=(*PAYMENT_OPEN, PaymentStatus.PROCESSING)).exists()


def doubt_ended(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The money of an order is certain again: sellers whose transfers waited for that are paid."""
    sellers().order_money_changed(lock_order(payment, *MONEY_OF), cause=cause, at=at)


def refund_opened(refund: Refund, /) -> None:
    """A refund of an order was requested: the buyer gets the acknowledgement."""
    write_email(REFUND_REQUESTED, refund, to=refund.payment.payer_id)


def refund_changed(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """A refund of an order succeeded, failed, or was returned by the bank: order, licences and sellers follow."""
    _update_order(lock_order(refund.payment, *_FOLLOWING_MONEY), cause=cause, at=at)
    write_refund_email(refund, at=at)


def dispute_changed(dispute: Dispute, /, *, cause: Cause, at: datetime) -> None:
    """A dispute was opened or decided, or its decision reversed: order, licences and sellers follow.

    Licences are suspended while it is open, revoked as far as nothing of their item is left when it is lost, and active
    again when it is won.
    """
    _update_order(lock_order(dispute.payment, *_FOLLOWING_MONEY), cause=cause, at=at)
    write_dispute_email(dispute)


def lock_order(payment: Payment, /, *more: reads.Statement) -> Order:
    """Lock the order that `payment` pays for, and read its items and `more`. The caller has locked the payment."""
    assert payment.purpose == Payment.Purpose.ORDER, "the marketplace handles payments of orders only"
    assert connection.in_atomic_block, "an order follows its money in the transaction that moves the money"
    order_id = payment.purpose_id
    statements: tuple[reads.Statement, ...] = (_LOCKED_ORDER, ITEMS_OF, *more)
    order: Order = reads.together(*(read.on(order_id) for read in statements))[0][0]
    assert payment.currency == order.currency, "an order and its payment have one currency"
    return order


def lock_purchase(payment: Payment, /) -> Order:
    """Lock the order, its buyer and its works, and read all that decides about a payment of it, in one round trip."""
    return lock_order(payment, _CLOSED_BUYER_OF, *BEFORE_DELIVERY)


def _claim_payment(order: Order, items: Sequence[OrderItem], *, payment: Payment, at: datetime) -> None:
    """Post each party's share of the payment; the money of withheld items stays unapplied."""
    allocation = accounts_of(shares_at_sale(items))
    withheld_minor = sum(item.total_minor for item in items if item.withheld)
    assert sum(allocation.values()) + withheld_minor == order.total_minor, "the shares of an order add up to its total"
    post_applied(order.pk, allocation, payment=payment, at=at)


def _update_order(order: Order, *, cause: Cause, at: datetime) -> None:
    """Update a locked order, its licences and its sellers' transfers to match its money.

    An order that was never completed keeps its status.
    """
    if order.completed_at is not None:
        items = ITEMS_OF(order.pk)
        status = _status_of(order)
        if order.status != status:
            move(order, status, cause=cause, at=at)
        lost_minor = lost_to_disputes(order.pk)
        remaining = remaining_after_loss(remaining_shares(items, REFUNDED_ONLY), lost_minor, order.currency)
        licenses.update_licenses(order, items, remaining, cause=cause, at=at)
        end_pointless_applications(order, remaining, cause=cause, at=at)
        left_minor = sum(share.total_minor for share in remaining)
        licenses.update_review_of_partial_loss(order, lost_minor=lost_minor, left_minor=left_minor)
    sellers().order_money_changed(order, cause=cause, at=at)


def _status_of(order: Order) -> OrderStatus:
    if has_pending_refund(order.pk):
        return OrderStatus.REFUND_PENDING
    is_gone = is_refunded_in_full(order.pk, total_minor=order.total_minor)
    return OrderStatus.REFUNDED if is_gone else OrderStatus.COMPLETED


def _withhold_undeliverable(order: Order, items: Sequence[OrderItem]) -> list[OrderItem]:
    """Mark the items that cannot be delivered any more and return them; `order` is locked and not completed yet.

    Their money is booked, stays unapplied, and is refunded.
    """
    undeliverable = undeliverable_ids(order.pk)
    return _withhold([item for item in items if item.pk in undeliverable])


def _withhold(withheld_items: Sequence[OrderItem]) -> list[OrderItem]:
    if withheld_items:
        OrderItem.objects.filter(pk__in=[item.pk for item in withheld_items]).update(withheld=True)
    for item in withheld_items:
        item.withheld = True
    return list(withheld_items)


def _close_pages_of_rivals(order: Order, items: Sequence[OrderItem]) -> None:
    """Make the pages due of unpaid orders for works of which this one took the exclusive licence: a worker closes them.

    Where a payment arrives at this moment, its item is withheld.
    """
    taken_ids = [item.offer_id for item in items if item.license == LicenseKind.EXCLUSIVE and not item.withheld]
    if not taken_ids:
        return
    works = LicenseOffer.objects.filter(pk__in=taken_ids).values("product")
    rivals = OrderItem.objects.filter(offer__product__in=works, order__completed_at__isnull=True).exclude(order=order)
    close_pages(Payment.objects.filter(purpose=Payment.Purpose.ORDER, purpose_id__in=rivals.values("order")))


def _refund_withheld(withheld_items: Sequence[OrderItem], *, payment: Payment) -> bool:
    """Open the refund of withheld items and of a surplus; a sweep sends it. Returns whether there is one."""
    if not any(item.total_minor for item in withheld_items):
        return False
    titles = ", ".join(item.title for item in withheld_items)
    return return_unapplied_funds(payment, reason=f"No longer available when the payment arrived: {titles}."[:500])
