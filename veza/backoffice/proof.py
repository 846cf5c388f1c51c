"""The proof across all floors: each payment with what it paid for and what its sellers got of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

import connect.reporting.proof
import marketplace.proof
import subscriptions.proof
from payments.ledger.equation_proof import terms_of
from payments.ledger.payment_proof import explain_payment
from payments.ledger.proof import (
    Books,
    Fault,
    Proof,
    Term,
    books_of,
    faults_between,
    faults_of_price,
    overdrawn_funds,
)
from payments.ledger.status_proof import contradictions_of_status
from payments.models import Dispute, ForeignReceipt, Payment, Posting, Refund, WriteOff
from payments.reviews.missing_amounts import unbooked_successes
from payments.timeline import account_names
from subscriptions.models import SubscriptionInvoice
from veza.core.money import format_amount
from veza.core.status_history import contradicted
from veza.core.timeline import ProofLine

Kind = Posting.Kind
_HELD_BY = "held by "
# The line that must be zero is shown because it is.
BALANCE = "captured + recoverable - everything else"


def prove_payment(payment: Payment) -> Proof:
    """One payment's proof as of now, with each account's part by the items and the transfers to the sellers.

    The payment is read again: money that moved since the caller read it is no difference.
    """
    with as_of_now():
        return prove_many([Payment.objects.get(pk=payment.pk)])[0]


def prove_all(chunk: int = 500) -> Iterator[Proof]:
    """Prove every payment, oldest first: a chunk at a time, in memory that does not grow with their number.

    Each chunk is read as of one moment, so money that moves meanwhile is no difference.
    """
    proofs = _prove_next(Payment.objects.order_by("pk")[:chunk])
    while proofs:
        yield from proofs
        proofs = _prove_next(Payment.objects.filter(pk__gt=proofs[-1].payment_id).order_by("pk")[:chunk])


def _prove_next(payments: "models.QuerySet[Payment]") -> list[Proof]:
    with as_of_now():
        return prove_many(list(payments))


@contextmanager
def as_of_now() -> Iterator[None]:
    """Let every query inside see the same moment. Inside a transaction it changes nothing."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@dataclass
class _Chunk:
    """Everything that several payments are proved with."""

    books: dict[UUID, Books]
    receipts: dict[UUID, list[ForeignReceipt]]
    refunds: dict[UUID, list[Refund]]
    disputes: dict[UUID, list[Dispute]]
    write_offs: dict[UUID, list[WriteOff]]
    orders: dict[UUID, marketplace.proof.OrderFacts]
    payers: dict[UUID, UUID]
    transfers: dict[UUID, list[connect.reporting.proof.TransferFacts]]
    invoices: dict[UUID, SubscriptionInvoice]
    contradictions: dict[UUID, list[Fault]]


def prove_many(payments: Sequence[Payment]) -> list[Proof]:
    """Prove each of `payments`, in their order, for as many queries as one of them costs."""
    chunk = _read(payments)
    return [_prove(payment, chunk) for payment in payments]


def _read(payments: Sequence[Payment]) -> _Chunk:
    keys = [payment.pk for payment in payments]
    orders = {payment.purpose_id for payment in payments if payment.purpose == Payment.Purpose.ORDER}
    chunk = _Chunk(
        books=books_of(payments),
        receipts=defaultdict(list),
        refunds=defaultdict(list),
        disputes=defaultdict(list),
        write_offs=defaultdict(list),
        orders=marketplace.proof.order_facts(orders),
        payers=_payers(orders),
        transfers=connect.reporting.proof.transfer_facts(orders),
        invoices=subscriptions.proof.invoices_paid_by(payments),
        contradictions=defaultdict(list),
    )
    for receipt in ForeignReceipt.objects.filter(payment__in=keys).order_by("pk"):
        chunk.receipts[receipt.payment_id].append(receipt)
    for refund in Refund.objects.filter(payment__in=keys).order_by("pk"):
        refund.payment = chunk.books[refund.payment_id].payment
        chunk.refunds[refund.payment_id].append(refund)
    for dispute in Dispute.objects.filter(payment__in=keys).order_by("pk"):
        dispute.payment = chunk.books[dispute.payment_id].payment
        chunk.disputes[dispute.payment_id].append(dispute)
    for write_off in WriteOff.objects.filter(payment__in=keys).order_by("pk"):
        chunk.write_offs[write_off.payment_id].append(write_off)
    for payment_id, fault in (*unbooked_successes(payments), *_contradictions_of_history(chunk)):
        chunk.contradictions[payment_id].append(fault)
    return chunk


def _contradictions_of_history(chunk: _Chunk) -> Iterator[tuple[UUID, Fault]]:
    """By payment, each row about it whose status was changed without a word in its history."""
    rows: dict[Any, UUID] = {books.payment: payment_id for payment_id, books in chunk.books.items()}
    rows |= {row: row.payment_id for lists in (chunk.refunds, chunk.disputes) for own in lists.values() for row in own}
    rows |= {invoice: payment_id for payment_id, invoice in chunk.invoices.items()}
    for order_id, payment_id in chunk.payers.items():
        if order_id in chunk.orders:
            rows[chunk.orders[order_id].order] = payment_id
        for transfer in chunk.transfers[order_id]:
            rows |= dict.fromkeys([transfer.row, *transfer.reversals], payment_id)
    for row, status in contradicted(rows):
        currency, amount_minor = row.currency, row.total_minor if hasattr(row, "total_minor") else row.amount_minor
        what = f"{row._meta.verbose_name} {row.pk} of {format_amount(amount_minor, currency)}"
        yield rows[row], Fault(f"{what} is {row.status}, and its history ends with {status}", amount_minor, currency)


def _payers(order_ids: set[UUID]) -> dict[UUID, UUID]:
    """By order, the payment that paid it, and from which its sellers are paid."""
    paid = Payment.objects.filter(purpose=Payment.Purpose.ORDER, purpose_id__in=order_ids, received_minor__gt=0)
    return dict(paid.applied().values_list("purpose_id", "pk"))


def _prove(payment: Payment, chunk: _Chunk) -> Proof:
    books, refunds, disputes = chunk.books[payment.pk], chunk.refunds[payment.pk], chunk.disputes[payment.pk]
    terms, entries = terms_of(books, refunds, disputes), list(books.all_entries())
    faults = overdrawn_funds(books)
    faults += explain_payment(books, chunk.receipts[payment.pk], refunds, disputes, chunk.write_offs[payment.pk])
    faults += contradictions_of_status(payment, chunk.receipts[payment.pk], refunds, disputes)
    faults += chunk.contradictions[payment.pk]
    order = chunk.orders.get(payment.purpose_id)
    if order is not None:
        faults += faults_of_price(payment, order.order)
    if order is not None and chunk.payers.get(payment.purpose_id) == payment.pk:
        transfers = chunk.transfers[payment.purpose_id]
        terms += marketplace.proof.terms_of(order, entries) + connect.reporting.proof.terms_of(transfers, entries)
        faults += faults_between(order.entries(), books.take(Kind.APPLIED, order.order.pk)) + order.faults()
        faults += connect.reporting.proof.explain_transfers(books, transfers)
        faults += connect.reporting.proof.unpaid_shares(order, transfers)
    if payment.purpose == Payment.Purpose.INVOICE:
        invoice = chunk.invoices.get(payment.pk)
        terms += subscriptions.proof.terms_of(payment, invoice, entries, refunds, disputes)
        if invoice is not None:
            faults += faults_of_price(payment, invoice)
            applied = books.take(Kind.APPLIED, invoice.pk)
            faults += faults_between(subscriptions.proof.entries_of(invoice), applied)
    return Proof(payment.pk, terms, faults + books.find_unexplained())


def proof_lines(correlation_id: UUID) -> list[ProofLine]:
    """The proof as a page shows it: accounts by their names, without terms that are zero on both sides."""
    payments = Payment.objects.filter(correlation_id=correlation_id).order_by("pk")
    terms = [term for payment in payments for term in prove_payment(payment).terms]
    if not any(term.booked_minor for term in terms):
        terms = [term for term in terms if not term.holds]
    terms = [term for term in terms if term.booked_minor or not term.holds or term.label == BALANCE]
    names = account_names({code for term in terms if (code := _account_of(term))})
    return [ProofLine(_label_of(term, names), term.booked_minor, term.currency, term.holds) for term in terms]


def _account_of(term: Term) -> str:
    return term.label.removeprefix(_HELD_BY) if term.label.startswith(_HELD_BY) else ""


def _label_of(term: Term, names: Mapping[str, str]) -> str:
    code = _account_of(term)
    return f"{_HELD_BY}{names[code]}" if code else term.label
