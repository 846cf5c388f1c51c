"""How the lines of a cart leave it with an order, and return to it when the order ends unpaid."""

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db import connection

from marketplace.models import CartItem, Order, OrderItem
from veza.core import writes

MOST_ITEMS = 50
_TAKE_OUT = "DELETE FROM marketplace_cartitem WHERE owner_id = %s AND offer_id = ANY(%s) RETURNING offer_id"


def take_out_of_cart(owner_id: UUID, offer_ids: Collection[UUID]) -> set[UUID]:
    """Remove the lines of these offers from a cart, in the caller's transaction. Returns the offers that were in it."""
    assert connection.in_atomic_block, "lines leave the cart in the commit of their order"
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OUT, [owner_id, list(offer_ids)])
        return {offer_id for (offer_id,) in cursor.fetchall()}


def return_to_cart(order: Order, items: Iterable[OrderItem]) -> None:
    """Put the items that came from the buyer's cart back into it, on the terms of the order, as far as it has room.

    One that is in the cart again stays as it is. In the caller's transaction.
    """
    assert connection.in_atomic_block, "lines return in the commit that ends their order"
    returning = [item for item in items if item.from_cart]
    if not returning:
        return
    in_cart = set(CartItem.objects.filter(owner=order.buyer_id).values_list("offer_id", flat=True))
    missing = [item for item in returning if item.offer_id not in in_cart]
    writes.insert(
        [
            CartItem(
                owner_id=order.buyer_id,
                offer_id=item.offer_id,
                price_minor=item.net_minor,
                tax_minor=item.tax_minor,
                currency=order.currency,
                rights=item.rights,
            )
            for item in missing[: max(0, MOST_ITEMS - len(in_cart))]
        ],
        ignore_conflicts=True,
    )
