"""The ledger: double entry by construction, append-only, a fact posted once.

Every floor posts its own leg in the commit of its move. What was received and nobody has claimed stays in
`unapplied`. An account's balance is credits minus debits; for a seller it is signed: below zero the seller owes us.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Sum

from payments.ledger.chart_of_accounts import PSP_CLEARING, UNAPPLIED
from payments.models import LedgerAccount, Payment, Posting


@dataclass(frozen=True)
class Line:
    """`amount_minor` from `debit` to `credit`; `leg` tells the lines of one reference apart."""

    debit: str
    credit: str
    amount_minor: int
    leg: str


def open_accounts(codes: Iterable[str]) -> None:
    """Make the accounts that are not there yet."""
    LedgerAccount.objects.bulk_create([LedgerAccount(code=code) for code in codes], ignore_conflicts=True)


def post(
    reference: str, lines: Iterable[Line], *, payment: Payment | None, currency: str, correlation_id: UUID, at: datetime
) -> None:
    """Post what `reference` moved, in minor units of `currency`. Lines of zero are left out.

    Posting the same reference and leg again is an IntegrityError: whoever posts has moved a row first and knows.
    """
    Posting.objects.bulk_create(
        Posting(
            debit_id=line.debit,
            credit_id=line.credit,
            amount_minor=line.amount_minor,
            currency=currency,
            reference=reference,
            leg=line.leg,
            payment=payment,
            correlation_id=correlation_id,
            at=at,
        )
        for line in lines
        if line.amount_minor
    )


def post_received(payment: Payment, newly_minor: int, *, currency: str, at: datetime) -> None:
    """Book money that reached us: nobody has claimed it yet."""
    reference = f"payment:{payment.pk}:received:{payment.received_minor}"
    lines = [Line(PSP_CLEARING, UNAPPLIED, newly_minor, "in")]
    post(reference, lines, payment=payment, currency=currency, correlation_id=payment.correlation_id, at=at)


def post_claimed(reference: str, shares: Mapping[str, int], *, payment: Payment, at: datetime) -> None:
    """Give received money to whom it belongs: `shares` is {account: minor units of the payment's currency}."""
    lines = [Line(UNAPPLIED, account, amount, account) for account, amount in shares.items()]
    post(reference, lines, payment=payment, currency=payment.currency, correlation_id=payment.correlation_id, at=at)


def balances(**chosen: object) -> dict[tuple[str, str], int]:
    """Credits minus debits of each (account, currency), over the postings that match `chosen`."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    rows = Posting.objects.filter(**chosen).values_list("debit_id", "credit_id", "currency")
    for debit, credit, currency, total in rows.annotate(total=Sum("amount_minor")):
        sums[debit, currency] -= total
        sums[credit, currency] += total
    return dict(sums)
