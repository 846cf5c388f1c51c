"""A buyer's cart: licence offers on the terms that the buyer was shown, until they are ordered.

It reserves nothing: an offer may change or leave sale. Then the checkout is refused and says what is different.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from marketplace.cart_lines import MOST_ITEMS
from marketplace.models import CartItem, LicenseOffer, Order
from marketplace.offer_changes import Difference, Expectation, OfferChanged, compare_cart, compare_sums
from marketplace.offers import (
    ExclusiveSold,
    OfferNotAvailable,
    OfferNotFound,
    OrderLine,
    offers_of,
    read_offers,
    refusals_of,
)
from marketplace.order_payments import RequestedOrder
from marketplace.orders import NOTHING_EXPECTED, create_order, refuse_mixed, send_placed
from payments.collection.payment_requests import may_send_now
from payments.models import Payment
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User


class CartFull(NotAllowed):
    code = "cart_full"
    http_status = 409


class ItemsUnavailable(NotAllowed):
    """Lines of a cart cannot be ordered any more. Nothing was ordered."""

    code = "items_unavailable"
    http_status = 409

    def __init__(self, lines: Sequence["CartLine"]) -> None:
        super().__init__(f"{' '.join(line.why or '' for line in lines)} Leave it out (`leave_out`), or remove it.")
        self.members = {
            "unavailable": [
                {
                    "cart_item_id": line.item.pk,
                    "product_id": line.offer.product_id,
                    "title": line.offer.product.title,
                    "license": line.offer.license,
                    "why": line.why,
                }
                for line in lines
            ]
        }


@dataclass(frozen=True)
class CartLine:
    """An item of a cart with its offer as it is now; `refusal` says why it cannot be ordered, if so."""

    item: CartItem
    offer: LicenseOffer
    refusal: NotAllowed | None

    @property
    def why(self) -> str | None:
        """Why it cannot be ordered, in a sentence that names the work."""
        return self.refusal.text if self.refusal is not None else None


def lines_of(owner: User) -> list[CartLine]:
    """The lines of a cart, the oldest first."""
    return _with_offers(CartItem.objects.filter(owner=owner).order_by("pk"), owner)


def _with_offers(items: Collection[CartItem], owner: User) -> list[CartLine]:
    offers = {offer.pk: offer for offer in read_offers(Q(pk__in=[item.offer_id for item in items]))} if items else {}
    refusals = refusals_of(offers.values(), buyer_id=owner.pk)
    return [CartLine(item, offers[item.offer_id], refusals.get(item.offer_id)) for item in items]


@transaction.atomic
def add_item(*, owner: User, line: OrderLine) -> CartLine:
    """Add an offer to the cart on its terms of now, which are the answer. Raises OfferNotFound,
    OfferNotAvailable, ExclusiveSold, CartFull.

    Adding one that it holds brings its terms up to date, and needs no room.
    """
    (offer,) = offers_of([line])
    refusal = refusals_of([offer], buyer_id=owner.pk).get(offer.pk)
    if isinstance(refusal, OfferNotFound | OfferNotAvailable | ExclusiveSold):
        raise refusal
    items = CartItem.objects.filter(owner=owner)
    if not items.filter(offer=offer).exists() and items.count() >= MOST_ITEMS:
        raise CartFull(f"A cart holds at most {MOST_ITEMS} items. Order these first.")
    item, _ = CartItem.objects.update_or_create(owner=owner, offer=offer, defaults=asdict(offer.terms))
    return CartLine(item, offer, refusal)


def remove_item(*, owner: User, item_id: UUID) -> None:
    """Remove one item. Raises NotFound."""
    count, _ = CartItem.objects.filter(owner=owner, pk=item_id).delete()
    if not count:
        raise NotFound("There is no such item in your cart.")


def empty(*, owner: User) -> None:
    """Remove all items."""
    CartItem.objects.filter(owner=owner).delete()


def check_out(
    *,
    order_id: UUID,
    owner: User,
    leave_out: Collection[UUID] = (),
    expectation: Expectation = NOTHING_EXPECTED,
    cause: Cause,
) -> RequestedOrder:
    """Order what is in the cart, except the items `leave_out`, on the terms that the buyer was shown.

    The commit of the order takes its items out of the cart. Requesting again with the same id returns the first order.
    If an offer has changed since it was shown, nothing is ordered and the cart is brought up to date. Raises NotFound,
    ItemsUnavailable, OfferChanged, OrderNotPossible.
    """
    is_sent_now = may_send_now()
    placed = _place(order_id, owner, leave_out=leave_out, expectation=expectation, is_sent_now=is_sent_now, cause=cause)
    if isinstance(placed, Difference):
        raise OfferChanged(placed)
    return send_placed(*placed, is_sent_now=is_sent_now, cause=cause)


@writes.atomic()
def _place(
    order_id: UUID,
    owner: User,
    *,
    leave_out: Collection[UUID],
    expectation: Expectation,
    is_sent_now: bool,
    cause: Cause,
) -> Difference | tuple[Order, Payment | None]:
    """Commit the order, or the cart's new terms and return how they differ from those that the buyer was shown."""
    if earlier := Order.objects.filter(pk=order_id, buyer=owner).first():
        return earlier, None
    lock_open_account(owner.pk)
    # Another checkout of the same cart waits here, and then finds it empty.
    items = list(CartItem.objects.select_for_update().filter(owner=owner).order_by("pk"))
    if unknown_ids := set(leave_out) - {item.pk for item in items}:
        raise NotFound(f"There is no item {min(unknown_ids)} in your cart.")
    lines = _with_offers([item for item in items if item.pk not in leave_out], owner)
    if unavailable := [line for line in lines if line.refusal is not None]:
        raise ItemsUnavailable(unavailable)
    offers = [line.offer for line in lines]
    refuse_mixed(offers)
    difference = compare_cart([(line.item, line.offer) for line in lines])
    difference.sums = compare_sums(expectation, offers)
    if difference:
        _bring_up_to_date(lines)
        return difference
    return create_order(order_id=order_id, buyer=owner, offers=offers, is_sent_now=is_sent_now, cause=cause)


def _bring_up_to_date(lines: Sequence[CartLine]) -> None:
    for line in lines:
        if line.item.terms != line.offer.terms:
            CartItem.objects.filter(pk=line.item.pk).update(**asdict(line.offer.terms))
