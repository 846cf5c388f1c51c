"""The sellers' part of the proof: what each transfer sent and took back, in the ledger and in the rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from uuid import UUID

from django.db.models import F, Q, Sum

from connect.models import SellerTransfer, SetOff, TransferReversal
from connect.states import ReversalStatus
from payments.ledger.chart_of_accounts import DISPUTE_LOSS, RECOVERABLE, STRIPE_BALANCE
from payments.ledger.proof import Term
from payments.models import Posting


def prove_order(order_id: UUID) -> list[Term]:
    """Compare the transfers of one order with their postings, in minor units of the order's currency."""
    return prove_orders([order_id])[order_id]


def prove_orders(order_ids: Sequence[UUID]) -> dict[UUID, list[Term]]:
    """Compare the transfers of each order with their postings, for as many queries as one order costs."""
    rows = list(SellerTransfer.objects.filter(order__in=order_ids).order_by("pk"))
    booked = _booked(order_ids)
    made = _reversals_of(rows)
    owed = _set_offs_of(rows)
    terms: dict[UUID, list[Term]] = {order_id: [] for order_id in order_ids}
    explained: dict[UUID, int] = defaultdict(int)
    currencies = {row.order_id: row.currency for row in rows}
    for row in rows:
        sent = booked[row.order_id].get(f"transfer:{row.pk}", 0)
        back = sum(booked[row.order_id].get(f"reversal:{name}", 0) for name in made[row.pk])
        explained[row.order_id] += sent + back
        terms[row.order_id] += [
            Term(f"sent {row.shown_id}", sent, row.sent_minor if row.completed_at else 0, row.currency),
            Term(f"taken back {row.shown_id}", back, row.reversed_minor, row.currency),
            *_set_off(row, owed),
        ]
    for order_id, (lost, payload) in _written_off(rows, order_ids).items():
        terms[order_id].append(Term("debts written off", lost, payload, currencies.get(order_id, "")))
    for order_id, causes in booked.items():
        if (total := sum(causes.values())) != explained[order_id]:
            terms[order_id].append(Term("moved at Stripe", total, explained[order_id], ""))
    return terms


def differences(chunk: int = 500) -> Iterator[str]:
    """Every transfer whose row and ledger differ, in sentences, oldest order first and in bounded memory."""
    orders = SellerTransfer.objects.order_by("order_id").values_list("order_id", flat=True).distinct()
    rest = orders.iterator(chunk_size=chunk)
    while some := list(islice(rest, chunk)):
        for order_id, terms in prove_orders(some).items():
            for term in terms:
                if not term.holds:
                    yield (
                        f"order {order_id}: {term.label} is {term.booked_minor} in the ledger and "
                        f"{term.expected_minor} in the rows ({term.currency})"
                    )


def _booked(order_ids: Iterable[UUID]) -> Mapping[UUID, dict[str, int]]:
    """By order and cause, what was posted from or to Stripe's balance."""
    found: dict[UUID, dict[str, int]] = defaultdict(dict)
    moved = Posting.objects.filter(Q(debit=STRIPE_BALANCE) | Q(credit=STRIPE_BALANCE), correlation_id__in=order_ids)
    for order_id, reference, amount in moved.values_list("correlation_id", "reference", "amount_minor"):
        found[order_id][reference] = found[order_id].get(reference, 0) + amount
    return found


def _written_off(rows: Sequence[SellerTransfer], order_ids: Sequence[UUID]) -> Mapping[UUID, tuple[int, int]]:
    """By order, what was posted as our loss in favour of its sellers, and what its transfers say of it."""
    booked: dict[UUID, int] = defaultdict(int)
    payload: dict[UUID, int] = defaultdict(int)
    losses = Posting.objects.filter(debit=DISPUTE_LOSS, correlation_id__in=order_ids).exclude(credit=RECOVERABLE)
    for order_id, amount in losses.values_list("correlation_id", "amount_minor"):
        booked[order_id] += amount
    for row in rows:
        payload[row.order_id] += row.written_off_minor
    return {key: (booked[key], payload[key]) for key in order_ids if booked[key] or payload[key]}


def _reversals_of(rows: Iterable[SellerTransfer]) -> Mapping[UUID, list[str | None]]:
    found: dict[UUID, list[str | None]] = defaultdict(list)
    made = TransferReversal.objects.filter(transfer__in=rows, status=ReversalStatus.MADE)
    for transfer_id, name in made.values_list("transfer_id", "stripe_reversal_id"):
        found[transfer_id].append(name)
    return found


def _set_offs_of(rows: Sequence[SellerTransfer]) -> Mapping[str, Mapping[UUID, int]]:
    """What the set-offs say of each transfer: kept back from it, undone of that, and paid of what it owes."""
    kept = SetOff.objects.filter(transfer__in=rows).values_list("transfer_id")
    paid = SetOff.objects.filter(debt__in=rows).values_list("debt_id")
    return {
        "set off": dict(kept.annotate(all=Sum("amount_minor"))),
        "of it undone": dict(kept.annotate(all=Sum("undone_minor"))),
        "paid by set-off": dict(paid.annotate(all=Sum(F("amount_minor") - F("undone_minor")))),
    }


def _set_off(row: SellerTransfer, payload: Mapping[str, Mapping[UUID, int]]) -> list[Term]:
    """A set-off has no posting: the transfer and the debt must say what its rows say."""
    paid = row.covered_minor - row.written_off_minor
    own = {"set off": row.set_off_minor, "of it undone": row.undone_minor, "paid by set-off": paid}
    both = [(what, payload[what].get(row.pk, 0), minor) for what, minor in own.items()]
    return [Term(f"{what} {row.shown_id}", rows, minor, row.currency) for what, rows, minor in both if rows or minor]
