"""The sellers' part of the proof: what each transfer sent and took back, in the ledger and in the rows."""

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from django.db.models import F, Sum

from connect.models import SellerTransfer, TransferReversal
from connect.states import ReversalStatus
from payments.accounts import STRIPE_BALANCE
from payments.models import Posting
from payments.proof import Term


def prove_order(order_id: UUID) -> list[Term]:
    """Compare the transfers of one order with their postings, in minor units of the order's currency."""
    postings = Posting.objects.filter(story_id=order_id)
    booked: dict[str, int] = defaultdict(int)
    for posting in postings.filter(debit=STRIPE_BALANCE) | postings.filter(credit=STRIPE_BALANCE):
        booked[posting.cause] += posting.amount_minor
    terms = []
    for row in SellerTransfer.objects.filter(order=order_id).order_by("pk"):
        sent = row.sent_minor if row.completed_at is not None else 0
        made = TransferReversal.objects.filter(transfer=row, status=ReversalStatus.MADE)
        back = sum(booked.get(f"reversal:{one.stripe_reversal_id}", 0) for one in made)
        terms += [
            Term(f"sent {row.shown_id}", booked.get(f"transfer:{row.pk}", 0), sent, row.currency),
            Term(f"taken back {row.shown_id}", back, row.reversed_minor, row.currency),
            *_set_off(row),
        ]
    return terms


def _set_off(row: SellerTransfer) -> list[Term]:
    """A set-off has no posting: the transfer and the debt must say what its rows say."""
    kept = row.set_offs.aggregate(all=Sum("amount_minor"), undone=Sum("undone_minor"))
    paid = row.paid_by.aggregate(left=Sum(F("amount_minor") - F("undone_minor")))["left"] or 0
    said = [
        ("set off", kept["all"] or 0, row.set_off_minor),
        ("of it undone", kept["undone"] or 0, row.undone_minor),
        ("paid by set-off", paid, row.covered_minor),
    ]
    return [Term(f"{what} {row.shown_id}", rows, own, row.currency) for what, rows, own in said if rows or own]


def differences(chunk: int = 1_000) -> Iterator[str]:
    """Every transfer whose row and ledger differ, in sentences, oldest order first and in bounded memory."""
    orders = SellerTransfer.objects.order_by("order_id").values_list("order_id", flat=True).distinct()
    for order_id in orders.iterator(chunk_size=chunk):
        for term in prove_order(order_id):
            if not term.holds:
                yield (
                    f"order {order_id}: {term.label} is {term.booked_minor} in the ledger and "
                    f"{term.expected_minor} in the rows ({term.currency})"
                )
