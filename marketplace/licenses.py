"""Licences: granted when an order is paid, revoked when nothing of their item is left, restored if that is undone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from marketplace.allocation import ItemShares, is_loss_in_doubt
from marketplace.models import License, LicenseKind, LicenseOffer, Order, OrderItem, Product
from marketplace.states import HELD_STATUSES, LicenseStatus
from veza.core import reads, writes
from veza.core.causes import Cause
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review
from veza.core.states import move

NOT_RESTORED = "license_not_restored"
DISPUTED_IN_PART = "order_disputed_in_part"

# Written only under the lock of their order.
LICENSES_OF = reads.Read(lambda order_id: License.objects.filter(order=order_id).order_by("pk"), UUID, is_kept=True)


def grant(order: Order, items: Iterable[OrderItem]) -> None:
    """Grant the buyer one licence for each item, with the rights as they were sold."""
    assert connection.in_atomic_block, "licences are granted in the transaction that completes their order"
    rows = [
        License(
            item=item,
            order=order,
            offer_id=item.offer_id,
            holder_id=order.buyer_id,
            exclusive=item.license == LicenseKind.EXCLUSIVE,
            rights=item.rights,
        )
        for item in items
        if not item.withheld
    ]
    assert all(row.item.order_id == order.pk for row in rows), "an order grants licences of its own items only"
    writes.insert(rows)


def update_licenses(
    order: Order, items: Sequence[OrderItem], remaining: Sequence[ItemShares], *, cause: Cause, at: datetime
) -> None:
    """Give every licence of a locked order the status that its money implies.

    `remaining` is what refunds and lost disputes left of each item. Revoked: nothing is left of the item. Suspended: a
    dispute is open, or the amount of a refund or dispute is in doubt. Otherwise active.
    """
    assert connection.in_atomic_block, "licences change in the transaction that moves their order's money"
    assert not any(share.is_negative for share in remaining), "what remains of an item is never negative"
    gone_ids = ids_of_nothing_left(items, remaining)
    status_of_others = LicenseStatus.SUSPENDED if is_loss_in_doubt(order.pk) else LicenseStatus.ACTIVE
    changes: dict[LicenseStatus, list[License]] = defaultdict(list)
    rows = LICENSES_OF(order.pk)
    unpaid_rows = [row for row in rows if row.item_id in gone_ids]
    close_review(NOT_RESTORED, *unpaid_rows, note="Nothing is left of the price: it was refunded or lost.")
    for row in rows:
        status = LicenseStatus.REVOKED if row in unpaid_rows else status_of_others
        if row.status != status:
            changes[status].append(row)
    for status, changed in changes.items():
        movable = changed if status == LicenseStatus.REVOKED else _restorable(changed)
        if movable:
            move(movable, status, cause=cause, at=at)


def ids_of_nothing_left(items: Sequence[OrderItem], remaining: Sequence[ItemShares]) -> set[UUID]:
    """The items of which nothing remains; free items follow when nothing remains of any other."""
    remaining_minor = {share.item_id: share.total_minor for share in remaining}
    paid_ids = {item.pk for item in items if item.total_minor and item.pk in remaining_minor}
    gone_ids = {item_id for item_id in paid_ids if remaining_minor[item_id] == 0}
    return set(remaining_minor) if paid_ids and gone_ids == paid_ids else gone_ids


def update_review_of_partial_loss(order: Order, *, lost_minor: int, left_minor: int) -> None:
    """Open a review item while lost disputes took a part of an order, and not the rest of it; close it afterwards.

    Both amounts are in minor units of the order's currency. One that staff closed is not opened again for the same
    amount.
    """
    is_partial = lost_minor > 0 and left_minor > 0
    if is_partial:
        last = ReviewItem.objects.filter(kind=DISPUTED_IN_PART, subject_id=order.pk).order_by("pk").last()
        if last is not None and last.amount_minor == lost_minor and last.closed_by != "veza":
            return
    loss, total = (format_amount(minor, order.currency) for minor in (lost_minor, order.total_minor))
    close_review(DISPUTED_IN_PART, order, note=f"Lost to disputes now: {loss}.")
    if is_partial:
        open_review(
            DISPUTED_IN_PART,
            order,
            why=f"{loss} of {total} of order {order.pk} was lost to a dispute. The licences of items of which "
            "something is left stay with the buyer.",
            what_to_do="Support: if the buyer should not keep them, press “Refund for the buyer” on the order's page; "
            "otherwise close this item.",
            amount_minor=lost_minor,
            currency=order.currency,
        )


def _restorable(rows: Sequence[License]) -> list[License]:
    """The rows that may be held again: an exclusive licence may belong to another buyer by now."""
    exclusive_ids = [row.offer_id for row in rows if row.exclusive and row.status == LicenseStatus.REVOKED]
    if not exclusive_ids:
        return list(rows)
    works = LicenseOffer.objects.filter(pk__in=exclusive_ids).values("product")
    list(Product.objects.locked().filter(pk__in=works))  # The first transaction to lock the work holds the licence.
    others = License.objects.filter(offer__in=exclusive_ids, exclusive=True, status__in=HELD_STATUSES)
    resold_ids = set(others.exclude(pk__in=[row.pk for row in rows]).values_list("offer_id", flat=True))
    for row in (row for row in rows if row.offer_id in resold_ids):
        open_review(
            NOT_RESTORED,
            row,
            why="Its money came back, but this exclusive licence has been sold to another buyer.",
            what_to_do="Support: press “Refund for the buyer” on the order's page, or offer another licence.",
        )
    return [row for row in rows if row.offer_id not in resold_ids]
