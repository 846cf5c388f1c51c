"""Placing an order at our own prices, and getting its payment page."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection
from django.utils import timezone

from marketplace.availability import existing_licenses
from marketplace.cart_lines import take_out_of_cart
from marketplace.models import LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.offer_changes import Expectation, OfferChanged, compare_lines, compare_sums
from marketplace.offers import OrderLine, OrderNotPossible, offers_of, refusals_of
from marketplace.order_limits import refuse_beyond_limits
from marketplace.order_payments import RequestedOrder, open_order_payment
from marketplace.purchases import complete_order
from payments.collection.payment_requests import may_send_now, send_now, send_opened
from payments.models import Payment
from payments.states import PaymentStatus
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.money import basis_points_of

NOTHING_EXPECTED = Expectation()


def request_order(
    *,
    order_id: UUID,
    buyer: User,
    lines: Sequence[OrderLine],
    expectation: Expectation = NOTHING_EXPECTED,
    cause: Cause,
) -> RequestedOrder:
    """Place an order and get its payment page. Requesting again with the same id returns the first order.

    When Hyperswitch does not answer, the order is pending without a page and a sweep retries. Raises OfferNotFound,
    OfferNotAvailable, AlreadyOwned, TooManyOpenOrders, OrderNotPossible, OfferChanged.
    """
    is_sent_now = may_send_now()
    order, opened_payment = place_order(
        order_id=order_id, buyer=buyer, lines=lines, expectation=expectation, is_sent_now=is_sent_now, cause=cause
    )
    return send_placed(order, opened_payment, is_sent_now=is_sent_now, cause=cause)


def send_placed(order: Order, opened_payment: Payment | None, *, is_sent_now: bool, cause: Cause) -> RequestedOrder:
    """Get the payment page of an order that was just placed, or was placed before; `is_sent_now` as when placed."""
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
    *,
    order_id: UUID,
    buyer: User,
    lines: Sequence[OrderLine],
    expectation: Expectation = NOTHING_EXPECTED,
    is_sent_now: bool,
    cause: Cause,
) -> tuple[Order, Payment | None]:
    """Commit an order, its items and its payment, at the prices and tax of our own database.

    Returns the order and the payment that was opened: None for a free order, and for one that was placed before.
    `is_sent_now`: the caller sends the payment right after the commit. Raises AccountClosed.
    """
    if earlier := Order.objects.filter(pk=order_id, buyer=buyer).first():
        return earlier, None
    lock_open_account(buyer.pk)
    offers = offers_of(lines)
    if refusals := list(refusals_of(offers, buyer_id=buyer.pk).values()):
        raise refusals[0]
    refuse_mixed(offers)
    # The items are of the very terms that are compared here, whatever a seller commits in the meantime.
    difference = compare_lines(lines, offers)
    difference.sums = compare_sums(expectation, offers)
    if difference:
        raise OfferChanged(difference)
    return create_order(order_id=order_id, buyer=buyer, offers=offers, is_sent_now=is_sent_now, cause=cause)


def refuse_mixed(offers: Sequence[LicenseOffer]) -> None:
    """Refuse what cannot be one order. Raises OrderNotPossible."""
    if not offers:
        raise OrderNotPossible("An order needs at least one item.")
    if len({offer.pk for offer in offers}) < len(offers):
        raise OrderNotPossible("The same licence of the same product is listed twice.")
    if len({offer.currency for offer in offers}) > 1:
        raise OrderNotPossible("All items of an order must be in one currency: order them separately.")


def create_order(
    *, order_id: UUID, buyer: User, offers: Sequence[LicenseOffer], is_sent_now: bool, cause: Cause
) -> tuple[Order, Payment | None]:
    """Create an order of the offers on their terms, in the caller's transaction. They leave the buyer's cart.

    Returns what `place_order` returns.
    """
    assert connection.in_atomic_block, "an order is one commit with its items, its payment and the cart"
    subtotal, tax = sum(offer.price_minor for offer in offers), sum(offer.tax_minor for offer in offers)
    if subtotal + tax > 0:
        refuse_beyond_limits(buyer.pk, subtotal + tax, offers[0].currency)
    try:
        order = Order.objects.create(
            pk=order_id,
            buyer=buyer,
            subtotal_minor=subtotal,
            tax_minor=tax,
            total_minor=subtotal + tax,
            currency=offers[0].currency,
        )
    except IntegrityError as error:
        raise OrderNotPossible("This order is being placed by another request. Try again in a moment.") from error
    taken_ids = take_out_of_cart(buyer.pk, [offer.pk for offer in offers])
    items = _items(order_id, offers, taken_ids)
    assert order.total_minor == sum(item.total_minor for item in items), "the items of an order add up to its total"
    writes.insert(items)
    if order.total_minor == 0:
        complete_order(order, payment=None, cause=cause, at=timezone.now())
        return order, None
    return order, open_order_payment(order, items, payment_id=new_id(), is_sent_now=is_sent_now, is_first=True)


def _items(order_id: UUID, offers: Sequence[LicenseOffer], taken_ids: Collection[UUID]) -> list[OrderItem]:
    exclusive_works = [offer.product_id for offer in offers if offer.license == LicenseKind.EXCLUSIVE]
    existing = existing_licenses(exclusive_works) if exclusive_works else {}
    items = [_item(order_id, offer, from_cart=offer.pk in taken_ids) for offer in offers]
    for item in items:
        if item.license == LicenseKind.EXCLUSIVE:
            item.held_before = existing.get(item.offer.product_id, {})
    return items


def _item(order_id: UUID, offer: LicenseOffer, *, from_cart: bool) -> OrderItem:
    fee = basis_points_of(offer.price_minor, settings.PLATFORM_FEE_BASIS_POINTS, offer.currency)
    assert 0 <= fee <= offer.price_minor, "our fee never exceeds the price"
    return OrderItem(
        order_id=order_id,
        offer=offer,
        seller_id=offer.product.seller_id,
        title=offer.product.title,
        license=offer.license,
        rights=offer.rights,
        net_minor=offer.price_minor,
        tax_minor=offer.tax_minor,
        fee_minor=fee,
        seller_minor=offer.price_minor - fee,
        from_cart=from_cart,
    )
