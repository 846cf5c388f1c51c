"""An order: placed, paid for, given up, refunded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from marketplace import licenses
from marketplace.allocation import REFUNDED_ONLY, accounts_of, disputes_of, given_back, remaining_of, sold
from marketplace.fulfilment import HELD, send_back_withheld, withhold_what_is_gone
from marketplace.models import CartItem, License, LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.states import OrderStatus
from payments.collection.payment_requests import open_payment, send_now
from payments.ledger.postings import post_claimed
from payments.models import Dispute, Payment, Refund
from payments.states import PaymentStatus, RefundStatus
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.facts import announce
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.money import basis_points_of
from veza.core.states import may_move, move


class OfferNotFound(NotAllowed):
    code = "offer_not_found"


class OrderNotPossible(NotAllowed):
    code = "order_not_possible"


class ExclusiveSold(OrderNotPossible):
    code = "exclusive_sold"


@dataclass(frozen=True)
class OrderLine:
    """One line of what a buyer asks for."""

    product_id: UUID
    license: str


@dataclass(frozen=True)
class RequestedOrder:
    """The order, and the browser's secret for paying it when the provider has just told us."""

    order: Order
    client_secret: str = ""


def request_order(*, order_id: UUID, buyer: User, lines: Sequence[OrderLine], cause: Cause) -> RequestedOrder:
    """Place an order and get its payment page. Asking again with the same id returns the first order.

    When the provider does not answer, the order stands as pending without a page: a sweep asks again. Raises
    OfferNotFound, OrderNotPossible.
    """
    order = place_order(order_id=order_id, buyer=buyer, lines=lines, cause=cause)
    payment = Payment.objects.of(Payment.Purpose.ORDER, order.pk).last()
    if payment is None or payment.status != PaymentStatus.CREATED:
        return RequestedOrder(order)
    secret = send_now(payment.pk, cause=cause)
    order.refresh_from_db()
    return RequestedOrder(order, secret)


@transaction.atomic(durable=True)
def place_order(*, order_id: UUID, buyer: User, lines: Sequence[OrderLine], cause: Cause) -> Order:
    """Commit an order, its items and its payment, at the prices and tax of our own database."""
    if earlier := Order.objects.filter(pk=order_id, buyer=buyer).first():
        return earlier
    items = [_item(order_id, offer) for offer in _offers(lines, buyer)]
    subtotal, tax = sum(item.net_minor for item in items), sum(item.tax_minor for item in items)
    currency = items[0].offer.currency
    try:
        order = Order.objects.create(
            pk=order_id,
            buyer=buyer,
            subtotal_minor=subtotal,
            tax_minor=tax,
            total_minor=subtotal + tax,
            currency=currency,
        )
    except IntegrityError as error:
        raise OrderNotPossible("This order is being placed by another request. Ask again in a moment.") from error
    OrderItem.objects.bulk_create(items)
    CartItem.objects.filter(owner=buyer, offer__in=[item.offer_id for item in items]).delete()
    if order.total_minor == 0:
        _complete(order, payment=None, cause=cause, at=timezone.now())
        return order
    open_payment(
        payment_id=new_id(),
        purpose=Payment.Purpose.ORDER,
        purpose_id=order.pk,
        correlation_id=order.pk,
        payer_id=buyer.pk,
        amount_minor=order.total_minor,
        currency=currency,
        description=", ".join(item.title for item in items)[:200],
        return_url=f"{settings.PUBLIC_BASE_URL}/paid",
    )
    return order


def _offers(lines: Sequence[OrderLine], buyer: User) -> list[LicenseOffer]:
    if not lines:
        raise OrderNotPossible("An order needs at least one item.")
    offers = []
    for line in lines:
        offer = (
            LicenseOffer.objects.for_sale()
            .select_related("product")
            .filter(product=line.product_id, license=line.license)
            .first()
        )
        if offer is None:
            raise OfferNotFound(f"Product {line.product_id} is not sold under a {line.license} licence.")
        if offer.license == LicenseKind.EXCLUSIVE and License.objects.filter(offer=offer, status__in=HELD).exists():
            raise ExclusiveSold(f"The exclusive licence of {offer.product.title!r} is sold.")
        if offer.product.seller_id == buyer.pk:
            raise OrderNotPossible(f"{offer.product.title!r} is your own work.")
        offers.append(offer)
    if len({offer.pk for offer in offers}) < len(offers):
        raise OrderNotPossible("The same licence of the same product is listed twice.")
    if len({offer.currency for offer in offers}) > 1:
        raise OrderNotPossible("All items of an order must be in one currency: order them separately.")
    return offers


def _item(order_id: UUID, offer: LicenseOffer) -> OrderItem:
    fee = basis_points_of(offer.price_minor, settings.PLATFORM_FEE_BASIS_POINTS)
    return OrderItem(
        order_id=order_id,
        offer=offer,
        seller_id=offer.product.seller_id,
        title=offer.product.title,
        license=offer.license,
        rights=offer.rights,
        net_minor=offer.price_minor,
        tax_minor=basis_points_of(offer.price_minor, offer.tax_basis_points),
        fee_minor=fee,
        seller_minor=offer.price_minor - fee,
    )


def payment_succeeded(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The money of an order is here: complete it, whatever was thought of it meanwhile."""
    if payment.purpose != Payment.Purpose.ORDER:
        return
    order = Order.objects.locked().get(pk=payment.purpose_id)
    if may_move(order, OrderStatus.COMPLETED) and order.completed_at is None:
        _complete(order, payment=payment, cause=cause, at=at)


def _complete(order: Order, *, payment: Payment | None, cause: Cause, at: datetime) -> None:
    items = list(order.items.all())
    withheld = withhold_what_is_gone(order, items)
    deadline = at + settings.REFUND_WINDOW
    move(order, OrderStatus.COMPLETED, cause=cause, at=at, completed_at=at, refund_deadline=deadline)
    licenses.grant(order, [item for item in items if not item.withheld])
    goes_back = False
    if payment is not None:
        post_claimed(f"order:{order.pk}:fulfilled", accounts_of(sold(items)), payment=payment, at=at)
        goes_back = send_back_withheld(withheld, payment=payment)
    announce("order.completed", order, cause=cause, at=at)
    if goes_back:
        move(order, OrderStatus.REFUND_PENDING, cause=cause, at=at)


def payment_failed(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The payment of an order came to nothing: the order is given up, unless it was already."""
    if payment.purpose != Payment.Purpose.ORDER:
        return
    order = Order.objects.locked().get(pk=payment.purpose_id)
    given_up = OrderStatus.FAILED if payment.status == PaymentStatus.FAILED else OrderStatus.CANCELLED
    if given_up == OrderStatus.CANCELLED and payment.closing_at is not None:
        given_up = OrderStatus.EXPIRED  # Nobody decided it: our clock closed the page.
    if may_move(order, given_up):
        move(order, given_up, cause=cause, at=at)


def refund_settled(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """A refund of an order succeeded, failed or bounced: order, licences and sellers' shares follow from the facts."""
    if refund.payment.purpose != Payment.Purpose.ORDER:
        return
    order = Order.objects.locked().get(pk=refund.payment.purpose_id)
    follow_money(order, cause=cause, at=at)
    announce("order.refund_settled", order, cause=cause, at=at)


def follow_money(order: Order, *, cause: Cause, at: datetime) -> None:
    """Bring a locked order and its licences to where its money is. One that was never fulfilled stays as it is."""
    if order.completed_at is None:
        return
    items = list(order.items.all())
    standing = _standing(order, items)
    if order.status != standing:
        move(order, standing, cause=cause, at=at)
    licenses.follow_money(order, items, remaining_of(items, REFUNDED_ONLY), cause=cause, at=at)


def _standing(order: Order, items: Sequence[OrderItem]) -> OrderStatus:
    """Recomputed from the refunds and the lost disputes each time, never toggled."""
    refunds = Refund.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order.pk)
    if refunds.filter(status=RefundStatus.PENDING).exclude(source=Refund.Source.EXTERNAL).exists():
        return OrderStatus.REFUND_PENDING
    done = refunds.filter(status=RefundStatus.SUCCEEDED).values_list("allocation", flat=True)
    lost = disputes_of(order.pk).filter(held_at=Dispute.HeldAt.BANK).values_list("allocation", flat=True)
    gone = given_back(items, [*done, *lost])
    return OrderStatus.REFUNDED if gone >= order.total_minor else OrderStatus.COMPLETED
