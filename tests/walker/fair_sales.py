"""What must be true of what was sold, whoever tried what: an exclusive licence is exclusive, a licence is sold once to
whom it is sold once, and nothing is sold against a decision of staff.

Of orders that only our own refunds gave back: what a bank or a provider takes and returns is judged by the oracle.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from marketplace.models import License, Order, OrderItem, RefundApplication, RefundLine, SellerRestriction
from marketplace.states import HELD_STATUSES
from payments.models import Refund


def unfair_sales(orders: Iterable[Order]) -> list[str]:
    """Everything that was sold and should not have been, in sentences."""
    ids = [order.pk for order in orders]
    held = License.objects.filter(order__in=ids, status__in=HELD_STATUSES).select_related("offer", "order", "item")
    licenses = list(held.order_by("pk"))
    return [
        *_sold_beside_an_exclusive(licenses),
        *_sold_twice(licenses),
        *_sold_against_staff(licenses),
        *_sold_to_closed_accounts(licenses),
        *_exclusives_returned_again(),
    ]


def _sold_beside_an_exclusive(licenses: list[License]) -> Iterator[str]:
    """Another licence of the work was sold after the exclusive one, which is still held."""
    for exclusive in (one for one in licenses if one.exclusive):
        for other in licenses:
            is_same_work = other.offer.product_id == exclusive.offer.product_id
            if is_same_work and other.pk != exclusive.pk and _sold_at(other) > _sold_at(exclusive):
                yield f"{exclusive.item.title} was sold to {other.holder.email} beside its exclusive licence"


def _sold_twice(licenses: list[License]) -> Iterator[str]:
    held = Counter((one.holder_id, one.offer_id) for one in licenses if one.offer.is_once_per_buyer())
    for (holder_id, offer_id), count in held.items():
        if count > 1:
            yield f"buyer {holder_id} holds {count} licences of offer {offer_id}, which is sold to each buyer once"


def _sold_against_staff(licenses: list[License]) -> Iterator[str]:
    """The work was off sale, or its seller was suspended, when the order was fulfilled."""
    for one in licenses:
        work, sold_at = one.offer.product, _sold_at(one)
        if work.taken_off_sale_at is not None and work.taken_off_sale_at < sold_at:
            yield f"{work.title} was sold, and staff had taken it off sale"
        in_force_then = Q(since_at__lt=sold_at) & (Q(ended_at=None) | Q(ended_at__gt=sold_at))
        if SellerRestriction.objects.suspensions().filter(in_force_then, seller=work.seller_id).exists():
            yield f"{work.title} was sold, and its seller was suspended"


def _sold_to_closed_accounts(licenses: list[License]) -> Iterator[str]:
    for one in licenses:
        if one.holder.closed_at is not None and one.holder.closed_at < _sold_at(one) and one.item.total_minor:
            yield f"{one.item.title} was charged to {one.holder.email}, whose account was closed"


def _exclusives_returned_again() -> Iterator[str]:
    """A buyer gave back the same exclusive licence a second time, and support did not grant it."""
    granted = RefundApplication.objects.filter(status="granted").values("pk")
    by_buyer = Refund.objects.filter(source="buyer", status__in=("pending", "succeeded")).exclude(pk__in=granted)
    orders: defaultdict[tuple[UUID, UUID], set[UUID]] = defaultdict(set)
    for line in RefundLine.objects.filter(refund__in=by_buyer, item__license="exclusive").select_related("item__order"):
        item: OrderItem = line.item
        if line.total_minor == item.total_minor:
            orders[item.order.buyer_id, item.offer_id].add(item.order_id)
    for (buyer_id, offer_id), given_back in orders.items():
        if len(given_back) > 1:
            yield f"buyer {buyer_id} gave back exclusive offer {offer_id} {len(given_back)} times without support"


def _sold_at(one: License) -> datetime:
    assert one.order.completed_at is not None, "a licence is granted when its order is completed"
    return one.order.completed_at
