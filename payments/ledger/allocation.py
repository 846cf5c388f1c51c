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

Legs = dict[str, int]
# Whoever posts under these causes claims received money for somebody (payments.ledger.post_claimed).
_CLAIMS = ("order:", "invoice:")


def left_of(payment: Payment) -> Legs:
    """What each account has of the payment after its succeeded refunds; minor units of the currency we hold."""
    left = _claimed(payment)
    given_back = Refund.objects.filter(
        payment=payment, status=RefundStatus.SUCCEEDED, currency=payment.held_currency
    ).values_list("legs", flat=True)
    for legs in given_back:
        for account, amount in legs.items():
            if account != RECOVERABLE:
                left[account] -= amount
    return {account: amount for account, amount in left.items() if amount > 0}


def unclaimed(payment: Payment) -> Legs:
    """What nobody has claimed of the payment and nobody was given back."""
    return unclaimed_in(left_of(payment))


def unclaimed_in(legs: Mapping[str, int]) -> Legs:
    """The part of some legs that nobody has claimed."""
    return {account: amount for account, amount in legs.items() if account == UNAPPLIED}


def is_claimed(payment: Payment) -> bool:
    """Whether what the payment pays for was fulfilled with it."""
    claimed = Posting.objects.filter(payment=payment, debit=UNAPPLIED).values_list("cause", flat=True)
    return any(cause.startswith(_CLAIMS) for cause in claimed)


def promised(payment: Payment, *, besides: Refund | None = None) -> Legs:
    """What refunds under way are going to take of each account; `besides` is not one of them."""
    under_way = payment.refunds.filter(status=RefundStatus.PENDING, currency=payment.held_currency)
    if besides is not None:
        under_way = under_way.exclude(pk=besides.pk)
    sums: Legs = {}
    for legs in under_way.values_list("legs", flat=True):
        sums = plus(sums, legs)
    return sums


def divide(amount_minor: int, payment: Payment) -> Legs:
    """From whom a refund is taken when nobody said: first from what nobody claimed, then from what is promised to no
    refund under way, in proportion, and only then from the rest."""
    left = left_of(payment)
    free = take(promised(payment), left)
    legs: Legs = {}
    for purse in (unclaimed_in(free), free, left):
        there = take(legs, purse)
        legs = plus(legs, spread(min(amount_minor - sum(legs.values()), sum(there.values())), there))
    return plus(legs, {RECOVERABLE: amount_minor - sum(legs.values())})


def _claimed(payment: Payment) -> defaultdict[str, int]:
    held: defaultdict[str, int] = defaultdict(int)
    held[UNAPPLIED] = payment.received_minor
    postings = Posting.objects.filter(payment=payment, currency=payment.held_currency, debit=UNAPPLIED)
    for cause, account, amount in postings.values_list("cause", "credit_id", "amount_minor"):
        if cause.startswith(_CLAIMS):
            held[account] += amount
            held[UNAPPLIED] -= amount
    return held


def spread(amount_minor: int, left: Mapping[str, int]) -> Legs:
    """Take `amount_minor` from the accounts in proportion to what each has left; the rest is recoverable."""
    accounts = sorted(left)
    found = min(amount_minor, sum(left.values()))
    parts = dict(zip(accounts, allocate(found, [left[account] for account in accounts]), strict=True))
    return without_nothing(parts | {RECOVERABLE: amount_minor - found})


def within(wanted: Mapping[str, int], left: Mapping[str, int]) -> Legs:
    """`wanted` legs, cut to what each account has left; what was cut is spread over the others, or recoverable."""
    parts = {account: min(amount, left.get(account, 0)) for account, amount in wanted.items() if account != RECOVERABLE}
    return plus(parts, spread(sum(wanted.values()) - sum(parts.values()), take(parts, left)))


def take(legs: Mapping[str, int], left: Mapping[str, int]) -> Legs:
    """What is left after `legs` were taken; never less than nothing."""
    return without_nothing({account: max(0, amount - legs.get(account, 0)) for account, amount in left.items()})


def plus(legs: Mapping[str, int], more: Mapping[str, int]) -> Legs:
    """Both together, account by account."""
    return without_nothing({account: legs.get(account, 0) + more.get(account, 0) for account in {**legs, **more}})


def without_nothing(legs: Mapping[str, int]) -> Legs:
    return {account: amount for account, amount in legs.items() if amount}
