"""The proof of one payment: the postings of what it received, of its refunds, its disputes and its losses."""

from collections.abc import Sequence

from payments.ledger.chart_of_accounts import PSP_CLEARING, UNAPPLIED
from payments.ledger.dispute_proof import explain_dispute
from payments.ledger.loss_proof import excessive_losses, explain_write_off
from payments.ledger.proof import Books, Entry, Fault, faults_between
from payments.ledger.refund_proof import explain_refunds
from payments.models import Dispute, ForeignReceipt, Payment, Posting, Refund, WriteOff

Kind = Posting.Kind


def explain_payment(
    books: Books,
    receipts: Sequence[ForeignReceipt],
    refunds: Sequence[Refund],
    disputes: Sequence[Dispute],
    write_offs: Sequence[WriteOff],
) -> list[Fault]:
    """What is wrong with the postings of a payment, its refunds, its disputes and its write-offs."""
    payment = books.payment
    received_minor = {payment.held_currency: payment.received_minor}
    faults = _explain_receipts(payment, books.take(Kind.RECEIVED, payment.pk))
    for receipt in receipts:
        received_minor[receipt.currency] = receipt.received_minor
        faults += _explain_receipts(receipt, books.take(Kind.RECEIVED, receipt.pk))
    faults += explain_refunds(refunds, books, received_minor)
    for dispute in disputes:
        faults += explain_dispute(dispute, books.take(Kind.DISPUTE, dispute.pk), received_minor)
    faults += excessive_losses([*refunds, *disputes], write_offs)
    for write_off in write_offs:
        faults += explain_write_off(write_off, books.take(Kind.WRITE_OFF, write_off.pk))
    return faults


def _explain_receipts(row: Payment | ForeignReceipt, entries: Sequence[Entry]) -> list[Fault]:
    """Each batch is numbered by the sum received so far, and posts what was new."""
    expected, before = [], 0
    currency = row.held_currency if isinstance(row, Payment) else row.currency
    for number in sorted({entry.number for entry in entries} | {row.received_minor} - {0}):
        amount = number - before
        expected.append(Entry(Kind.RECEIVED, row.pk, number, PSP_CLEARING, UNAPPLIED, amount, currency))
        before = number
    return faults_between(expected, entries)
