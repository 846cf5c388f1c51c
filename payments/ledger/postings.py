"""The ledger: double entry by construction, append-only, a fact posted once.

Every floor posts its own lines in the commit of its move. What was received and not applied to an order or invoice
stays in `unapplied`. An account's balance is credits minus debits; for a seller it is signed: below zero the seller
owes us.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, Sum

from payments.ledger.chart_of_accounts import PSP_CLEARING, UNAPPLIED
from payments.models import LedgerAccount, Payment, Posting


@dataclass(frozen=True)
class Line:
    """`amount_minor` from `debit` to `credit`; `leg` tells the lines of one batch apart."""

    debit: str
    credit: str
    amount_minor: int
    leg: str


@dataclass(frozen=True)
class Reference:
    """What explains a batch of lines: the kind of fact, the row it is about, and which batch of that row it is."""

    kind: Posting.Kind
    subject_id: UUID
    number: int = 0


def open_accounts(codes: Iterable[str]) -> None:
    """Make the accounts that are not there yet."""
    LedgerAccount.objects.bulk_create([LedgerAccount(code=code) for code in codes], ignore_conflicts=True)


def post(
    reference: Reference,
    lines: Iterable[Line],
    *,
    payment: Payment | None,
    currency: str,
    correlation_id: UUID,
    at: datetime,
) -> None:
    """Post what `reference` moved, in minor units of `currency`. Lines of zero are left out.

    Posting the same reference and leg again is an IntegrityError: whoever posts has moved a row first and knows.
    """
    assert connection.in_atomic_block, "money is posted in the commit of the fact that moved it"
    postings = [
        Posting(
            debit_id=line.debit,
            credit_id=line.credit,
            amount_minor=line.amount_minor,
            currency=currency,
            kind=reference.kind,
            subject_id=reference.subject_id,
            number=reference.number,
            leg=line.leg,
            payment=payment,
            correlation_id=correlation_id,
            at=at,
        )
        for line in lines
        if line.amount_minor
    ]
    assert all(posting.amount_minor > 0 for posting in postings), "a posting has a direction instead of a sign"
    assert all(posting.debit_id != posting.credit_id for posting in postings), "money moves between two accounts"
    Posting.objects.bulk_create(postings)


def post_received(payment: Payment, newly_minor: int, *, currency: str, at: datetime) -> None:
    """Book money that reached us: it is applied to nothing yet. The batch is numbered by all received so far."""
    assert 0 < newly_minor <= payment.received_minor, "what is newly received is part of all that was received"
    reference = Reference(Posting.Kind.RECEIVED, payment.pk, payment.received_minor)
    lines = [Line(PSP_CLEARING, UNAPPLIED, newly_minor, "in")]
    post(reference, lines, payment=payment, currency=currency, correlation_id=payment.correlation_id, at=at)


def post_applied(purpose_id: UUID, shares: Mapping[str, int], *, payment: Payment, at: datetime) -> None:
    """Apply received money to the order or invoice `purpose_id`: `shares` is {account: minor units of its currency}."""
    assert purpose_id == payment.purpose_id, "money is applied to what its payment pays for"
    reference = Reference(Posting.Kind.APPLIED, purpose_id)
    lines = [Line(UNAPPLIED, account, amount, account) for account, amount in shares.items()]
    post(reference, lines, payment=payment, currency=payment.currency, correlation_id=payment.correlation_id, at=at)


def balances(*conditions: Q, **filters: object) -> dict[tuple[str, str], int]:
    """Credits minus debits of each (account, currency), over the postings that match `filters`."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    rows = Posting.objects.filter(*conditions, **filters).values_list("debit_id", "credit_id", "currency")
    for debit, credit, currency, total in rows.annotate(total=Sum("amount_minor")):
        sums[debit, currency] -= total
        sums[credit, currency] += total
    return dict(sums)
