"""From whose money a refund is taken when Veza did not split it: an external refund, made at the provider's dashboard,
or the part of one of ours that another refund took first.

It is taken from unapplied funds, then from items that no pending refund reserves, and only then from what is reserved:
a refund that was requested here finds its items as it left them, whichever arrives first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection

from marketplace.allocation import (
    REFUNDED_ONLY,
    ItemShares,
    accounts_of,
    add_shares,
    cap_shares,
    remaining_shares,
    shares_of_refund,
    split,
    subtract_shares,
)
from marketplace.models import OrderItem, RefundLine
from marketplace.refunds import create_refund_lines
from payments.ledger import allocations
from payments.ledger.allocations import Allocation
from payments.ledger.chart_of_accounts import RECOVERABLE, UNAPPLIED
from payments.models import Payment, Refund


def allocate_external_refund(refund: Refund, /) -> Allocation:
    """Allocate a refund made at the dashboard over its order, as one of ours would be.

    Creates the refund's lines of items, and returns {ledger account: minor units of the refund's currency}.
    """
    if not _is_of_completed_order(refund):
        return allocations.allocate_refund(refund.booked_minor, refund.payment)
    return _allocate(refund, lines=[], unapplied_minor=0)


def reallocate_refund(refund: Refund, /) -> Allocation:
    """Before a refund is posted after others: it keeps its items as far as they remain; the rest is allocated again.

    Its lines change together with its allocation, so that the items continue to match the ledger. Of less than its
    lines, each gives less in proportion. While its amount is in another currency its lines are empty: they say which
    items it is of, until its amount is known.
    """
    if refund.booked_currency != refund.payment.held_currency:
        RefundLine.objects.filter(refund=refund).update(tax_minor=0, fee_minor=0, seller_minor=0)
        return dict(refund.allocation)
    if not _is_of_completed_order(refund):
        RefundLine.objects.filter(refund=refund).delete()
        return dict(refund.allocation)
    lines, unapplied_minor = shares_of_refund(refund), refund.allocation.get(UNAPPLIED, 0)
    of_items_minor = refund.booked_minor - unapplied_minor - refund.allocation.get(RECOVERABLE, 0)
    available_minor = sum(allocations.unapplied_funds(refund.payment, exclude=refund).values())
    remaining = remaining_shares(_items_of(refund), REFUNDED_ONLY, besides=refund)
    is_whole = sum(line.total_minor for line in lines) == of_items_minor
    is_covered = cap_shares(lines, remaining) == lines and unapplied_minor <= available_minor
    if is_whole and is_covered and RECOVERABLE not in refund.allocation:
        return dict(refund.allocation)
    return _allocate(
        refund, lines=_reduce_to(of_items_minor, lines, refund.booked_currency), unapplied_minor=unapplied_minor
    )


def _reduce_to(amount_minor: int, lines: Sequence[ItemShares], currency: str) -> Sequence[ItemShares]:
    """The lines, of no more than `amount_minor` together: each gives less in proportion, by largest remainder."""
    return split(min(amount_minor, sum(line.total_minor for line in lines)), lines, currency)


def _is_of_completed_order(refund: Refund) -> bool:
    """Whether it takes from the payment that its order was completed with, in the currency of the price."""
    payment = refund.payment
    is_of_order = payment.purpose == Payment.Purpose.ORDER and payment.applied_at is not None
    return is_of_order and refund.booked_currency == payment.held_currency


def _items_of(refund: Refund) -> list[OrderItem]:
    return list(OrderItem.objects.filter(order=refund.payment.purpose_id).order_by("pk"))


def _allocate(refund: Refund, *, lines: Sequence[ItemShares], unapplied_minor: int) -> Allocation:
    """Allocate the whole refund, beginning with the items and unapplied funds that it had."""
    assert connection.in_atomic_block, "a refund's lines change in the transaction that posts it"
    items, payment, requested_ids = _items_of(refund), refund.payment, _ids_of_requested_items(refund)
    remaining = remaining_shares(items, REFUNDED_ONLY, besides=refund)
    free_shares = remaining_shares(items, besides=refund)
    available_minor = sum(allocations.unapplied_funds(payment, exclude=refund).values())
    reserved_minor = allocations.reserved_by_refunds(payment, exclude=refund).get(UNAPPLIED, 0)
    division = _Division(refund.booked_minor, refund.booked_currency)
    division.take_unapplied(min(unapplied_minor, available_minor))
    division.take(cap_shares(lines, remaining))
    division.take_over([share for share in free_shares if share.item_id in requested_ids])
    division.take_unapplied(available_minor - reserved_minor)
    division.take_over(free_shares)
    division.take_over(remaining)
    division.take_unapplied(available_minor)
    parts = [part for part in division.parts if part.total_minor or part.item_id in requested_ids]
    RefundLine.objects.filter(refund=refund).delete()
    create_refund_lines(refund, parts)
    others = {UNAPPLIED: division.unapplied_minor, RECOVERABLE: division.rest_minor}
    allocation = allocations.combine(accounts_of(parts), others)
    assert sum(allocation.values()) == refund.booked_minor, "a refund's allocation adds up to its amount"
    assert all(amount > 0 for amount in allocation.values()), (
        "a refund takes a positive amount from each of its accounts"
    )
    return allocation


def _ids_of_requested_items(refund: Refund) -> set[UUID]:
    """The items that a refund of ours is of, while its lines do not say how much it takes of each: it ended in another
    currency.
    """
    lines = shares_of_refund(refund)
    is_ours = refund.source not in (Refund.Source.EXTERNAL, Refund.Source.VOID)
    is_converted = refund.converted_minor is not None or not any(line.total_minor for line in lines)
    return {line.item_id for line in lines} if is_ours and is_converted else set()


@dataclass
class _Division:
    """How far a refund is allocated: its parts of items of unapplied funds, and the rest that is not covered yet."""

    rest_minor: int
    currency: str
    unapplied_minor: int = 0
    parts: list[ItemShares] = field(default_factory=list)

    def take_unapplied(self, up_to_minor: int) -> None:
        amount_minor = min(self.rest_minor, max(0, up_to_minor - self.unapplied_minor))
        self.unapplied_minor += amount_minor
        self.rest_minor -= amount_minor

    def take_over(self, remaining: Sequence[ItemShares]) -> None:
        available = subtract_shares(remaining, self.parts)
        amount_minor = min(self.rest_minor, sum(share.total_minor for share in available))
        self.take(split(amount_minor, available, self.currency))

    def take(self, parts: Sequence[ItemShares]) -> None:
        self.parts = add_shares(self.parts, parts)
        self.rest_minor -= sum(part.total_minor for part in parts)
        assert self.rest_minor >= 0, "a refund never takes more than its own amount"
