"""The proof across all floors: a payment's postings against its rows, its order and transfers, or its invoice."""

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
from payments.timeline import account_names
from veza.core.timeline import ProofLine

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


def prove_many(payments: Sequence[Payment]) -> list[Proof]:
    """Prove each of `payments`, in their order."""
    paid_order_ids = {one.purpose_id for one in payments if one.purpose == Payment.Purpose.ORDER and one.received_minor}
    orders = {order.pk: order for order in Order.objects.filter(pk__in=paid_order_ids)}
    dues = dues_by_account([pk for pk, order in orders.items() if order.completed_at is not None])
    holdings = _holdings_of(dues.keys())
    sellers = connect.reporting.proof.prove_orders(list(orders))
    proofs = []
    for payment, own in zip(payments, prove_base(payments), strict=True):
        terms = own.terms
        if payment.purpose_id in orders:
            order_id = payment.purpose_id
            terms = [*terms, *_shares(payment, dues.get(order_id), holdings[order_id]), *sellers[order_id]]
        if payment.purpose == Payment.Purpose.INVOICE:
            terms = [*terms, *subscriptions.proof.prove_invoice(payment)]
        proofs.append(Proof(payment.pk, terms))
    return proofs


def _shares(payment: Payment, dues: Mapping[str, int] | None, holdings: Mapping[str, int]) -> list[Term]:
    """Each account's part of the order by the items, against the postings; nothing while the order is open."""
    if dues is None:
        return []
    return [
        Term(f"{_HELD_BY}{account}", holdings.get(account, 0), dues.get(account, 0), payment.currency)
        for account in sorted(dues.keys() | holdings.keys())
    ]


def _holdings_of(order_ids: Collection[UUID]) -> Mapping[UUID, dict[str, int]]:
    """Each account's part of each order by the postings, without transfers and write-offs: the items have neither."""
    sums: dict[UUID, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    neither = Q(debit=STRIPE_BALANCE) | Q(credit=STRIPE_BALANCE) | Q(debit=DISPUTE_LOSS)
    rows = Posting.objects.filter(correlation_id__in=order_ids).exclude(neither)
    for order_id, debit, credit, amount in rows.values_list("correlation_id", "debit_id", "credit_id", "amount_minor"):
        for account, change in ((debit, -amount), (credit, amount)):
            if seller_of(account) or account in (PLATFORM_FEE, TAX):
                sums[order_id][account] += change
    return sums


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
