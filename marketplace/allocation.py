"""Whose money an order is: what each party was due at sale, what refunds took from it, and what is left."""

import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet, Sum

from marketplace.models import OrderItem, RefundLine
from payments.ledger.chart_of_accounts import PLATFORM_FEE, RECOVERABLE, TAX, UNAPPLIED, seller_account
from payments.models import Dispute, Payment, Refund
from payments.states import RefundStatus
from veza.core.money import allocate

REFUNDED_ONLY = (RefundStatus.SUCCEEDED,)
REFUNDED_OR_PENDING = (RefundStatus.SUCCEEDED, RefundStatus.PENDING)


@dataclass(frozen=True)
class ItemShares:
    """One item's money, split into the seller's share, our fee and the tax; in minor units."""

    item_id: UUID
    seller_id: UUID
    seller_minor: int
    fee_minor: int
    tax_minor: int

    @property
    def total_minor(self) -> int:
        return self.seller_minor + self.fee_minor + self.tax_minor


def accounts_of(shares: Iterable[ItemShares]) -> dict[str, int]:
    """The shares summed by ledger account; accounts that get nothing are left out."""
    sums: dict[str, int] = defaultdict(int)
    for part in shares:
        sums[seller_account(part.seller_id)] += part.seller_minor
        sums[PLATFORM_FEE] += part.fee_minor
        sums[TAX] += part.tax_minor
    return {account: amount for account, amount in sums.items() if amount}


def sold(items: Iterable[OrderItem]) -> list[ItemShares]:
    """The shares as they were frozen at sale; what could not be given was not sold."""
    return [
        ItemShares(item.pk, item.seller_id, item.seller_minor, item.fee_minor, item.tax_minor)
        for item in items
        if not item.withheld
    ]


def refunded_minor(items: Iterable[OrderItem], taken: Iterable[Mapping[str, int]]) -> int:
    """How much of what an order asked for is gone, by the legs that refunds and lost disputes took.

    A surplus that went back was never asked for; what was unclaimed counts only as far as items were withheld.
    """
    sums: defaultdict[str, int] = defaultdict(int)
    for allocation in taken:
        for account, amount in allocation.items():
            sums[account] += amount
    withheld = sum(item.total_minor for item in items if item.withheld)
    claimed = sum(amount for account, amount in sums.items() if account not in (UNAPPLIED, RECOVERABLE))
    return claimed + min(sums[UNAPPLIED], withheld)


def remaining_of(
    items: Sequence[OrderItem], statuses: Sequence[str] = REFUNDED_OR_PENDING, *, besides: Refund | None = None
) -> list[ItemShares]:
    """What refunds in one of `statuses`, `besides` aside, have left of each item.

    Never less than nothing: a refund made at the dashboard may take what another one under way was promised.
    """
    lines = RefundLine.objects.filter(item__in=items, refund__status__in=statuses)
    if besides is not None:
        lines = lines.exclude(refund=besides)
    sums = lines.values("item_id").annotate(seller=Sum("seller_minor"), fee=Sum("fee_minor"), tax=Sum("tax_minor"))
    found = sold(items)
    sellers = {part.item_id: part.seller_id for part in found}
    taken = [
        ItemShares(line["item_id"], sellers[line["item_id"]], line["seller"], line["fee"], line["tax"])
        for line in sums
        if line["item_id"] in sellers
    ]
    return less(found, taken)


def lines_of(refund: Refund) -> list[ItemShares]:
    """What a refund gives back of each item."""
    return [
        ItemShares(line.item_id, line.item.seller_id, line.seller_minor, line.fee_minor, line.tax_minor)
        for line in RefundLine.objects.filter(refund=refund).select_related("item").order_by("item")
    ]


def less(left: Sequence[ItemShares], taken: Iterable[ItemShares]) -> list[ItemShares]:
    """What is left of each item after `taken`; never less than nothing."""
    return _beside(left, taken, lambda amount, other: max(0, amount - other))


def capped_to(wanted: Sequence[ItemShares], left: Iterable[ItemShares]) -> list[ItemShares]:
    """What was wanted of each item, cut to what is left of it."""
    return _beside(wanted, left, min)


def combine(parts: Sequence[ItemShares], more: Sequence[ItemShares]) -> list[ItemShares]:
    """Both together, item by item."""
    known = {part.item_id for part in parts}
    return [*_beside(parts, more, operator.add), *(part for part in more if part.item_id not in known)]


def _beside(
    parts: Iterable[ItemShares], others: Iterable[ItemShares], of: Callable[[int, int], int]
) -> list[ItemShares]:
    """Each item's parts counted together with those of the same item in `others`."""
    found = {other.item_id: other for other in others}
    pairs = ((part, found.get(part.item_id) or ItemShares(part.item_id, part.seller_id, 0, 0, 0)) for part in parts)
    return [
        ItemShares(
            part.item_id,
            part.seller_id,
            of(part.seller_minor, other.seller_minor),
            of(part.fee_minor, other.fee_minor),
            of(part.tax_minor, other.tax_minor),
        )
        for part, other in pairs
    ]


def split(amount_minor: int, left: Sequence[ItemShares]) -> list[ItemShares]:
    """Spread `amount_minor` over `left`, item by item and within an item over seller, fee and tax.

    The parts add up exactly and no part exceeds what is left of it, so that the last refund empties every leg.
    Raises ValueError when more is asked for than is left.
    """
    if amount_minor > sum(part.total_minor for part in left):
        raise ValueError(f"{amount_minor} is more than is left")
    parts = []
    for part, share in zip(left, allocate(amount_minor, [part.total_minor for part in left]), strict=True):
        seller, fee, tax = allocate(share, [part.seller_minor, part.fee_minor, part.tax_minor])
        parts.append(ItemShares(part.item_id, part.seller_id, seller, fee, tax))
    return parts


def sold_shares(order_id: UUID) -> dict[UUID, int]:
    """Each seller's share of an order as it was sold."""
    return _by_seller(sold(OrderItem.objects.filter(order=order_id)))


def seller_shares(order_id: UUID) -> dict[UUID, int]:
    """What each seller of an order should have now: the share sold, less what succeeded refunds and lost disputes
    took from it; never below zero."""
    items = list(OrderItem.objects.filter(order=order_id))
    lost = _allocation_of(disputes_of(order_id).filter(funds_location=Dispute.FundsLocation.BANK))
    shares = _by_seller(remaining_of(items, REFUNDED_ONLY))
    return {seller: max(0, share - lost[seller_account(seller)]) for seller, share in shares.items()}


def dues_by_account(order_ids: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """By order, what each account of the ledger should hold of it now, money in dispute taken out."""
    items = list(OrderItem.objects.filter(order__in=order_ids))
    orders = {item.pk: item.order_id for item in items}
    left: dict[UUID, list[ItemShares]] = {order_id: [] for order_id in order_ids}
    for part in remaining_of(items, REFUNDED_ONLY):
        left[orders[part.item_id]].append(part)
    taken: dict[UUID, defaultdict[str, int]] = {order_id: defaultdict(int) for order_id in order_ids}
    disputes = Dispute.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id__in=order_ids)
    for order_id, allocation in disputes.values_list("payment__purpose_id", "allocation"):
        for account, amount in allocation.items():
            taken[order_id][account] += amount
    dues = {order_id: accounts_of(parts) for order_id, parts in left.items()}
    return {
        order_id: {
            account: amount - taken[order_id][account]
            for account, amount in due.items()
            if amount != taken[order_id][account]
        }
        for order_id, due in dues.items()
    }


def is_disputed(order_id: UUID) -> bool:
    """Whether a bank is asking for this order's money and nothing is decided yet."""
    return disputes_of(order_id).filter(funds_location=Dispute.FundsLocation.SUSPENSE).exists()


def disputes_of(order_id: UUID) -> QuerySet[Dispute]:
    """The disputes of all payments of an order."""
    return Dispute.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order_id)


def _allocation_of(disputes: QuerySet[Dispute]) -> defaultdict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for allocation in disputes.values_list("allocation", flat=True):
        for account, amount in allocation.items():
            sums[account] += amount
    return sums


def _by_seller(shares: Iterable[ItemShares]) -> dict[UUID, int]:
    sums: dict[UUID, int] = defaultdict(int)
    for part in shares:
        sums[part.seller_id] += part.seller_minor
    return dict(sums)
