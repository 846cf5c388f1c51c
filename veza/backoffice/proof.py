"""The proof across all floors: a payment's ledger against its rows, its order's items and transfers, or its invoice."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Q

import connect.reporting.proof
import subscriptions.proof
from marketplace.allocation import dues_by_account
from marketplace.models import Order
from payments.ledger.chart_of_accounts import DISPUTE_LOSS, PLATFORM_FEE, STRIPE_BALANCE, TAX, seller_of
from payments.ledger.proof import Proof, Term
from payments.ledger.proof import prove_many as prove_base
from payments.models import Payment, Posting


def prove_payment(payment: Payment) -> Proof:
    """One payment's proof as of now, with whose money it is by the items and what was sent to the sellers.

    The payment is read again: what moved since the caller read it is no difference.
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
    """Let every query inside see the same moment. Inside a transaction that is the transaction's own business."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def prove_many(payments: Sequence[Payment]) -> list[Proof]:
    """Prove each of `payments`, in their order."""
    paid = {one.purpose_id for one in payments if one.purpose == Payment.Purpose.ORDER and one.received_minor}
    orders = {order.pk: order for order in Order.objects.filter(pk__in=paid)}
    due = dues_by_account([pk for pk, order in orders.items() if order.completed_at is not None])
    held = _held(due.keys())
    sellers = connect.reporting.proof.prove_orders(list(orders))
    proofs = []
    for payment, own in zip(payments, prove_base(payments), strict=True):
        terms = own.terms
        if payment.purpose_id in orders:
            order_id = payment.purpose_id
            terms = [*terms, *_shares(payment, due.get(order_id), held[order_id]), *sellers[order_id]]
        if payment.purpose == Payment.Purpose.INVOICE:
            terms = [*terms, *subscriptions.proof.prove_invoice(payment)]
        proofs.append(Proof(payment.pk, terms))
    return proofs


def _shares(payment: Payment, due: Mapping[str, int] | None, held: Mapping[str, int]) -> list[Term]:
    """What the items say each account should hold of the order, against what was posted; nothing while it is open."""
    if due is None:
        return []
    return [
        Term(f"held by {account}", held.get(account, 0), due.get(account, 0), payment.currency)
        for account in sorted(due.keys() | held.keys())
    ]


def _held(order_ids: Collection[UUID]) -> Mapping[UUID, dict[str, int]]:
    """What each account holds of each order, before sellers are paid out and debts written off: neither changes what
    the items say.
    """
    sums: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    neither = Q(debit=STRIPE_BALANCE) | Q(credit=STRIPE_BALANCE) | Q(debit=DISPUTE_LOSS)
    rows = Posting.objects.filter(correlation_id__in=order_ids).exclude(neither)
    for order_id, debit, credit, amount in rows.values_list("correlation_id", "debit_id", "credit_id", "amount_minor"):
        for account, signed in ((debit, -amount), (credit, amount)):
            if seller_of(account) or account in (PLATFORM_FEE, TAX):
                sums[order_id][account] += signed
    return sums
