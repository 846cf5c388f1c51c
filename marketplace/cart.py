"""A buyer's cart: licence offers stored until they are ordered. It reserves neither price nor availability."""

from uuid import UUID

from marketplace.models import CartItem
from marketplace.orders import OrderLine, RequestedOrder, offer_to_sell, request_order
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User

MOST_ITEMS = 50


class CartFull(NotAllowed):
    code = "cart_full"


def add_item(*, owner: User, line: OrderLine) -> CartItem:
    """Add an offer to the cart; adding it again changes nothing.

    Raises OfferNotFound, OfferNotAvailable, ExclusiveSold, CartFull.
    """
    offer = offer_to_sell(line)
    if CartItem.objects.filter(owner=owner).count() >= MOST_ITEMS:
        raise CartFull(f"A cart holds at most {MOST_ITEMS} items. Order these first.")
    item, _ = CartItem.objects.get_or_create(owner=owner, offer=offer)
    return item


def remove_item(*, owner: User, item_id: UUID) -> None:
    """Remove one item. Raises NotFound."""
    count, _ = CartItem.objects.filter(owner=owner, pk=item_id).delete()
    if not count:
        raise NotFound("There is no such item in your cart.")


def empty(*, owner: User) -> None:
    """Remove all items."""
    CartItem.objects.filter(owner=owner).delete()


def check_out(*, order_id: UUID, owner: User, cause: Cause) -> RequestedOrder:
    """Order everything in the cart; the commit of the order empties it. Requesting again returns the first order."""
    items = CartItem.objects.filter(owner=owner).select_related("offer").order_by("pk")
    lines = [OrderLine(item.offer.product_id, item.offer.license) for item in items]
    return request_order(order_id=order_id, buyer=owner, lines=lines, cause=cause)
