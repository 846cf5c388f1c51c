"""The proof of our losses: no more is written off than was lost, and each recovery is counted."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from payments.ledger.chart_of_accounts import DISPUTE_LOSS, RECOVERABLE
from payments.ledger.dispute_proof import location_for
from payments.ledger.proof import Entry, Fault, faults_between, is_paid_out
from payments.models import Dispute, Posting, Refund, WriteOff
from veza.core.money import format_amount

Kind = Posting.Kind


def excessive_losses(rows: Iterable[Refund | Dispute], write_offs: Sequence[WriteOff]) -> list[Fault]:
    """Of a refund or dispute, no more is our loss than it takes beyond its payment now, in the currency in which it is
    booked; and what was recoverable is lost for a refund or dispute of this payment.
    """
    losses_minor: dict[tuple[UUID, str], int] = defaultdict(int)
    for write_off in write_offs:
        losses_minor[write_off.subject_id, write_off.currency] += write_off.lost_minor
    own = {row.pk: row for row in rows}
    faults = [
        Fault(
            f"write-off {one.pk} of {format_amount(one.lost_minor, one.currency)} is for nothing of this payment",
            one.amount_minor,
            one.currency,
        )
        for one in write_offs
        if one.account_id == RECOVERABLE and one.subject_id not in own
    ]
    for (subject_id, currency), lost_minor in losses_minor.items():
        if (row := own.get(subject_id)) is None:
            continue
        is_out = location_for(row) if isinstance(row, Dispute) else is_paid_out(row)
        excess_minor = row.allocation.get(RECOVERABLE, 0) if is_out and row.booked_currency == currency else 0
        if lost_minor > excess_minor:
            loss, excess = (format_amount(amount, currency) for amount in (lost_minor, excess_minor))
            text = f"{row._meta.verbose_name} {row.pk}: {loss} of it is written off, and {excess} of it is recoverable"
            faults.append(Fault(text, lost_minor - excess_minor, currency))
    return faults


def explain_write_off(write_off: WriteOff, entries: Sequence[Entry]) -> list[Fault]:
    """The loss once, and its recoveries in numbered batches."""
    loss = Entry(
        Kind.WRITE_OFF,
        write_off.pk,
        0,
        DISPUTE_LOSS,
        write_off.account_id,
        write_off.amount_minor,
        write_off.currency,
    )
    faults = faults_between([loss], [entry for entry in entries if entry.number == 0])
    recoveries = [entry for entry in entries if entry.number > 0]
    for entry in recoveries:
        sides = (entry.debit, entry.credit, entry.currency)
        if sides != (write_off.account_id, DISPUTE_LOSS, write_off.currency) or entry.number > write_off.recoveries:
            faults.append(entry.fault("posted and not true"))
    recovered_minor = sum(entry.amount_minor for entry in recoveries)
    if recovered_minor != write_off.recovered_minor:
        text = (
            f"write-off {write_off.pk}: {format_amount(recovered_minor, write_off.currency)} is posted as recovered "
            f"and its row says {format_amount(write_off.recovered_minor, write_off.currency)}"
        )
        faults.append(Fault(text, abs(recovered_minor - write_off.recovered_minor), write_off.currency))
    return faults
