"""Whose money a payment is now, account by account: what was applied to an order, less refunds.

Always computed from rows, never stored, so that the order in which updates arrive does not matter: what was applied to
the order or invoice, then the succeeded refunds with the allocation they were opened with, and then the disputes in
the order of Hyperswitch's ids, each spread over what remains. What exceeds the remaining amounts is `recoverable`.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from payments.ledger.chart_of_accounts import RECOVERABLE, UNAPPLIED
from payments.models import Dispute, ForeignReceipt, Payment, Posting, Refund
from payments.states import RefundStatus
from veza.core import reads
from veza.core.money import allocate

Allocation = dict[str, int]
# What a payment was applied to, and what its refunds took.
_APPLIED_OF = reads.Read(
    lambda payment_id: Posting.objects.filter(payment=payment_id, kind=Posting.Kind.APPLIED).values_list(
        "currency", "credit_id", "amount_minor"
    ),
    UUID,
    is_kept=True,
)
_SUCCEEDED_REFUNDS_OF = reads.Read(
    lambda payment_id: Refund.objects.filter(payment=payment_id, status=RefundStatus.SUCCEEDED).values_list(
        "pk", "currency", "converted_minor", "allocation"
    ),
    UUID,
    is_kept=True,
)
READS_OF_REMAINING = (_APPLIED_OF, _SUCCEEDED_REFUNDS_OF)


class Funds(NamedTuple):
    """Money of some accounts, in minor units of one currency."""

    allocation: Allocation
    currency: str

    @property
    def total_minor(self) -> int:
        return sum(self.allocation.values())


def remaining_of(payment: Payment, *, exclude: Refund | None = None) -> Allocation:
    """What each account has of the payment after its succeeded refunds, `exclude` not counted; minor units of the
    received currency.
    """
    remaining = _shares_of(payment)
    for refund_id, currency, converted_minor, allocation in _SUCCEEDED_REFUNDS_OF(payment.pk):
        is_booked_in_it = currency == payment.held_currency or converted_minor is not None
        if not is_booked_in_it or (exclude is not None and refund_id == exclude.pk):
            continue
        for account, amount in allocation.items():
            if account != RECOVERABLE:
                remaining[account] -= amount
    return {account: amount for account, amount in remaining.items() if amount > 0}


def remaining_in(currency: str, payment: Payment, *, exclude: Refund | None = None) -> Allocation:
    """What each account has of what was received in `currency`; nothing in one that was never received.

    A foreign receipt is applied to nothing: all that is left of it is unapplied.
    """
    if currency == payment.held_currency:
        return remaining_of(payment, exclude=exclude)
    receipt = ForeignReceipt.objects.filter(payment=payment, currency=currency).first()
    if receipt is None:
        return {}
    refunds = payment.refunds.filter(status=RefundStatus.SUCCEEDED, currency=currency, converted_minor=None)
    if exclude is not None:
        refunds = refunds.exclude(pk=exclude.pk)
    taken_minor = sum(allocation.get(UNAPPLIED, 0) for allocation in refunds.values_list("allocation", flat=True))
    assert taken_minor <= receipt.received_minor, (
        "no more is refunded of a receipt than it has: the rest is recoverable"
    )
    return nonzero({UNAPPLIED: receipt.received_minor - taken_minor})


def foreign_funds(payment: Payment) -> Funds:
    """What is left of a foreign receipt; nothing if the payment has none."""
    if payment.refunded_minor:  # It receives another currency only after it has lost the first.
        for currency in payment.foreign_receipts.values_list("currency", flat=True):
            if remaining := remaining_in(currency, payment):
                return Funds(remaining, currency)
    return Funds({}, payment.held_currency)


def is_emptied(payment: Payment) -> bool:
    """Whether nothing is left of all that was received, in any currency: it was refunded, voided, or lost to a dispute.

    A dispute under way has not emptied it: the bank may give the money back.
    """
    kept_minor = payment.received_minor - payment.refunded_minor
    if kept_minor > 0 and sum(_lost_of(payment, payment.held_currency).values()) < kept_minor:
        return False
    foreign = foreign_funds(payment)
    return not foreign.allocation or not subtract(_lost_of(payment, foreign.currency), foreign.allocation)


def _lost_of(payment: Payment, currency: str) -> Allocation:
    return disputed_of(payment, currency, Dispute.FundsLocation.BANK)


def disputed_of(payment: Payment, currency: str, *locations: str) -> Allocation:
    """What disputes of a payment hold of each account's part of what was received in `currency`.

    Only those whose money is in one of `locations`, if any is named.
    """
    disputes = payment.disputes.filter(allocation_currency=currency)
    if locations:
        disputes = disputes.filter(funds_location__in=locations)
    sums: Allocation = {}
    for allocation in disputes.values_list("allocation", flat=True):
        sums = combine(sums, {account: amount for account, amount in allocation.items() if account != RECOVERABLE})
    return sums


def unapplied_funds(payment: Payment, *, exclude: Refund | None = None) -> Allocation:
    """The part of the payment that was received, applied to nothing, and not refunded, by `exclude` not counted."""
    return unapplied_in(remaining_of(payment, exclude=exclude))


def unapplied_in(allocation: Mapping[str, int]) -> Allocation:
    """The part of an allocation that was applied to nothing."""
    return {account: amount for account, amount in allocation.items() if account == UNAPPLIED}


def is_applied(payment: Payment) -> bool:
    """Whether the order or invoice was fulfilled with the payment."""
    return Posting.objects.filter(payment=payment, kind=Posting.Kind.APPLIED).exists()


def reserved_by_refunds(payment: Payment, *, exclude: Refund | None = None) -> Allocation:
    """What pending refunds are going to take from each account, `exclude` not counted."""
    pending = payment.refunds.filter(status=RefundStatus.PENDING).booked_in(payment.held_currency)
    if exclude is not None:
        pending = pending.exclude(pk=exclude.pk)
    sums: Allocation = {}
    for allocation in pending.values_list("allocation", flat=True):
        sums = combine(sums, allocation)
    return sums


def allocate_refund(amount_minor: int, payment: Payment) -> Allocation:
    """Allocate a refund that no floor above allocates: first to unapplied funds, then in proportion to what
    no pending refund reserves, and only then to the rest.
    """
    assert amount_minor >= 0, "a refund never takes a negative amount"
    remaining = remaining_of(payment)
    free = subtract(reserved_by_refunds(payment), remaining)
    allocation: Allocation = {}
    for source in (unapplied_in(free), free, remaining):
        available = subtract(allocation, source)
        part_minor = min(amount_minor - sum(allocation.values()), sum(available.values()))
        allocation = combine(allocation, allocate_over(part_minor, available, payment.held_currency))
    allocation = combine(allocation, {RECOVERABLE: amount_minor - sum(allocation.values())})
    assert sum(allocation.values()) == amount_minor, "the allocation of a refund adds up to its amount"
    return allocation


def _shares_of(payment: Payment) -> defaultdict[str, int]:
    """What was received, split into what was applied to each account and what was not."""
    shares: defaultdict[str, int] = defaultdict(int)
    shares[UNAPPLIED] = payment.received_minor
    for currency, account, amount in _APPLIED_OF(payment.pk):
        if currency == payment.held_currency:
            shares[account] += amount
            shares[UNAPPLIED] -= amount
    return shares


def allocate_over(amount_minor: int, remaining: Mapping[str, int], currency: str) -> Allocation:
    """Take `amount_minor` of `currency` from the accounts in proportion to what each has; the excess is recoverable."""
    assert amount_minor >= 0, "an allocation takes from accounts and gives to none"
    assert all(amount >= 0 for amount in remaining.values()), "no account has less than nothing to take from"
    accounts = sorted(remaining)
    covered_minor = min(amount_minor, sum(remaining.values()))
    shares = allocate(covered_minor, [remaining[account] for account in accounts], currency)
    parts = dict(zip(accounts, shares, strict=True))
    assert all(parts[account] <= remaining[account] for account in accounts), "no account gives more than it has"
    return nonzero(parts | {RECOVERABLE: amount_minor - covered_minor})


def capped_to(allocation: Mapping[str, int], remaining: Mapping[str, int], currency: str) -> Allocation:
    """The allocation, limited to what each account has; the excess is spread over the others, or recoverable."""
    parts = {
        account: min(amount, remaining.get(account, 0))
        for account, amount in allocation.items()
        if account != RECOVERABLE
    }
    excess_minor = sum(allocation.values()) - sum(parts.values())
    result = combine(parts, allocate_over(excess_minor, subtract(parts, remaining), currency))
    assert sum(result.values()) == sum(allocation.values()), "limiting an allocation keeps its sum"
    return result


def subtract(allocation: Mapping[str, int], remaining: Mapping[str, int]) -> Allocation:
    """What remains after `allocation` was taken; never less than nothing."""
    assert all(amount >= 0 for amount in allocation.values()), "an allocation takes from accounts and gives to none"
    return nonzero({account: max(0, amount - allocation.get(account, 0)) for account, amount in remaining.items()})


def combine(allocation: Mapping[str, int], other: Mapping[str, int]) -> Allocation:
    """Both together, account by account."""
    return nonzero({account: allocation.get(account, 0) + other.get(account, 0) for account in {**allocation, **other}})


def nonzero(allocation: Mapping[str, int]) -> Allocation:
    """The allocation without the accounts that have no part in it."""
    return {account: amount for account, amount in allocation.items() if amount}
