"""Whether what was paid for can still be delivered. The completion of an order asks here, with its works locked.

A payment depends on less than an order: a plan that ended since, or a work that its seller unpublished, changes
nothing. What staff decided, what is sold exclusively, and what the buyer has already are decided again.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet

from marketplace.models import License, LicenseKind, LicenseOffer, Order, OrderItem, Product, SellerRestriction
from marketplace.states import ENDED_UNPAID, HELD_STATUSES
from veza.core import reads
from veza.core.models import User


def _buyer(order_id: UUID) -> QuerySet[Any, Any]:
    """Locked, so that a buyer's own orders are completed one after the other."""
    buyers = User.objects.select_for_update(no_key=True, of=("self",))
    return buyers.filter(pk__in=Order.objects.filter(pk=order_id).values("buyer")).values_list("pk")


def _works_with_exclusives(order_id: UUID) -> QuerySet[Any, Any]:
    """Locked, so that of an exclusive licence and any other of one work the first that is paid for is sold.

    Works without an exclusive licence need no lock: the more popular they are, the longer their buyers would wait.
    """
    items = OrderItem.objects.filter(order=order_id, offer__product=OuterRef("pk"))
    exclusives = LicenseOffer.objects.filter(license=LicenseKind.EXCLUSIVE, product=OuterRef("pk"))
    return Product.objects.locked().filter(Exists(items), Exists(exclusives)).values_list("pk")


def _items_with_obstacles(order_id: UUID) -> QuerySet[Any, Any]:
    """The order's items that may be undeliverable, and what decides it."""
    held_licenses = License.objects.filter(status__in=HELD_STATUSES).exclude(order=order_id)
    sold_exclusively = held_licenses.filter(exclusive=True, offer__product=OuterRef("offer__product"))
    owned = held_licenses.filter(offer=OuterRef("offer"), holder=OuterRef("order__buyer"))
    suspended = SellerRestriction.objects.in_force().suspensions().filter(seller=OuterRef("seller"))
    is_closed = Q(offer__product__taken_off_sale_at__isnull=False) | Q(seller__is_active=False) | Exists(suspended)
    is_gone = is_closed | Exists(sold_exclusively)
    rows: QuerySet[Any, Any] = OrderItem.objects.filter(is_gone | Exists(owned), order=order_id)
    is_gone_column: Any = ExpressionWrapper(is_gone, output_field=BooleanField())
    return rows.values_list(
        "pk", is_gone_column, "order__status", "order__reopened_at", "offer__once_per_buyer", "offer__license"
    )


LOCKED_BUYER = reads.Read(_buyer, UUID, is_kept=True)
LOCKED_WORKS = reads.Read(_works_with_exclusives, UUID, is_kept=True)
OBSTACLES = reads.Read(_items_with_obstacles, UUID, is_kept=True)
# Payment, order, buyer, works: the order of locks. Each statement sees what the lock before it waited for.
BEFORE_DELIVERY: Sequence[reads.Read[Any]] = (LOCKED_BUYER, LOCKED_WORKS, OBSTACLES)


def undeliverable_ids(order_id: UUID) -> set[UUID]:
    """The items of a locked order that cannot be delivered; their works and their buyer are locked from here on.

    Those of a suspended or closed seller, or taken off sale; of a work whose exclusive licence another order holds; and
    a licence that the buyer holds already, if one is all they need, or if the order had once ended unpaid.
    """
    rows = reads.together(*(statement.on(order_id) for statement in BEFORE_DELIVERY))[-1]
    return {
        key
        for key, is_gone, status, reopened_at, once_per_buyer, kind in rows
        if is_gone
        or status in ENDED_UNPAID
        or reopened_at
        or _is_limited(LicenseOffer(license=kind, once_per_buyer=once_per_buyer))
    }


def _is_limited(offer: LicenseOffer) -> bool:
    return settings.ONCE_PER_BUYER and offer.is_once_per_buyer()
