"""A seller's statement: every line of their account with us in a period, with its reference and the balance after it.

Read from the ledger alone, oldest first, in memory that does not grow with the number of lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import Sum

from connect.models import SellerTransfer, TransferReversal
from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.opening_balances import postings_of
from payments.models import Posting
from veza.core.errors import NotAllowed
from veza.core.money import format_amount

CHUNK = 1_000
_KINDS = {
    Posting.Kind.APPLIED: "sale",
    Posting.Kind.REFUND: "refund",
    Posting.Kind.DISPUTE: "dispute",
    Posting.Kind.TRANSFER: "transfer",
    Posting.Kind.REVERSAL: "reversal",
    Posting.Kind.WRITE_OFF: "correction",
}


class InvalidPeriod(NotAllowed):
    code = "period_wrong"


@dataclass(frozen=True)
class Line:
    """One movement of a seller's account with us. Amounts are minor units; above zero is in the seller's favour."""

    at: datetime
    kind: str
    order_id: UUID
    amount_minor: int
    balance_minor: int
    currency: str
    stripe_id: str
    reference: str
    # An explanation where the amounts need one.
    note: str


@dataclass(frozen=True)
class _StripeDetails:
    """Stripe's id and our note, of a line that moved money at Stripe."""

    stripe_id: str = ""
    note: str = ""


def statement_of(seller_id: UUID, *, since: datetime, until: datetime) -> Iterator[Line]:
    """The lines with `since` <= at < `until`, each currency with a running balance of its own. Raises InvalidPeriod."""
    if since >= until:
        raise InvalidPeriod("The period ends before it begins.")
    return _lines(seller_account(seller_id), since=since, until=until)


def _lines(account: str, *, since: datetime, until: datetime) -> Iterator[Line]:
    balance = _opening(account, since)
    own = Posting.objects.filter(postings_of([account]), at__gte=since, at__lt=until)
    rest = own.order_by("at", "pk").iterator(chunk_size=CHUNK)
    while some := list(islice(rest, CHUNK)):
        details = _details_of(some)
        for posting in some:
            amount = posting.amount_minor if posting.credit_id == account else -posting.amount_minor
            balance[posting.currency] = balance.get(posting.currency, 0) + amount
            detail = details.get(posting.subject_id, _StripeDetails())
            yield Line(
                posting.at,
                _KINDS.get(Posting.Kind(posting.kind), posting.kind),
                posting.correlation_id,
                amount,
                balance[posting.currency],
                posting.currency,
                detail.stripe_id,
                _reference(posting, detail),
                _note(posting, detail),
            )


def _opening(account: str, since: datetime) -> dict[str, int]:
    """The account's balance before the period, by currency."""
    balance: dict[str, int] = {}
    before = Posting.objects.filter(postings_of([account]), at__lt=since)
    for credit, currency, amount in before.values_list("credit_id", "currency").annotate(sum=Sum("amount_minor")):
        sign = 1 if credit == account else -1
        balance[currency] = balance.get(currency, 0) + sign * amount
    return balance


def _details_of(postings: Iterable[Posting]) -> dict[UUID, _StripeDetails]:
    """By its row, the transfer or the reversal behind a posting."""
    subjects = [posting.subject_id for posting in postings]
    by_transfer = {row.pk: _transfer_details(row) for row in SellerTransfer.objects.filter(pk__in=subjects)}
    ids = TransferReversal.objects.filter(pk__in=subjects).values_list("pk", "stripe_reversal_id")
    return by_transfer | {pk: _StripeDetails(stripe_id or "") for pk, stripe_id in ids}


def _reference(posting: Posting, detail: _StripeDetails) -> str:
    """What a line was posted for, as one text: `refund:` with its id and number, `reversal:` with Stripe's id."""
    match posting.kind:
        case Posting.Kind.REVERSAL:
            return f"reversal:{detail.stripe_id}"
        case Posting.Kind.REFUND | Posting.Kind.DISPUTE:
            return f"{posting.kind}:{posting.subject_id}:{posting.number}"
        case Posting.Kind.APPLIED:
            return f"order:{posting.subject_id}:fulfilled"
    return f"{posting.kind}:{posting.subject_id}"


def _note(posting: Posting, detail: _StripeDetails) -> str:
    if posting.kind != Posting.Kind.WRITE_OFF:
        return detail.note
    return "What had been written off came back." if posting.number else "What you owed was written off."


def _transfer_details(transfer: SellerTransfer) -> _StripeDetails:
    amount = format_amount(transfer.withheld_minor, transfer.currency)
    note = f"{amount} was withheld: it paid what you owed for another order." if transfer.withheld_minor else ""
    return _StripeDetails(transfer.stripe_transfer_id or "", note)
