"""Whose money a payment is now, account by account: what was claimed of it, less what went back.

Always computed from the facts, never remembered, so that it does not matter in which order they became known: the
claims of the floors above, the refunds that succeeded with the legs they were opened with, and after them the
disputes by the provider's id, each spread over what is left. What finds nothing left is `recoverable`.
"""

from collections import defaultdict
from collections.abc import Mapping

from payments.ledger.chart_of_accounts import RECOVERABLE, UNAPPLIED
from payments.models import Payment, Posting, Refund
from payments.states import RefundStatus
from veza.core.money import allocate

Allocation = dict[str, int]


def remaining_of(payment: Payment) -> Allocation:
    """What each account has of the payment after its succeeded refunds; minor units of the currency we hold."""
    left = _applied(payment)
    given_back = Refund.objects.filter(
        payment=payment, status=RefundStatus.SUCCEEDED, currency=payment.held_currency
    ).values_list("allocation", flat=True)
    for allocation in given_back:
        for account, amount in allocation.items():
            if account != RECOVERABLE:
                left[account] -= amount
    return {account: amount for account, amount in left.items() if amount > 0}


def unapplied_funds(payment: Payment) -> Allocation:
    """What nobody has claimed of the payment and nobody was given back."""
    return unapplied_in(remaining_of(payment))


def unapplied_in(allocation: Mapping[str, int]) -> Allocation:
    """The part of some legs that nobody has claimed."""
    return {account: amount for account, amount in allocation.items() if account == UNAPPLIED}


def is_applied(payment: Payment) -> bool:
    """Whether what the payment pays for was fulfilled with it."""
    return Posting.objects.filter(payment=payment, kind=Posting.Kind.APPLIED).exists()


def reserved_by_refunds(payment: Payment, *, besides: Refund | None = None) -> Allocation:
    """What refunds under way are going to take of each account; `besides` is not one of them."""
    under_way = payment.refunds.filter(status=RefundStatus.PENDING, currency=payment.held_currency)
    if besides is not None:
        under_way = under_way.exclude(pk=besides.pk)
    sums: Allocation = {}
    for allocation in under_way.values_list("allocation", flat=True):
        sums = combine(sums, allocation)
    return sums


def allocate_refund(amount_minor: int, payment: Payment) -> Allocation:
    """From whom a refund is taken when nobody said: first from what nobody claimed, then from what is promised to no
    refund under way, in proportion, and only then from the rest."""
    left = remaining_of(payment)
    free = subtract(reserved_by_refunds(payment), left)
    allocation: Allocation = {}
    for purse in (unapplied_in(free), free, left):
        there = subtract(allocation, purse)
        allocation = combine(
            allocation, allocate_over(min(amount_minor - sum(allocation.values()), sum(there.values())), there)
        )
    return combine(allocation, {RECOVERABLE: amount_minor - sum(allocation.values())})


def _applied(payment: Payment) -> defaultdict[str, int]:
    shares: defaultdict[str, int] = defaultdict(int)
    shares[UNAPPLIED] = payment.received_minor
    postings = Posting.objects.filter(payment=payment, currency=payment.held_currency, kind=Posting.Kind.APPLIED)
    for account, amount in postings.values_list("credit_id", "amount_minor"):
        shares[account] += amount
        shares[UNAPPLIED] -= amount
    return shares


def allocate_over(amount_minor: int, left: Mapping[str, int]) -> Allocation:
    """Take `amount_minor` from the accounts in proportion to what each has left; the rest is recoverable."""
    accounts = sorted(left)
    found = min(amount_minor, sum(left.values()))
    parts = dict(zip(accounts, allocate(found, [left[account] for account in accounts]), strict=True))
    return nonzero(parts | {RECOVERABLE: amount_minor - found})


def capped_to(wanted: Mapping[str, int], left: Mapping[str, int]) -> Allocation:
    """`wanted` legs, cut to what each account has left; what was cut is spread over the others, or recoverable."""
    parts = {account: min(amount, left.get(account, 0)) for account, amount in wanted.items() if account != RECOVERABLE}
    return combine(parts, allocate_over(sum(wanted.values()) - sum(parts.values()), subtract(parts, left)))


def subtract(allocation: Mapping[str, int], left: Mapping[str, int]) -> Allocation:
    """What is left after `legs` were taken; never less than nothing."""
    return nonzero({account: max(0, amount - allocation.get(account, 0)) for account, amount in left.items()})


def combine(allocation: Mapping[str, int], more: Mapping[str, int]) -> Allocation:
    """Both together, account by account."""
    return nonzero({account: allocation.get(account, 0) + more.get(account, 0) for account in {**allocation, **more}})


def nonzero(allocation: Mapping[str, int]) -> Allocation:
    return {account: amount for account, amount in allocation.items() if amount}
