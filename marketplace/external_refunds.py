"""Whose money a refund is when nobody said: one made at the provider's dashboard, or what is missing to one of ours
because another refund took it first.

It is taken from unapplied funds, then from items that no pending refund reserves, and only then from what is reserved:
a refund that was requested here finds its items as it left them, whichever arrives first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketplace.allocation import (
    REFUNDED_ONLY,
    ItemShares,
    accounts_of,
    capped_to,
    combine,
    less,
    lines_of,
    remaining_of,
    split,
)
from marketplace.models import Order, OrderItem, RefundLine
from marketplace.refunds import keep_lines
from payments.ledger import allocations
from payments.ledger.allocations import Allocation
from payments.ledger.chart_of_accounts import RECOVERABLE, UNAPPLIED
from payments.models import Payment, Refund


def allocate_external_refund(refund: Refund, /) -> Allocation:
    """Whose money a refund made at the dashboard is, allocated over the order as one of ours would be.

    Keeps the refund's lines of items, and returns {ledger account: minor units of the refund's currency}.
    """
    if not _is_of_fulfilled_order(refund):
        return allocations.allocate_refund(refund.amount_minor, refund.payment)
    return _allocate(refund, lines=[], unapplied_minor=0)


def reallocate_refund(refund: Refund, /) -> Allocation:
    """Before a refund is booked after others: leave it its items as far as they are there, and allocate the rest again.

    Its lines change together with its allocation, so that the items go on saying what each account holds.
    """
    if not _is_of_fulfilled_order(refund):
        return dict(refund.allocation)
    lines, unapplied_minor = lines_of(refund), refund.allocation.get(UNAPPLIED, 0)
    available_minor = sum(allocations.unapplied_funds(refund.payment).values())
    fits = capped_to(lines, remaining_of(_items(refund), REFUNDED_ONLY)) == lines and unapplied_minor <= available_minor
    if fits and RECOVERABLE not in refund.allocation:
        return dict(refund.allocation)
    return _allocate(refund, lines=lines, unapplied_minor=unapplied_minor)


def _is_of_fulfilled_order(refund: Refund) -> bool:
    payment = refund.payment
    if payment.purpose != Payment.Purpose.ORDER or refund.currency != payment.held_currency:
        return False
    return Order.objects.filter(pk=payment.purpose_id, completed_at__isnull=False).exists()


def _items(refund: Refund) -> list[OrderItem]:
    return list(OrderItem.objects.filter(order=refund.payment.purpose_id).order_by("pk"))


def _allocate(refund: Refund, *, lines: Sequence[ItemShares], unapplied_minor: int) -> Allocation:
    """Allocate the whole refund, beginning with what it had of items and of unapplied funds."""
    items, payment = _items(refund), refund.payment
    remaining, unreserved = remaining_of(items, REFUNDED_ONLY), remaining_of(items, besides=refund)
    available_minor = sum(allocations.unapplied_funds(payment).values())
    reserved_minor = allocations.reserved_by_refunds(payment, exclude=refund).get(UNAPPLIED, 0)
    division = _Division(refund.amount_minor)
    division.take_unapplied(min(unapplied_minor, available_minor))
    division.take(capped_to(lines, remaining))
    division.take_unapplied(available_minor - reserved_minor)
    division.take_over(unreserved)
    division.take_over(remaining)
    division.take_unapplied(available_minor)
    parts = [part for part in division.parts if part.total_minor]
    RefundLine.objects.filter(refund=refund).delete()
    keep_lines(refund, parts)
    besides = {UNAPPLIED: division.unapplied_minor, RECOVERABLE: division.rest_minor}
    return allocations.combine(accounts_of(parts), besides)


@dataclass
class _Division:
    """How far a refund is allocated: what it takes of items and of unapplied funds, and what nothing covers yet."""

    rest_minor: int
    unapplied_minor: int = 0
    parts: list[ItemShares] = field(default_factory=list)

    def take_unapplied(self, up_to_minor: int) -> None:
        amount_minor = min(self.rest_minor, max(0, up_to_minor - self.unapplied_minor))
        self.unapplied_minor += amount_minor
        self.rest_minor -= amount_minor

    def take_over(self, remaining: Sequence[ItemShares]) -> None:
        purse = less(remaining, self.parts)
        self.take(split(min(self.rest_minor, sum(part.total_minor for part in purse)), purse))

    def take(self, parts: Sequence[ItemShares]) -> None:
        self.parts = combine(self.parts, parts)
        self.rest_minor -= sum(part.total_minor for part in parts)
        assert self.rest_minor >= 0, "a refund never takes more than its own amount"
