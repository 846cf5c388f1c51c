"""The sellers' part of the proof, for orders that a test made by hand."""

from uuid import UUID

from connect.reporting.proof import explain_transfers, terms_of, transfer_facts, unpaid_shares
from marketplace.proof import order_facts
from payments.ledger.proof import Term, books_of
from payments.models import Payment


def faults_of(*order_ids: UUID) -> list[str]:
    """What is wrong with these orders' transfers, their postings, and what each seller ends with."""
    orders, transfers = order_facts(order_ids), transfer_facts(order_ids)
    payments = Payment.objects.filter(purpose_id__in=order_ids, received_minor__gt=0)
    faults = []
    for books in books_of(list(payments)).values():
        order_id = books.payment.purpose_id
        faults += explain_transfers(books, transfers[order_id])
        faults += unpaid_shares(orders[order_id], transfers[order_id])
    return faults


def terms_of_order(order_id: UUID) -> list[Term]:
    """What each transfer of an order sent and reversed."""
    (books,) = books_of(list(Payment.objects.filter(purpose_id=order_id))).values()
    return terms_of(transfer_facts([order_id])[order_id], list(books.all_entries()))
