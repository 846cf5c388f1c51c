"""Licences: granted when an order is paid, taken back when an item is given back whole, restored when it was not."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from marketplace.models import License, LicenseKind, Order, OrderItem
from marketplace.shares import ItemShares
from marketplace.states import LicenseStatus
from veza.core.causes import Cause
from veza.core.states import move


def grant(order: Order, items: Iterable[OrderItem]) -> None:
    """Give the buyer one licence for each item, with the rights as they were sold."""
    License.objects.bulk_create(
        License(
            item=item,
            order=order,
            offer_id=item.offer_id,
            holder_id=order.buyer_id,
            exclusive=item.license == LicenseKind.EXCLUSIVE,
            rights=item.rights,
        )
        for item in items
    )


def follow_refunds(order: Order, left: Sequence[ItemShares], *, cause: Cause, at: datetime) -> None:
    """Revoke the licences of items that were given back whole and restore those that were not."""
    given_back = {part.item_id for part in left if part.total_minor == 0}
    held = list(License.objects.locked().filter(order=order))
    revoke = [row for row in held if row.item_id in given_back and row.status != LicenseStatus.REVOKED]
    restore = [row for row in held if row.item_id not in given_back and row.status == LicenseStatus.REVOKED]
    if revoke:
        move(revoke, LicenseStatus.REVOKED, cause=cause, at=at)
    if restore:
        move(restore, LicenseStatus.ACTIVE, cause=cause, at=at)
