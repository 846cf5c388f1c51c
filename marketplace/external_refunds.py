"""Whose money a refund is when nobody said: one made at the provider's dashboard, or what is missing to one of ours
because another refund took it first.

It is taken from what nobody claimed, then from items that are promised to no refund under way, and only then from
what is promised: a refund that was asked for here finds its items as it left them, whichever arrives first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

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
from payments.ledger.chart_of_accounts import RECOVERABLE, UNAPPLIED
from payments.models import Payment, Refund
from payments.refunds.refund_updates import divide_refund
from veza.core.causes import Cause


def refund_taken_in(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """Divide a refund made at the dashboard over the order, as one of ours would be."""
    if _is_of_fulfilled_order(refund):
        _divide(refund, lines=[], unclaimed_minor=0)


def refund_overtaken(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """Before a refund is booked after others: leave it its items as far as they are there, and divide the rest anew.

    Its lines change together with its legs, so that the items go on saying what each account holds.
    """
    if not _is_of_fulfilled_order(refund):
        return
    lines, unapplied_funds = lines_of(refund), refund.allocation.get(UNAPPLIED, 0)
    there = remaining_of(_items(refund), REFUNDED_ONLY)
    fits = capped_to(lines, there) == lines and unapplied_funds <= allocations.unapplied_funds(refund.payment).get(
        UNAPPLIED, 0
    )
    if not fits or RECOVERABLE in refund.allocation:
        _divide(refund, lines=lines, unclaimed_minor=unapplied_funds)


def _is_of_fulfilled_order(refund: Refund) -> bool:
    payment = refund.payment
    if payment.purpose != Payment.Purpose.ORDER or refund.currency != payment.held_currency:
        return False
    return Order.objects.filter(pk=payment.purpose_id, completed_at__isnull=False).exists()


def _items(refund: Refund) -> list[OrderItem]:
    return list(OrderItem.objects.filter(order=refund.payment.purpose_id).order_by("pk"))


def _divide(refund: Refund, *, lines: Sequence[ItemShares], unclaimed_minor: int) -> None:
    """Divide the whole refund, beginning with what it had of items and of money that nobody claimed."""
    items, payment = _items(refund), refund.payment
    there, free = remaining_of(items, REFUNDED_ONLY), remaining_of(items, besides=refund)
    unapplied_funds = sum(allocations.unapplied_funds(payment).values())
    reserved_by_refunds = allocations.reserved_by_refunds(payment, besides=refund).get(UNAPPLIED, 0)
    division = _Division(refund.amount_minor)
    division.take_unclaimed(min(unclaimed_minor, unapplied_funds))
    division.take(capped_to(lines, there))
    division.take_unclaimed(unapplied_funds - reserved_by_refunds)
    division.take_over(free)
    division.take_over(there)
    division.take_unclaimed(unapplied_funds)
    parts = [part for part in division.parts if part.total_minor]
    RefundLine.objects.filter(refund=refund).delete()
    keep_lines(refund, parts)
    besides = {UNAPPLIED: division.unclaimed_minor, RECOVERABLE: division.rest_minor}
    divide_refund(refund, allocations.combine(accounts_of(parts), besides))


@dataclass
class _Division:
    """How far a refund is divided: what it takes of items and of unclaimed money, and what has found nobody yet."""

    rest_minor: int
    unclaimed_minor: int = 0
    parts: list[ItemShares] = field(default_factory=list)

    def take_unclaimed(self, up_to_minor: int) -> None:
        found = min(self.rest_minor, max(0, up_to_minor - self.unclaimed_minor))
        self.unclaimed_minor += found
        self.rest_minor -= found

    def take_over(self, left: Sequence[ItemShares]) -> None:
        purse = less(left, self.parts)
        self.take(split(min(self.rest_minor, sum(part.total_minor for part in purse)), purse))

    def take(self, parts: Sequence[ItemShares]) -> None:
        self.parts = combine(self.parts, parts)
        self.rest_minor -= sum(part.total_minor for part in parts)
