"""Licences: granted when an order is paid, taken back when an item is given back whole, restored when it was not."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from marketplace.allocation import ItemShares, disputes_of, is_disputed
from marketplace.models import License, LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.states import LicenseStatus
from payments.models import Dispute
from veza.core.causes import Cause
from veza.core.reviews import open_review
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


def follow_money(
    order: Order, items: Sequence[OrderItem], left: Sequence[ItemShares], *, cause: Cause, at: datetime
) -> None:
    """Bring every licence of an order to where its money is: `left` is what refunds have left of each item.

    Revoked: the item was given back whole, or the bank took the money. Suspended: the bank asks for it. Else active.
    """
    given_back = _given_back(items, left)
    otherwise = _unless_given_back(order)
    wanted: dict[LicenseStatus, list[License]] = defaultdict(list)
    for row in License.objects.locked().filter(order=order):
        status = LicenseStatus.REVOKED if row.item_id in given_back else otherwise
        if row.status != status:
            wanted[status].append(row)
    for status, rows in wanted.items():
        movable = rows if status == LicenseStatus.REVOKED else _still_free(rows)
        if movable:
            move(movable, status, cause=cause, at=at)


def _given_back(items: Sequence[OrderItem], left: Sequence[ItemShares]) -> set[UUID]:
    """What was paid for and given back whole; what was free goes with the last of the others."""
    rest = {part.item_id: part.total_minor for part in left}
    paid = {item.pk for item in items if item.total_minor and item.pk in rest}
    back = {key for key in paid if rest[key] <= 0}
    return set(rest) if paid and back == paid else back


def _unless_given_back(order: Order) -> LicenseStatus:
    if disputes_of(order.pk).filter(funds_location=Dispute.FundsLocation.BANK).exists():
        return LicenseStatus.REVOKED
    return LicenseStatus.SUSPENDED if is_disputed(order.pk) else LicenseStatus.ACTIVE


def _still_free(rows: Sequence[License]) -> list[License]:
    """Rows that may be held again: an exclusive licence may have been sold to somebody else meanwhile."""
    held = (LicenseStatus.ACTIVE, LicenseStatus.SUSPENDED)
    exclusive = [row.offer_id for row in rows if row.exclusive and row.status == LicenseStatus.REVOKED]
    if not exclusive:
        return list(rows)
    list(LicenseOffer.objects.locked().filter(pk__in=exclusive))  # Whoever comes first holds it.
    sold = License.objects.filter(offer__in=exclusive, exclusive=True, status__in=held)
    taken = set(sold.exclude(pk__in=[row.pk for row in rows]).values_list("offer_id", flat=True))
    for row in (row for row in rows if row.offer_id in taken):
        open_review(
            "license_not_restored",
            row,
            why="Its money came back, but this exclusive licence has been sold to somebody else meanwhile.",
            what_to_do="Refund the buyer, or offer another licence.",
        )
    return [row for row in rows if row.offer_id not in taken]
