"""Posting refunds: out to the buyer, back from the bank, and again when the amount turns out to be another one.

Whose money a refund takes is fixed when it is posted: what it asked for as far as that remains, then as an external
refund would take it. What exceeds every account is recoverable, until money of the payment comes back.
"""

from collections.abc import Mapping
from datetime import datetime

from django.db import connection

from payments.ledger import allocations, postings
from payments.ledger.chart_of_accounts import BANK, PSP_CLEARING, RECOVERABLE
from payments.ledger.losses import lost_minor, recover_losses
from payments.models import Payment, Posting, Refund
from payments.ports import purchase_of
from payments.review_items import EXTERNAL_REFUND, RECOVER, REFUND_EXCESS
from payments.states import RefundStatus
from veza.core import writes
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review


def change_amount(refund: Refund, *, amount_minor: int, currency: str) -> None:
    """Store that Hyperswitch refunded another amount than was requested, before the refund is posted.

    `amount_minor` is in `currency`. Its accounts give less in proportion; what it takes more is allocated when it is
    posted.
    """
    assert amount_minor > 0, "a refund gives something to the buyer"
    if refund.source != Refund.Source.EXTERNAL:
        requested_minor = refund.amount_minor if refund.requested_minor is None else refund.requested_minor
        is_as_requested = (amount_minor, currency) == (requested_minor, refund.payment.held_currency)
        refund.requested_minor = None if is_as_requested else requested_minor
    refund.amount_minor, refund.currency, refund.converted_minor = amount_minor, currency, None
    _store_scaled(refund, "amount_minor", "currency", "requested_minor", "converted_minor")


def allocate_finally(refund: Refund, *, is_changed: bool = False) -> None:
    """Fix whose money a refund takes. More may have been refunded meanwhile than its allocation allowed for:
    externally, or by a failed refund that succeeded after all.

    The floor that made the sale allocates it again, item by item: always when its amount `is_changed`.
    """
    payment = refund.payment
    remaining = allocations.remaining_in(refund.booked_currency, payment, exclude=refund)
    is_cut = allocations.capped_to(refund.allocation, remaining, refund.booked_currency) != refund.allocation
    if is_changed or payment.refunded_minor or is_cut:
        allocate(refund, purchase_of(payment).reallocate_refund(refund))
    allocate(refund, allocations.capped_to(refund.allocation, remaining, refund.booked_currency))
    within = (
        part <= remaining.get(account, 0) for account, part in refund.allocation.items() if account != RECOVERABLE
    )
    assert all(within), "a refund takes no more from an account than it has: the rest is recoverable"
    # An amount in doubt may belong to the payment: nothing of it is an excess yet.
    excess_minor = refund.allocation.get(RECOVERABLE, 0)
    if excess_minor and (payment.has_received(refund.booked_currency) or not payment.received_minor):
        _open_review_of_refund_excess(refund, excess_minor)


def cover_excess(payment: Payment, currency: str, *, at: datetime) -> None:
    """Take what refunds of a locked payment took beyond it from what is there of `currency` now, oldest refund first.

    Called whenever money came back to a payment: as long as a refund is not covered, none of it is the sellers' again.
    """
    assert connection.in_atomic_block, "an excess is covered in the commit of the money that came back"
    excessive = payment.refunds.filter(status=RefundStatus.SUCCEEDED, allocation__has_key=RECOVERABLE)
    for refund in excessive.order_by("pk"):
        refund.payment = payment
        available_minor = sum(allocations.remaining_in(currency, payment).values())
        if available_minor and refund.booked_currency == currency:
            _cover_excess(refund, min(available_minor, refund.allocation[RECOVERABLE]), at=at)


def _cover_excess(refund: Refund, covered_minor: int, *, at: datetime) -> None:
    recover_losses(refund, up_to_minor=covered_minor, at=at)
    close_review(REFUND_EXCESS, refund, note="Money of the payment came back and covers more of it.")
    post_back(refund, at=at)
    allocate_finally(refund, is_changed=True)
    post_out(refund, at=at)


def allocate(refund: Refund, allocation: Mapping[str, int]) -> None:
    """Store whose money a refund takes; it is not posted with another allocation now."""
    assert sum(allocation.values()) == refund.booked_minor, "the allocation of a refund adds up to its amount"
    assert all(amount > 0 for amount in allocation.values()), "a refund takes from accounts and gives to none"
    if allocation != refund.allocation:
        writes.update(refund, allocation=dict(allocation))


def post_out(refund: Refund, *, at: datetime) -> None:
    """Post that a refund went to the buyer, and count it in its payment."""
    _add_to_refunded(refund, refund.booked_minor)
    funds = _source_of_funds(refund)
    _post(refund, [postings.Line(leg, funds, part, leg) for leg, part in refund.allocation.items()], at=at)


def post_back(refund: Refund, *, at: datetime) -> None:
    """Post the mirror of what is posted: the money is ours again."""
    _add_to_refunded(refund, -refund.booked_minor)
    funds = _source_of_funds(refund)
    _post(refund, [postings.Line(funds, leg, part, leg) for leg, part in refund.allocation.items()], at=at)


def _source_of_funds(refund: Refund) -> str:
    """The account that the buyer's money comes from, and comes back to."""
    return BANK if refund.source == Refund.Source.BANK else PSP_CLEARING


def post_other_amount(refund: Refund, *, amount_minor: int, currency: str, at: datetime) -> None:
    """Post a succeeded refund again, with another amount: the mirror of what is posted, then the new postings."""
    currency_before = refund.booked_currency
    _begin_again(refund, at=at)
    change_amount(refund, amount_minor=amount_minor, currency=currency)
    allocate_finally(refund, is_changed=True)
    post_out(refund, at=at)
    cover_excess(refund.payment, currency_before, at=at)


def post_converted(refund: Refund, *, converted_minor: int, at: datetime) -> None:
    """Post a succeeded refund of another currency again, with its amount in the one that the payment holds."""
    assert converted_minor > 0, "a refund gives something to the buyer"
    assert refund.currency != refund.payment.held_currency, "an amount in the payment's currency is known"
    _begin_again(refund, at=at)
    refund.converted_minor = converted_minor
    _store_scaled(refund, "converted_minor")
    allocate_finally(refund, is_changed=True)
    post_out(refund, at=at)
    cover_excess(refund.payment, refund.booked_currency, at=at)


def _begin_again(refund: Refund, *, at: datetime) -> None:
    """Undo the postings of a succeeded refund, with a loss about it: nothing of what was posted stands."""
    assert connection.in_atomic_block, "a refund is posted again in the commit that undoes its postings"
    assert refund.status == RefundStatus.SUCCEEDED, "only a refund that is posted is posted again"
    recover_losses(refund, up_to_minor=lost_minor(refund), at=at)
    for kind in (REFUND_EXCESS, EXTERNAL_REFUND):
        close_review(kind, refund, note="The refund is booked with another amount now.")
    post_back(refund, at=at)


def _store_scaled(refund: Refund, *fields: str) -> None:
    """Store `fields`, and the allocation of the amount that they changed."""
    own = {account: amount for account, amount in refund.allocation.items() if account != RECOVERABLE}
    available = own if _is_in_held_currency(refund) else {}
    refund.allocation = allocations.allocate_over(refund.booked_minor, available, refund.booked_currency)
    writes.update(refund, allocation=refund.allocation, **{name: getattr(refund, name) for name in fields})


def _is_in_held_currency(refund: Refund) -> bool:
    return refund.booked_currency == refund.payment.held_currency


def _add_to_refunded(refund: Refund, change_minor: int) -> None:
    """Change the payment's sum of refunds; one in another currency than was received does not count in it."""
    payment = refund.payment
    if _is_in_held_currency(refund):
        refunded_minor = payment.refunded_minor + change_minor
        assert refunded_minor >= 0, "no refund is returned that was not booked"
        writes.update(payment, refunded_minor=refunded_minor)


def _post(refund: Refund, lines: list[postings.Line], *, at: datetime) -> None:
    assert sum(line.amount_minor for line in lines) == refund.booked_minor, "a refund is posted whole"
    writes.update(refund, posting_batches=refund.posting_batches + 1)
    postings.post(
        postings.Reference(Posting.Kind.REFUND, refund.pk, refund.posting_batches),
        lines,
        payment=refund.payment,
        currency=refund.booked_currency,
        correlation_id=refund.correlation_id,
        at=at,
    )


def _open_review_of_refund_excess(refund: Refund, excess_minor: int) -> None:
    """More was refunded than remained: what of the excess is neither covered nor written off is ours to recover."""
    assert excess_minor > 0, "an excess is what was refunded beyond the payment"
    missing_minor = excess_minor - lost_minor(refund)
    if not missing_minor:
        return
    open_review(
        REFUND_EXCESS,
        refund,
        why=f"{format_amount(missing_minor, refund.booked_currency)} more was refunded than remained of the payment.",
        what_to_do=RECOVER,
        amount_minor=missing_minor,
        currency=refund.booked_currency,
    )
