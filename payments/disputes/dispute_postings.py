"""What disputes take out of a payment, booked as the difference between what is booked and what should be.

A dispute's money is nowhere (it takes nothing), in suspense (it is argued about), or at the bank (it is lost). It
moves along that line step by step. From whom it is taken follows from everything else that is known of the payment,
so each new fact about a refund or a dispute computes all of them anew and posts only what differs.
"""

from collections.abc import Mapping
from datetime import datetime

from payments.ledger import allocations, postings
from payments.ledger.allocations import Allocation
from payments.ledger.chart_of_accounts import DISPUTE_SUSPENSE, PSP_CLEARING, RECOVERABLE
from payments.models import Dispute, Payment, Posting
from payments.states import DISPUTE_LOST, DISPUTE_UNDER_WAY
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review

FundsLocation = Dispute.FundsLocation
EXCEEDS = "dispute_exceeds_payment"


def book_disputes(payment: Payment, *, at: datetime) -> None:
    """Bring the postings of all disputes of a locked payment to where the facts say they should be."""
    left = allocations.remaining_of(payment)
    disputes = list(Dispute.objects.locked().filter(payment=payment))
    for dispute in sorted(disputes, key=lambda dispute: dispute.hyperswitch_dispute_id):
        place = _place_of(dispute)
        # Money in another currency than ours cannot be taken from anybody's share: it is all to be recovered.
        found = left if dispute.currency == payment.held_currency else {}
        allocation = allocations.allocate_over(dispute.amount_minor, found) if place else {}
        if found:
            left = allocations.subtract(allocation, left)
        if (dispute.funds_location, dispute.allocation) != (place, allocation):
            _bring(dispute, place, allocation, payment=payment, at=at)
            _tell_of_excess(dispute)
    taken = sum(sum(one.allocation.values()) for one in disputes if one.currency == payment.held_currency)
    if taken != payment.disputed_minor:
        Payment.objects.filter(pk=payment.pk).update(disputed_minor=taken)
        payment.disputed_minor = taken


def _place_of(dispute: Dispute) -> FundsLocation:
    if dispute.stage == "pre_dispute":
        return FundsLocation.NOWHERE  # A question, not yet a claim.
    if dispute.status in DISPUTE_LOST:
        return FundsLocation.BANK
    return FundsLocation.SUSPENSE if dispute.status in DISPUTE_UNDER_WAY else FundsLocation.NOWHERE


def _bring(dispute: Dispute, place: FundsLocation, allocation: Allocation, *, payment: Payment, at: datetime) -> None:
    if dispute.allocation and allocation and sum(dispute.allocation.values()) != sum(allocation.values()):
        _bring(dispute, FundsLocation.NOWHERE, {}, payment=payment, at=at)  # Another amount is another booking.
    lines = _steps(dispute.funds_location, place, dispute.allocation, allocation)
    dispute.posting_batches += 1
    dispute.funds_location, dispute.allocation = place, allocation
    dispute.save(update_fields=["posting_batches", "funds_location", "allocation"])
    postings.post(
        postings.Reference(Posting.Kind.DISPUTE, dispute.pk, dispute.posting_batches),
        lines,
        payment=payment,
        currency=dispute.currency,
        correlation_id=dispute.correlation_id,
        at=at,
    )


def _steps(start: str, end: str, old: Mapping[str, int], new: Mapping[str, int]) -> list[postings.Line]:
    """The lines from (start, old legs) to (end, new legs), through suspense, as the bank's own money goes."""
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
    """Give back to whom too much was taken from, out of those too little was."""
    more = {account: new.get(account, 0) - old.get(account, 0) for account in sorted({*old, *new})}
    owing = {account: amount for account, amount in more.items() if amount > 0}
    lines = []
    for account, surplus in ((account, -amount) for account, amount in more.items() if amount < 0):
        while surplus:
            debtor = next(iter(owing))
            part = min(surplus, owing[debtor])
            lines.append(postings.Line(debtor, account, part, f"{account}>{debtor}"))
            surplus -= part
            owing = allocations.subtract({debtor: part}, owing)
    return lines


def _tell_of_excess(dispute: Dispute) -> None:
    excess = dispute.allocation.get(RECOVERABLE, 0)
    close_review(EXCEEDS, dispute, note=f"Not covered now: {format_amount(excess, dispute.currency)}.")
    if not excess:
        return
    open_review(
        EXCEEDS,
        dispute,
        why=f"The bank takes {format_amount(dispute.amount_minor, dispute.currency)}, of which "
        f"{format_amount(excess, dispute.currency)} is not covered by what is left of the payment.",
        what_to_do="Recover it from the buyer or the provider, or write it off.",
        amount_minor=excess,
        currency=dispute.currency,
    )
