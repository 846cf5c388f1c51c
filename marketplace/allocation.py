"""Whose money an order is: each party's share at sale, what refunds took from it, and what remains."""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from marketplace.models import OrderItem, RefundLine
from payments.ledger.chart_of_accounts import PLATFORM_FEE, RECOVERABLE, TAX, UNAPPLIED, seller_account
from payments.models import Dispute, Payment, PaymentQuerySet, Refund
from payments.states import RefundStatus
from veza.core import reads
from veza.core.money import allocate

REFUNDED_ONLY = (RefundStatus.SUCCEEDED,)
REFUNDED_OR_PENDING = (RefundStatus.SUCCEEDED, RefundStatus.PENDING)


def disputes_of(order_id: UUID) -> QuerySet[Dispute]:
    """The disputes of all payments of an order."""
    return Dispute.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order_id)


def _refunds_of(order_id: UUID) -> QuerySet[Refund]:
    return Refund.objects.filter(
        payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order_id, payment__applied_at__isnull=False
    )


def _lines_of(order_id: UUID) -> QuerySet[RefundLine]:
    return RefundLine.objects.filter(item__order=order_id)


def payment_applied_to(order_id: UUID) -> PaymentQuerySet:
    """The payment whose money the order has: none before it is completed, and none of a free order.

    An order may have had several payments. What happens to the money of the others concerns neither its licences nor
    its sellers.
    """
    return Payment.objects.of(Payment.Purpose.ORDER, order_id).applied()


# The items of an order, which are frozen at sale, and whatever happens to its money: nothing does while its payments
# are locked.
ITEMS_OF = reads.Read(lambda order_id: OrderItem.objects.filter(order=order_id), UUID, is_kept=True)
_DISPUTES_OF = reads.Read(
    lambda order_id: (
        disputes_of(order_id).filter(payment__applied_at__isnull=False).values_list("funds_location", "allocation")
    ),
    UUID,
    is_kept=True,
)
_REFUNDS_OF = reads.Read(
    lambda order_id: _refunds_of(order_id).values_list("status", "source", "allocation"), UUID, is_kept=True
)
_LINES_OF = reads.Read(
    lambda order_id: _lines_of(order_id).values_list(
        "item_id", "refund_id", "refund__status", "seller_minor", "fee_minor", "tax_minor"
    ),
    UUID,
    is_kept=True,
)
_IN_DOUBT_OF_LOSS = reads.Read(
    lambda order_id: payment_applied_to(order_id).in_doubt_of_loss().values_list("pk"), UUID, is_kept=True
)
_IN_DOUBT_OF = reads.Read(lambda order_id: payment_applied_to(order_id).in_doubt().values_list("pk"), UUID)
MONEY_OF = (ITEMS_OF, _DISPUTES_OF, _REFUNDS_OF, _LINES_OF, _IN_DOUBT_OF_LOSS)


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

    @property
    def is_negative(self) -> bool:
        return min(self.seller_minor, self.fee_minor, self.tax_minor) < 0


def accounts_of(shares: Iterable[ItemShares]) -> dict[str, int]:
    """The shares summed by ledger account; an account without money is not listed."""
    sums: dict[str, int] = defaultdict(int)
    for share in shares:
        assert not share.is_negative, "no share of an item is negative"
        sums[seller_account(share.seller_id)] += share.seller_minor
        sums[PLATFORM_FEE] += share.fee_minor
        sums[TAX] += share.tax_minor
    return {account: amount for account, amount in sums.items() if amount}


def shares_at_sale(items: Iterable[OrderItem]) -> list[ItemShares]:
    """The shares as they were frozen at sale. A withheld item was not delivered, so no seller has a share in it."""
    return [
        ItemShares(item.pk, item.seller_id, item.seller_minor, item.fee_minor, item.tax_minor)
        for item in items
        if not item.withheld
    ]


def refunded_minor(items: Iterable[OrderItem], allocations: Iterable[Mapping[str, int]]) -> int:
    """How much of an order's total went back, by the `allocations` of its refunds and lost disputes.

    A surplus that was returned is not part of the total; unapplied funds count only as far as items were withheld.
    """
    sums: defaultdict[str, int] = defaultdict(int)
    for allocation in allocations:
        for account, amount in allocation.items():
            sums[account] += amount
    withheld_minor = sum(item.total_minor for item in items if item.withheld)
    claimed_minor = sum(amount for account, amount in sums.items() if account not in (UNAPPLIED, RECOVERABLE))
    return claimed_minor + min(sums[UNAPPLIED], withheld_minor)


def remaining_shares(
    items: Sequence[OrderItem], statuses: Sequence[str] = REFUNDED_OR_PENDING, *, besides: Refund | None = None
) -> list[ItemShares]:
    """What remains of each item after the refunds in one of `statuses`; the refund `besides` does not count.

    Never negative: an external refund may take money that is reserved for a pending one.
    """
    shares = shares_at_sale(items)
    if not shares:
        return []
    besides_id = besides.pk if besides is not None else None
    sums: dict[UUID, list[int]] = {share.item_id: [0, 0, 0] for share in shares}
    for item_id, refund_id, status, *amounts in _LINES_OF(items[0].order_id):
        if item_id in sums and status in statuses and refund_id != besides_id:
            sums[item_id] = [total + amount for total, amount in zip(sums[item_id], amounts, strict=True)]
    return subtract_shares(
        shares, [ItemShares(share.item_id, share.seller_id, *sums[share.item_id]) for share in shares]
    )


def shares_of_refund(refund: Refund) -> list[ItemShares]:
    """How much of each item a refund gives back."""
    return [
        ItemShares(line.item_id, line.item.seller_id, line.seller_minor, line.fee_minor, line.tax_minor)
        for line in RefundLine.objects.filter(refund=refund).select_related("item").order_by("item")
    ]


def subtract_shares(shares: Sequence[ItemShares], deductions: Iterable[ItemShares]) -> list[ItemShares]:
    """What remains of each item after the deductions; never negative."""
    return _calculate(shares, deductions, lambda amount, other: max(0, amount - other))


def cap_shares(shares: Sequence[ItemShares], limits: Iterable[ItemShares]) -> list[ItemShares]:
    """The shares of each item, cut to that item's limits."""
    return _calculate(shares, limits, min)


def add_shares(shares: Sequence[ItemShares], more: Sequence[ItemShares]) -> list[ItemShares]:
    """Both together, item by item."""
    item_ids = {share.item_id for share in shares}
    return [*_calculate(shares, more, operator.add), *(share for share in more if share.item_id not in item_ids)]


def _calculate(
    shares: Iterable[ItemShares], others: Iterable[ItemShares], operation: Callable[[int, int], int]
) -> list[ItemShares]:
    """Apply `operation` to each item's shares and those of the same item in `others`, or zeros."""
    by_item = {other.item_id: other for other in others}
    pairs = (
        (share, by_item.get(share.item_id) or ItemShares(share.item_id, share.seller_id, 0, 0, 0)) for share in shares
    )
    return [
        ItemShares(
            share.item_id,
            share.seller_id,
            operation(share.seller_minor, other.seller_minor),
            operation(share.fee_minor, other.fee_minor),
            operation(share.tax_minor, other.tax_minor),
        )
        for share, other in pairs
    ]


def split(amount_minor: int, remaining: Sequence[ItemShares], currency: str) -> list[ItemShares]:
    """Spread `amount_minor` of `currency` over `remaining`, item by item and within an item over seller, fee and tax.

    The parts add up exactly and no part exceeds what remains, so the last refund empties every share.
    Raises ValueError for an amount above the sum of what remains.
    """
    if amount_minor > sum(share.total_minor for share in remaining):
        raise ValueError(f"{amount_minor} exceeds what remains")
    totals = [share.total_minor for share in remaining]
    parts = []
    for share, total in zip(remaining, allocate(amount_minor, totals, currency), strict=True):
        seller, fee, tax = allocate(total, [share.seller_minor, share.fee_minor, share.tax_minor], currency)
        parts.append(ItemShares(share.item_id, share.seller_id, seller, fee, tax))
    assert sum(part.total_minor for part in parts) == amount_minor, "the parts of a split add up to its amount"
    assert cap_shares(parts, remaining) == parts, "no part of a split exceeds what remains of its item"
    assert not any(part.is_negative for part in parts), "no part of a split is negative"
    return parts


def seller_shares_at_sale(order_id: UUID) -> dict[UUID, int]:
    """Each seller's share of an order as it was sold."""
    return _by_seller(shares_at_sale(ITEMS_OF(order_id)))


def seller_shares(order_id: UUID) -> dict[UUID, int]:
    """Each seller's share of an order now: the share at sale less succeeded refunds and lost disputes.

    Never negative.
    """
    items = ITEMS_OF(order_id)
    losses = _losses_of(order_id)
    shares = _by_seller(remaining_shares(items, REFUNDED_ONLY))
    return {seller: max(0, share - losses[seller_account(seller)]) for seller, share in shares.items()}


def lost_to_disputes(order_id: UUID) -> int:
    """How much of the order's items lost disputes took, in minor units of the order's currency."""
    losses = _losses_of(order_id)
    return sum(amount for account, amount in losses.items() if account not in (UNAPPLIED, RECOVERABLE))


def remaining_after_loss(remaining: Sequence[ItemShares], lost_minor: int, currency: str) -> list[ItemShares]:
    """What is left of each item when `lost_minor` is spread over what `remaining` says is left of them.

    The same split as a refund by amount. Together the items may have less left than was lost: then nothing is left.
    """
    assert lost_minor >= 0, "a loss is never negative"
    total_minor = sum(share.total_minor for share in remaining)
    return subtract_shares(remaining, split(min(lost_minor, total_minor), remaining, currency))


def is_disputed(order_id: UUID) -> bool:
    """Whether a dispute of this order is open."""
    return any(location == Dispute.FundsLocation.SUSPENSE for location, _ in _DISPUTES_OF(order_id))


def is_on_hold(order_id: UUID) -> bool:
    """Whether the sellers of this order wait: a dispute is open, or a payment is in doubt."""
    return is_disputed(order_id) or bool(_IN_DOUBT_OF(order_id))


def is_loss_in_doubt(order_id: UUID) -> bool:
    """Whether the buyer may get more of this order back: a dispute is open, or they or their bank have an unknown part.

    Its licences are suspended meanwhile.
    """
    return is_disputed(order_id) or bool(_IN_DOUBT_OF_LOSS(order_id))


def has_pending_refund(order_id: UUID) -> bool:
    """Whether a refund that Veza was asked for is pending."""
    return any(
        status == RefundStatus.PENDING and source != Refund.Source.EXTERNAL
        for status, source, _ in _REFUNDS_OF(order_id)
    )


def is_refunded_in_full(order_id: UUID, *, total_minor: int) -> bool:
    """Whether refunds and lost disputes took all of the order's total, in minor units of its currency."""
    by_refunds = [allocation for status, _, allocation in _REFUNDS_OF(order_id) if status == RefundStatus.SUCCEEDED]
    return refunded_minor(ITEMS_OF(order_id), [*by_refunds, *_lost_allocations(order_id)]) >= total_minor


def _lost_allocations(order_id: UUID) -> list[Mapping[str, int]]:
    return [allocation for location, allocation in _DISPUTES_OF(order_id) if location == Dispute.FundsLocation.BANK]


def _losses_of(order_id: UUID) -> defaultdict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for allocation in _lost_allocations(order_id):
        for account, amount in allocation.items():
            sums[account] += amount
    return sums


def _by_seller(shares: Iterable[ItemShares]) -> dict[UUID, int]:
    sums: dict[UUID, int] = defaultdict(int)
    for share in shares:
        sums[share.seller_id] += share.seller_minor
    return dict(sums)
