"""The proof across all floors: a payment's ledger against its rows, its order's items and transfers, or its invoice."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import connect.proof
import subscriptions.proof
from marketplace.models import Order
from marketplace.shares import due_by_account
from payments.accounts import PLATFORM_FEE, STRIPE_BALANCE, TAX, seller_of
from payments.models import Payment, Posting
from payments.proof import Proof, Term, prove


def prove_payment(payment: Payment) -> Proof:
    """One payment's proof, with whose money it is by the items and what was sent to the sellers."""
    terms = prove(payment).terms
    order = Order.objects.filter(pk=payment.purpose_id).first() if payment.purpose == Payment.Purpose.ORDER else None
    if order is not None and payment.received_minor:
        terms = [*terms, *_shares(payment, order), *connect.proof.prove_order(order.pk)]
    if payment.purpose == Payment.Purpose.INVOICE:
        terms = [*terms, *subscriptions.proof.prove_invoice(payment)]
    return Proof(payment.pk, terms)


def prove_all(chunk: int = 1_000) -> Iterator[Proof]:
    """Prove every payment, oldest first, in bounded memory."""
    for payment in Payment.objects.order_by("pk").iterator(chunk_size=chunk):
        yield prove_payment(payment)


def _shares(payment: Payment, order: Order) -> list[Term]:
    """What the items say each account should hold, against what was posted."""
    if order.completed_at is None:
        return []
    due = due_by_account(order.pk)
    held = _held(payment)
    return [
        Term(f"held by {account}", held.get(account, 0), due.get(account, 0), payment.currency)
        for account in sorted(due.keys() | held.keys())
    ]


def _held(payment: Payment) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for posting in Posting.objects.filter(payment=payment):
        if STRIPE_BALANCE in (posting.debit_id, posting.credit_id):
            continue  # Paying a seller out does not change whose money it is.
        sums[posting.debit_id] -= posting.amount_minor
        sums[posting.credit_id] += posting.amount_minor
    return {account: held for account, held in sums.items() if seller_of(account) or account in (PLATFORM_FEE, TAX)}
