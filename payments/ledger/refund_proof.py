"""The proof of refunds: what each must have posted, and where one contradicts itself."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from payments.ledger.chart_of_accounts import BANK, PSP_CLEARING
from payments.ledger.conversion_proof import explain_conversion
from payments.ledger.proof import Books, Entry, Fault, is_paid_out
from payments.models import Posting, Refund
from payments.states import RefundStatus
from veza.core.money import format_amount

Kind = Posting.Kind


def explain_refunds(refunds: Iterable[Refund], books: Books, received: Mapping[str, int]) -> list[Fault]:
    """What is wrong with the refunds of a payment that received these amounts, by currency."""
    faults: list[Fault] = []
    voided_minor: dict[str, int] = defaultdict(int)
    for refund in refunds:
        faults += _explain_refund(refund, books.take(Kind.REFUND, refund.pk), received)
        if refund.source == Refund.Source.VOID:
            faults += _contradictions_of_void(refund, received)
            voided_minor[refund.currency] += refund.amount_minor if is_paid_out(refund) else 0
        elif refund.source == Refund.Source.BANK:
            faults += _contradictions_of_bank_refund(refund)
        elif is_paid_out(refund) and not refund.hyperswitch_refund_id:
            amount = format_amount(refund.amount_minor, refund.currency)
            text = f"refund {refund.pk} of {amount} has no id at Hyperswitch: it is a void, or was never made"
            faults.append(Fault(text, refund.amount_minor, refund.currency))
    for currency, amount_minor in voided_minor.items():
        excess_minor = amount_minor - received.get(currency, 0)
        if excess_minor > 0:
            text = f"{format_amount(excess_minor, currency)} more was voided than was received"
            faults.append(Fault(text, excess_minor, currency))
    return faults


def _explain_refund(refund: Refund, entries: Sequence[Entry], received: Mapping[str, int]) -> list[Fault]:
    """Batches take turns: out to the buyer, back from the bank, out again; the last stands where the refund does.

    A refund in another currency went out in its own, and again in its payment's once that amount was known, or once
    Hyperswitch had corrected it: what went out in a currency comes back in it.
    """
    faults: list[Fault] = []
    out: list[tuple[str, int, str]] = []
    source_of_funds = BANK if refund.source == Refund.Source.BANK else PSP_CLEARING
    for nth, (_, lines) in enumerate(groupby(entries, key=lambda entry: entry.number)):
        batch = list(lines)
        is_out = nth % 2 == 0
        for entry in batch:
            account, funds = (entry.debit, entry.credit) if is_out else (entry.credit, entry.debit)
            if funds != source_of_funds:
                faults.append(entry.fault("posted and not true"))
            elif is_out:
                continue
            elif (account, entry.amount_minor, entry.currency) not in out:
                faults.append(entry.fault("returned otherwise than it went out"))
        if not is_out and len(batch) != len(out):
            faults += [batch[0].fault("returned in part")]
        out = [(entry.debit, entry.amount_minor, entry.currency) for entry in batch] if is_out else []
    accounts = refund.allocation.items() if is_paid_out(refund) else ()
    target = sorted((account, amount, refund.booked_currency) for account, amount in accounts)
    if sorted(out) != target:
        amount = format_amount(refund.booked_minor, refund.booked_currency)
        text = (
            f"refund {refund.pk} of {amount} is {refund.status}: {target or 'nothing'} should have gone out by its "
            f"last posting and {sorted(out) or 'nothing'} has"
        )
        faults.append(Fault(text, refund.booked_minor, refund.booked_currency))
    if target and sum(refund.allocation.values()) != refund.booked_minor:
        amount = format_amount(refund.booked_minor, refund.booked_currency)
        text = f"refund {refund.pk}: its allocation does not add up to {amount}"
        faults.append(Fault(text, refund.booked_minor, refund.booked_currency))
    return faults + explain_conversion(refund, entries, received)


def _contradictions_of_void(void: Refund, received: Mapping[str, int]) -> list[Fault]:
    """A void happened at the provider: it is true or mirrored, in the currency received, and Veza never sent it."""
    what = f"void {void.pk} of {format_amount(void.amount_minor, void.currency)}"
    texts = []
    if void.status not in (RefundStatus.SUCCEEDED, RefundStatus.BOUNCED):
        texts.append(f"{what} is {void.status}: it is either true or mirrored")
    if void.first_sent_at is not None or void.hyperswitch_refund_id is not None:
        texts.append(f"{what} was sent to Hyperswitch as a refund: the buyer was paid twice")
    if void.currency not in received:
        texts.append(f"{what} is not in {' or '.join(received)}, which was received")
    return [Fault(text, void.amount_minor, void.currency) for text in texts]


def _contradictions_of_bank_refund(refund: Refund) -> list[Fault]:
    """We paid it ourselves, under the bank's reference: Hyperswitch was never asked for it."""
    what = f"bank refund {refund.pk} of {format_amount(refund.amount_minor, refund.currency)}"
    texts = []
    if refund.status not in (RefundStatus.SUCCEEDED, RefundStatus.BOUNCED):
        texts.append(f"{what} is {refund.status}: it is either paid or returned")
    if refund.first_sent_at is not None or refund.hyperswitch_refund_id is not None:
        texts.append(f"{what} was sent to Hyperswitch as well: the buyer was paid twice")
    if not refund.bank_reference:
        texts.append(f"{what} names no transfer of our bank")
    return [Fault(text, refund.amount_minor, refund.currency) for text in texts]
