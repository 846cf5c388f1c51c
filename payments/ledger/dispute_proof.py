"""The proof of disputes: over all its batches each takes its allocation, and holds it where the bank decided."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from payments.ledger.chart_of_accounts import DISPUTE_SUSPENSE, PSP_CLEARING
from payments.ledger.conversion_proof import explain_conversion
from payments.ledger.proof import Entry, Fault
from payments.models import Dispute
from payments.states import DISPUTE_LOST, DISPUTE_UNDER_WAY
from veza.core.money import format_amount


def location_for(dispute: Dispute) -> Dispute.FundsLocation:
    """Where a dispute's money must be, by the bank's decision."""
    if dispute.stage == "pre_dispute":
        return Dispute.FundsLocation.NOWHERE
    if dispute.status in DISPUTE_LOST:
        return Dispute.FundsLocation.BANK
    return Dispute.FundsLocation.SUSPENSE if dispute.status in DISPUTE_UNDER_WAY else Dispute.FundsLocation.NOWHERE


def explain_dispute(dispute: Dispute, entries: Sequence[Entry], received: Mapping[str, int]) -> list[Fault]:
    """Over all its batches a dispute takes its allocation, and holds it where the bank's decision says."""
    location = location_for(dispute)
    expected: dict[tuple[str, str], int] = defaultdict(int)
    if location != Dispute.FundsLocation.NOWHERE:
        for account, amount in dispute.allocation.items():
            expected[account, dispute.booked_currency] -= amount
        holder = DISPUTE_SUSPENSE if location == Dispute.FundsLocation.SUSPENSE else PSP_CLEARING
        expected[holder, dispute.booked_currency] += dispute.booked_minor
    actual: dict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        actual[entry.debit, entry.currency] -= entry.amount_minor
        actual[entry.credit, entry.currency] += entry.amount_minor
    faults = explain_conversion(dispute, entries, received)
    allocation_currency = dispute.booked_currency if dispute.funds_location else ""
    if dispute.allocation_currency != allocation_currency:
        text = (
            f"dispute {dispute.pk}: its row says that it is posted in {dispute.allocation_currency or 'no currency'}, "
            f"and it should be in {allocation_currency or 'none'}"
        )
        faults.append(Fault(text, dispute.booked_minor, dispute.booked_currency))
    return faults + [
        Fault(
            f"dispute {dispute.pk} is {dispute.status}: it should have moved {format_amount(expected[key], key[1])} "
            f"to {key[0]} and has moved {format_amount(actual[key], key[1])}",
            abs(expected[key] - actual[key]),
            key[1],
        )
        for key in sorted({*expected, *actual})
        if expected[key] != actual[key]
    ]
