"""Posting what disputes take from a payment, as the difference between what is posted and what should be.

A dispute's funds are nowhere (it takes nothing), in suspense (undecided), or at the bank (lost). They move along that
line step by step. Whose money they are follows from everything else that is known of the payment, so each new update of
a refund or a dispute computes all of them again and posts only the difference.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from payments.ledger import allocations, postings
from payments.ledger.allocations import Allocation
from payments.ledger.chart_of_accounts import DISPUTE_SUSPENSE, PSP_CLEARING, RECOVERABLE
from payments.ledger.losses import lost_minor, recover_losses
from payments.models import Dispute, Payment, Posting
from payments.review_items import DISPUTE_EXCESS, RECOVER, update_review_of_doubt
from payments.states import DISPUTE_LOST, DISPUTE_UNDER_WAY
from veza.core import writes
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review

FundsLocation = Dispute.FundsLocation


def book_disputes(payment: Payment, *, at: datetime) -> None:
    """Bring the postings of all disputes of a locked payment to where they should be."""
    assert connection.in_atomic_block, "the payment is locked while its disputes are booked"
    remaining: dict[str, Allocation] = {}
    disputes = sorted(Dispute.objects.filter(payment=payment), key=lambda dispute: dispute.hyperswitch_dispute_id)
    for dispute in disputes:
        dispute.payment = payment
        location = _location_for(dispute)
        currency = dispute.booked_currency if location else ""
        allocation: Allocation = {}
        if location:
            # Funds in a currency that the payment never received belong to no share: all of them are recoverable.
            if currency not in remaining:
                remaining[currency] = allocations.remaining_in(currency, payment)
            available = remaining[currency]
            allocation = allocations.allocate_over(dispute.booked_minor, available, currency)
            remaining[currency] = allocations.subtract(allocation, available)
        posted = (dispute.funds_location, dispute.allocation, dispute.allocation_currency)
        if posted != (location, allocation, currency):
            if dispute.allocation_currency not in ("", currency):
                recover_losses(dispute, up_to_minor=lost_minor(dispute), at=at)  # It is posted in its currency no more.
            excess_before_minor = dispute.allocation.get(RECOVERABLE, 0)
            _move_funds(dispute, location, allocation, currency=currency, payment=payment, at=at)
            _follow_excess(dispute, excess_before_minor, at=at)
    same_currency = (one for one in disputes if one.allocation_currency == payment.held_currency)
    disputed_minor = sum(sum(one.allocation.values()) for one in same_currency)
    if disputed_minor != payment.disputed_minor:
        writes.update(payment, disputed_minor=disputed_minor)


def _follow_excess(dispute: Dispute, before_minor: int, *, at: datetime) -> None:
    """What the bank takes beyond the payment was `before_minor`: what has come back of it is no loss any more."""
    excess_minor = dispute.allocation.get(RECOVERABLE, 0)
    if excess_minor < before_minor:
        recover_losses(dispute, up_to_minor=before_minor - excess_minor, at=at)
    update_reviews_of_amount(dispute)


def update_reviews_of_amount(dispute: Dispute) -> None:
    """Open review items while the amount of a dispute is in doubt, or exceeds the payment; close them afterwards.

    While an amount is in doubt nothing of it is written off: it may belong to the payment.
    """
    is_in_doubt = Dispute.objects.in_doubt().filter(pk=dispute.pk).exists()
    update_review_of_doubt(dispute, is_in_doubt=is_in_doubt)
    excess_minor = dispute.allocation.get(RECOVERABLE, 0)
    written_off_minor = lost_minor(dispute) if excess_minor else 0
    assert written_off_minor <= excess_minor, "no more is written off than the bank took beyond the payment"
    _update_review_of_dispute_excess(dispute, 0 if is_in_doubt else excess_minor - written_off_minor)


def _location_for(dispute: Dispute) -> FundsLocation:
    """Where the funds belong in the dispute's present stage and status."""
    if dispute.stage == "pre_dispute":
        return FundsLocation.NOWHERE  # An inquiry of the bank, not yet a claim.
    if dispute.status in DISPUTE_LOST:
        return FundsLocation.BANK
    return FundsLocation.SUSPENSE if dispute.status in DISPUTE_UNDER_WAY else FundsLocation.NOWHERE


def _move_funds(
    dispute: Dispute, location: FundsLocation, allocation: Allocation, *, currency: str, payment: Payment, at: datetime
) -> None:
    assert dispute.payment_id == payment.pk, "a dispute takes from its own payment"
    assert sum(allocation.values()) == (dispute.booked_minor if location else 0), "an allocation adds up to the dispute"
    is_other_amount = (sum(dispute.allocation.values()), dispute.allocation_currency) != (
        sum(allocation.values()),
        currency,
    )
    if dispute.funds_location and location and is_other_amount:
        # Undo what is posted, then post the new amount, which may be in another currency.
        lines = _lines(dispute.funds_location, FundsLocation.NOWHERE, dispute.allocation, {})
        _post(dispute, lines, FundsLocation.NOWHERE, {}, currency="", payment=payment, at=at)
    lines = _lines(dispute.funds_location, location, dispute.allocation, allocation)
    _post(dispute, lines, location, allocation, currency=currency, payment=payment, at=at)


def _post(
    dispute: Dispute,
    lines: list[postings.Line],
    location: FundsLocation,
    allocation: Allocation,
    *,
    currency: str,
    payment: Payment,
    at: datetime,
) -> None:
    """Post the lines in the currency of what was posted before, or else in `currency`, and store what is posted now."""
    posting_currency = dispute.allocation_currency or currency or dispute.currency
    funds: dict[str, Any] = {"funds_location": location, "allocation": allocation, "allocation_currency": currency}
    writes.update(dispute, posting_batches=dispute.posting_batches + 1, **funds)
    postings.post(
        postings.Reference(Posting.Kind.DISPUTE, dispute.pk, dispute.posting_batches),
        lines,
        payment=payment,
        currency=posting_currency,
        correlation_id=dispute.correlation_id,
        at=at,
    )


def _lines(start: str, end: str, old: Mapping[str, int], new: Mapping[str, int]) -> list[postings.Line]:
    """The lines from (start, old allocation) to (end, new allocation), through suspense, as the bank's money moves."""
    amount = sum((new or old).values())
    lines = []
    if start == FundsLocation.BANK != end:
        lines.append(postings.Line(PSP_CLEARING, DISPUTE_SUSPENSE, amount, "back"))
    if start == FundsLocation.NOWHERE:
        lines += [postings.Line(account, DISPUTE_SUSPENSE, part, account) for account, part in new.items()]
    elif end == FundsLocation.NOWHERE:
        lines += [postings.Line(DISPUTE_SUSPENSE, account, part, account) for account, part in old.items()]
    else:
        lines += _differences(old, new)
    if end == FundsLocation.BANK != start:
        lines.append(postings.Line(DISPUTE_SUSPENSE, PSP_CLEARING, amount, "out"))
    return lines


def _differences(old: Mapping[str, int], new: Mapping[str, int]) -> list[postings.Line]:
    """Move what was taken from one account too much from those of which too little was taken."""
    assert sum(old.values()) == sum(new.values()), "another amount is undone and posted again, never shifted"
    changes = {account: new.get(account, 0) - old.get(account, 0) for account in sorted({*old, *new})}
    debtors = {account: amount for account, amount in changes.items() if amount > 0}
    lines = []
    for account, surplus in ((account, -amount) for account, amount in changes.items() if amount < 0):
        while surplus:
            debtor = next(iter(debtors))
            part = min(surplus, debtors[debtor])
            lines.append(postings.Line(debtor, account, part, f"{account}>{debtor}"))
            surplus -= part
            debtors = allocations.subtract({debtor: part}, debtors)
    return lines


def _update_review_of_dispute_excess(dispute: Dispute, excess_minor: int) -> None:
    """Open a review item for what the bank takes beyond the payment; close an earlier one first."""
    assert excess_minor >= 0, "an excess is what is disputed beyond the payment"
    excess, amount = (format_amount(minor, dispute.booked_currency) for minor in (excess_minor, dispute.booked_minor))
    close_review(DISPUTE_EXCESS, dispute, note=f"Not covered now: {excess}.")
    if not excess_minor:
        return
    open_review(
        DISPUTE_EXCESS,
        dispute,
        why=f"The bank takes {amount}, of which {excess} is not covered by what remains of the payment.",
        what_to_do=RECOVER,
        amount_minor=excess_minor,
        currency=dispute.booked_currency,
    )
