"""Placing an order at our own prices, getting its payment page, and cancelling an unpaid order."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from marketplace.models import CartItem, License, LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.purchases import complete_order
from marketplace.states import HELD_STATUSES, OrderStatus
from payments.collection.payment_requests import cancel_payment, may_send_now, open_payment, send_now, send_opened
from payments.models import Payment
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.money import basis_points_of


class OfferNotFound(NotAllowed):
    code = "offer_not_found"


class OrderNotPossible(NotAllowed):
    code = "order_not_possible"


class ExclusiveSold(OrderNotPossible):
    code = "exclusive_sold"


class OrderNotCancellable(NotAllowed):
    code = "order_not_cancellable"


@dataclass(frozen=True)
class OrderLine:
    """One line of a requested order."""

    product_id: UUID
    license: str


@dataclass(frozen=True)
class RequestedOrder:
    """The order, and the client secret for paying it, which only the call that creates the payment returns."""

    order: Order
    client_secret: str = ""


def request_order(*, order_id: UUID, buyer: User, lines: Sequence[OrderLine], cause: Cause) -> RequestedOrder:
    """Place an order and get its payment page. Requesting again with the same id returns the first order.

    When Hyperswitch does not answer, the order is pending without a page and a sweep retries. Raises OfferNotFound,
    OrderNotPossible.
    """
    is_sent_now = may_send_now()
    order, opened_payment = place_order(
        order_id=order_id, buyer=buyer, lines=lines, is_sent_now=is_sent_now, cause=cause
    )
    secret = ""
    if opened_payment is None:
        earlier_payment = Payment.objects.of(Payment.Purpose.ORDER, order.pk).last()
        if earlier_payment is None or earlier_payment.status != PaymentStatus.CREATED:
            return RequestedOrder(order)
        secret = send_now(earlier_payment.pk, cause=cause)
    elif is_sent_now:
        secret = send_opened(opened_payment, cause=cause)
    if not secret:  # Only a refusal can have ended the order.
        order.refresh_from_db()
    return RequestedOrder(order, secret)


@writes.atomic()
def place_order(
    *, order_id: UUID, buyer: User, lines: Sequence[OrderLine], is_sent_now: bool, cause: Cause
) -> tuple[Order, Payment | None]:
    """Commit an order, its items and its payment, at the prices and tax of our own database.

    Returns the order and the payment that was opened: None for a free order, and for one that was placed before.
    `is_sent_now`: the caller sends the payment right after the commit. Raises AccountClosed.
    """
    if earlier := Order.objects.filter(pk=order_id, buyer=buyer).first():
        return earlier, None
    lock_open_account(buyer.pk)
    items = [_item(order_id, offer) for offer in _offers(lines, buyer)]
    subtotal, tax = sum(item.net_minor for item in items), sum(item.tax_minor for item in items)
    try:
        order = Order.objects.create(
            pk=order_id,
            buyer=buyer,
            subtotal_minor=subtotal,
            tax_minor=tax,
            total_minor=subtotal + tax,
            currency=items[0].offer.currency,
        )
    except IntegrityError as error:
        raise OrderNotPossible("This order is being placed by another request. Try again in a moment.") from error
    assert order.total_minor == sum(item.total_minor for item in items), "the items of an order add up to its total"
    writes.insert(items)
    CartItem.objects.filter(owner=buyer, offer__in=[item.offer_id for item in items]).delete()
    if order.total_minor == 0:
        complete_order(order, payment=None, cause=cause, at=timezone.now())
        return order, None
    return order, _open_payment(order, items, is_sent_now=is_sent_now)


def _open_payment(order: Order, items: Sequence[OrderItem], *, is_sent_now: bool) -> Payment:
    payment = open_payment(
        payment_id=new_id(),
        purpose=Payment.Purpose.ORDER,
        purpose_id=order.pk,
        correlation_id=order.pk,
        payer_id=order.buyer_id,
        amount_minor=order.total_minor,
        currency=order.currency,
        description=", ".join(item.title for item in items)[:200],
        return_url=f"{settings.PUBLIC_BASE_URL}/paid",
        is_sent_now=is_sent_now,
    )
    assert payment.currency == order.currency, "an order and its payment have one currency"
    assert payment.amount_minor == order.total_minor > 0, "the payment of an order is of its total"
    return payment


def _offers(lines: Sequence[OrderLine], buyer: User) -> list[LicenseOffer]:
    if not lines:
        raise OrderNotPossible("An order needs at least one item.")
    for_sale = _offers_for_sale(lines)
    offers = []
    for line in lines:
        offer = for_sale.get(line)
        if offer is None:
            raise OfferNotFound(f"Product {line.product_id} is not sold under a {line.license} licence.")
        if _is_held(offer):
            raise ExclusiveSold(f"The exclusive licence of {offer.product.title!r} is already sold.")
        if offer.product.seller_id == buyer.pk:
            raise OrderNotPossible(f"{offer.product.title!r} is your own work.")
        offers.append(offer)
    if len({offer.pk for offer in offers}) < len(offers):
        raise OrderNotPossible("The same licence of the same product is listed twice.")
    if len({offer.currency for offer in offers}) > 1:
        raise OrderNotPossible("All items of an order must be in one currency: order them separately.")
    return offers


def _offers_for_sale(lines: Sequence[OrderLine]) -> dict[OrderLine, LicenseOffer]:
    """The offers of the lines that are for sale, in one query."""
    products, licenses = {line.product_id for line in lines}, {line.license for line in lines}
    rows = LicenseOffer.objects.for_sale().filter(product__in=products, license__in=licenses)
    offers = rows.select_related("product").defer("product__description")
    return {OrderLine(offer.product_id, offer.license): offer for offer in offers}


def _is_held(offer: LicenseOffer) -> bool:
    """Whether a buyer has the licence of an exclusive offer."""
    if offer.license != LicenseKind.EXCLUSIVE:
        return False
    return License.objects.filter(offer=offer, status__in=HELD_STATUSES).exists()


def _item(order_id: UUID, offer: LicenseOffer) -> OrderItem:
    fee = basis_points_of(offer.price_minor, settings.PLATFORM_FEE_BASIS_POINTS)
    assert 0 <= fee <= offer.price_minor, "our fee never exceeds the price"
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


def cancel_order(*, order_id: UUID, cause: Cause) -> Order:
    """Close the payment page of an unpaid order and return the order with its new status.

    It is cancelled once Hyperswitch confirms that the page is closed; one that is being paid stays open. Without an
    answer nothing changes. Raises OrderNotCancellable.
    """
    order = Order.objects.get(pk=order_id)
    if order.status != OrderStatus.PENDING:
        raise OrderNotCancellable(f"Only an unpaid order can be cancelled; this one is {order.status}.")
    for payment in Payment.objects.of(Payment.Purpose.ORDER, order_id).filter(status__in=PAYMENT_OPEN):
        cancel_payment(payment.pk, reason="requested_by_customer", cause=cause)
    order.refresh_from_db()
    return order
