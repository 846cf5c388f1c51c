"""What becomes of an order when its money moves: completed, given up, refunded, disputed.

These are the answers to payments' questions (`payments/ports.py`), assigned in `veza/wiring.py`. Status and licences
are computed from the refunds and disputes each time, never toggled, so it does not matter in which order they became
known.
"""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import Q

from marketplace import licenses
from marketplace.allocation import REFUNDED_ONLY, accounts_of, disputes_of, refunded_minor, remaining_of, sold
from marketplace.models import License, LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.ports import sellers
from marketplace.states import HELD, NEVER_PAID, OrderStatus
from payments.ledger.postings import post_applied
from payments.models import Dispute, Payment, Refund
from payments.reviews.automatic_refunds import return_unapplied_funds
from payments.states import PaymentStatus, RefundStatus
from veza.core.causes import Cause
from veza.core.states import may_move, move


def payment_succeeded(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The money of an order is here: complete the order, whatever was thought of it meanwhile."""
    order = _locked_order(payment)
    if may_move(order, OrderStatus.COMPLETED) and order.completed_at is None:
        complete_order(order, payment=payment, cause=cause, at=at)


def complete_order(order: Order, *, payment: Payment | None, cause: Cause, at: datetime) -> None:
    """Give the buyer what a locked order is for, and the sellers their shares; `payment` is None for a free order."""
    items = list(order.items.all())
    withheld = _withhold_unavailable(order, items)
    deadline = at + settings.REFUND_WINDOW
    move(order, OrderStatus.COMPLETED, cause=cause, at=at, completed_at=at, refund_deadline=deadline)
    licenses.grant(order, [item for item in items if not item.withheld])
    is_refunding = False
    if payment is not None:
        post_applied(order.pk, accounts_of(sold(items)), payment=payment, at=at)
        is_refunding = _refund_withheld(withheld, payment=payment)
    sellers().order_completed(order, cause=cause, at=at)
    if is_refunding:
        move(order, OrderStatus.REFUND_PENDING, cause=cause, at=at)


def payment_failed(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The payment of an order came to nothing: the order failed, was cancelled, or expired, unless it ended before."""
    order = _locked_order(payment)
    status = OrderStatus.FAILED if payment.status == PaymentStatus.FAILED else OrderStatus.CANCELLED
    if status == OrderStatus.CANCELLED and payment.closing_started_at is not None:
        status = OrderStatus.EXPIRED  # Support did not cancel it: the session of its page ran out.
    if may_move(order, status):
        move(order, status, cause=cause, at=at)


def refund_changed(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """A refund of an order succeeded, failed, or was returned by the bank: order, licences and sellers follow."""
    _follow_money(_locked_order(refund.payment), cause=cause, at=at)


def dispute_changed(dispute: Dispute, /, *, cause: Cause, at: datetime) -> None:
    """A dispute was opened or decided, or its decision reversed: order, licences and sellers follow.

    Licences are suspended while it is open, revoked when it is lost, and active again when it is won.
    """
    _follow_money(_locked_order(dispute.payment), cause=cause, at=at)


def _locked_order(payment: Payment) -> Order:
    assert payment.purpose == Payment.Purpose.ORDER, "the marketplace answers for orders only"
    return Order.objects.locked().get(pk=payment.purpose_id)


def _follow_money(order: Order, *, cause: Cause, at: datetime) -> None:
    """Bring a locked order, its licences and its sellers to where its money is.

    An order that was never fulfilled keeps its status.
    """
    if order.completed_at is not None:
        items = list(order.items.all())
        status = _status_of(order, items)
        if order.status != status:
            move(order, status, cause=cause, at=at)
        licenses.follow_money(order, items, remaining_of(items, REFUNDED_ONLY), cause=cause, at=at)
    sellers().order_money_changed(order, cause=cause, at=at)


def _status_of(order: Order, items: Sequence[OrderItem]) -> OrderStatus:
    refunds = Refund.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order.pk)
    if refunds.filter(status=RefundStatus.PENDING).exclude(source=Refund.Source.EXTERNAL).exists():
        return OrderStatus.REFUND_PENDING
    refunded = refunds.filter(status=RefundStatus.SUCCEEDED).values_list("allocation", flat=True)
    lost = disputes_of(order.pk).filter(funds_location=Dispute.FundsLocation.BANK).values_list("allocation", flat=True)
    is_all_gone = refunded_minor(items, [*refunded, *lost]) >= order.total_minor
    return OrderStatus.REFUNDED if is_all_gone else OrderStatus.COMPLETED


def _withhold_unavailable(order: Order, items: Sequence[OrderItem]) -> list[OrderItem]:
    """Mark the items that cannot be delivered any more and return them; `order` is locked, as it was before payment.

    Unavailable is an exclusive licence that another buyer holds, and, for an order that had ended before its money
    came, what the buyer has bought again meanwhile. Their money is booked, stays unapplied, and is refunded.
    """
    exclusive = [item.offer_id for item in items if item.license == LicenseKind.EXCLUSIVE]
    if exclusive:
        list(LicenseOffer.objects.locked().filter(pk__in=exclusive))  # The first order to complete holds it.
    conflicting = Q(exclusive=True)
    if order.status in NEVER_PAID:
        conflicting |= Q(holder=order.buyer_id)
    elif not exclusive:
        return []
    offers = [item.offer_id for item in items]
    conflicts = License.objects.filter(conflicting, offer__in=offers, status__in=HELD).exclude(order=order)
    unavailable = set(conflicts.values_list("offer_id", flat=True))
    withheld = [item for item in items if item.offer_id in unavailable]
    OrderItem.objects.filter(pk__in=[item.pk for item in withheld]).update(withheld=True)
    for item in withheld:
        item.withheld = True
    return withheld


def _refund_withheld(withheld: Sequence[OrderItem], *, payment: Payment) -> bool:
    """Open the refund of what was paid for and not delivered, and of a surplus; a sweep sends it.

    Returns whether there is one.
    """
    if not any(item.total_minor for item in withheld):
        return False
    titles = ", ".join(item.title for item in withheld)
    return return_unapplied_funds(payment, reason=f"No longer available when the payment arrived: {titles}."[:500])
