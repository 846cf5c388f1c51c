"""The sellers' part of the proof: what each transfer sent and reversed, in the ledger and in the rows."""

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
    postings = _postings_at_stripe(order_ids)
    reversals = _reversals_of(rows)
    set_offs = _set_offs_of(rows)
    terms: dict[UUID, list[Term]] = {order_id: [] for order_id in order_ids}
    totals: dict[UUID, int] = defaultdict(int)
    currencies = {row.order_id: row.currency for row in rows}
    for row in rows:
        booked_minor = postings[row.order_id].get(f"transfer:{row.pk}", 0)
        back_minor = sum(postings[row.order_id].get(f"reversal:{name}", 0) for name in reversals[row.pk])
        totals[row.order_id] += booked_minor + back_minor
        terms[row.order_id] += [
            Term(f"sent {row.shown_id}", booked_minor, row.sent_minor if row.completed_at else 0, row.currency),
            Term(f"reversed {row.shown_id}", back_minor, row.reversed_minor, row.currency),
            *_set_off_terms(row, set_offs),
        ]
    for order_id, (loss, expected) in _write_offs_of(rows, order_ids).items():
        terms[order_id].append(Term("debts written off", loss, expected, currencies.get(order_id, "")))
    for order_id, amounts in postings.items():
        if (total := sum(amounts.values())) != totals[order_id]:
            terms[order_id].append(Term("moved at Stripe", total, totals[order_id], ""))
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


def _postings_at_stripe(order_ids: Iterable[UUID]) -> Mapping[UUID, dict[str, int]]:
    """By order and reference, what was posted from or to Stripe's balance."""
    sums: dict[UUID, dict[str, int]] = defaultdict(dict)
    postings = Posting.objects.filter(Q(debit=STRIPE_BALANCE) | Q(credit=STRIPE_BALANCE), correlation_id__in=order_ids)
    for order_id, reference, amount in postings.values_list("correlation_id", "reference", "amount_minor"):
        sums[order_id][reference] = sums[order_id].get(reference, 0) + amount
    return sums


def _write_offs_of(rows: Sequence[SellerTransfer], order_ids: Sequence[UUID]) -> Mapping[UUID, tuple[int, int]]:
    """By order, what was posted as our loss in favour of its sellers, and what its transfers record of it."""
    posted_minor: dict[UUID, int] = defaultdict(int)
    written_off_minor: dict[UUID, int] = defaultdict(int)
    losses = Posting.objects.filter(debit=DISPUTE_LOSS, correlation_id__in=order_ids).exclude(credit=RECOVERABLE)
    for order_id, amount in losses.values_list("correlation_id", "amount_minor"):
        posted_minor[order_id] += amount
    for row in rows:
        written_off_minor[row.order_id] += row.written_off_minor
    pairs = {key: (posted_minor[key], written_off_minor[key]) for key in order_ids}
    return {key: pair for key, pair in pairs.items() if any(pair)}


def _reversals_of(rows: Iterable[SellerTransfer]) -> Mapping[UUID, list[str | None]]:
    ids: dict[UUID, list[str | None]] = defaultdict(list)
    reversals = TransferReversal.objects.filter(transfer__in=rows, status=ReversalStatus.MADE)
    for transfer_id, name in reversals.values_list("transfer_id", "stripe_reversal_id"):
        ids[transfer_id].append(name)
    return ids


def _set_offs_of(rows: Sequence[SellerTransfer]) -> Mapping[str, Mapping[UUID, int]]:
    """The sums of each transfer's set-offs: withheld from it, unwound of that, and offset of its debt."""
    transfers = SetOff.objects.filter(transfer__in=rows).values_list("transfer_id")
    debts = SetOff.objects.filter(debt__in=rows).values_list("debt_id")
    return {
        "withheld": dict(transfers.annotate(all=Sum("amount_minor"))),
        "owed again": dict(transfers.annotate(all=Sum("unwound_minor"))),
        "offset": dict(debts.annotate(all=Sum(F("amount_minor") - F("unwound_minor")))),
    }


def _set_off_terms(row: SellerTransfer, set_offs: Mapping[str, Mapping[UUID, int]]) -> list[Term]:
    """A set-off has no posting: the transfer and the debt are compared with its rows."""
    paid_minor = row.offset_minor - row.written_off_minor
    own = {"withheld": row.withheld_minor, "owed again": row.unwound_minor, "offset": paid_minor}
    both = [(what, set_offs[what].get(row.pk, 0), minor) for what, minor in own.items()]
    return [Term(f"{what} {row.shown_id}", rows, minor, row.currency) for what, rows, minor in both if rows or minor]
