"""The ledger: double entry by construction, append-only, each event posted once.

Every floor posts its own lines in the commit of its move. What was received and not applied to an order or invoice
stays in `unapplied`. An account's balance is credits minus debits; for a seller it is signed: below zero the seller
owes us.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, Sum

from payments.ledger.chart_of_accounts import PSP_CLEARING, UNAPPLIED
from payments.models import ForeignReceipt, LedgerAccount, Payment, Posting
from veza.core import writes


@dataclass(frozen=True)
class Line:
    """`amount_minor` from `debit` to `credit`; `leg` distinguishes the lines of one batch."""

    debit: str
    credit: str
    amount_minor: int
    leg: str

    def __post_init__(self) -> None:
        assert type(self.amount_minor) is int, "an amount is a whole number of minor units"
        assert self.amount_minor >= 0, "a line moves its amount from debit to credit, never backwards"
        assert self.debit != self.credit, "a line moves money between two accounts"


@dataclass(frozen=True)
class Reference:
    """What explains a batch of lines: the kind of fact, the row it is about, and which batch of that row it is."""

    kind: Posting.Kind
    subject_id: UUID
    number: int = 0


def open_accounts(codes: Iterable[str]) -> None:
    """Make the accounts that do not exist yet."""
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
    """Post what `reference` moved, in minor units of `currency`. Lines of zero are omitted.

    Posting the same reference and leg again is an IntegrityError: the caller has moved a row first, which happens once.
    """
    assert connection.in_atomic_block, "money is posted in the commit of the move that it belongs to"
    assert re.fullmatch("[A-Z]{3}", currency), "all lines of a batch are in one currency of ISO 4217"
    nonzero_lines = [line for line in lines if line.amount_minor]
    assert len({line.leg for line in nonzero_lines}) == len(nonzero_lines), "no two lines of a batch share a leg"
    batch = {
        "currency": currency,
        "kind": reference.kind,
        "subject_id": reference.subject_id,
        "number": reference.number,
        "payment_id": payment.pk if payment is not None else None,
        "correlation_id": correlation_id,
        "at": at,
    }
    writes.insert_values(
        Posting,
        [
            {
                "debit_id": line.debit,
                "credit_id": line.credit,
                "amount_minor": line.amount_minor,
                "leg": line.leg,
                **batch,
            }
            for line in nonzero_lines
        ],
    )


def post_received(payment: Payment, amount_minor: int, *, currency: str, at: datetime) -> None:
    """Post money that reached us: it is applied to nothing yet. The payment counts it already, and the batch is
    numbered by all that was received so far.
    """
    assert 0 < amount_minor <= payment.received_minor, "what is posted as received is part of what was received"
    assert currency == payment.received_currency, "money is posted in the currency in which it was received"
    reference = Reference(Posting.Kind.RECEIVED, payment.pk, payment.received_minor)
    lines = [Line(PSP_CLEARING, UNAPPLIED, amount_minor, "in")]
    post(reference, lines, payment=payment, currency=currency, correlation_id=payment.correlation_id, at=at)


def post_foreign_receipt(receipt: ForeignReceipt, amount_minor: int, *, at: datetime) -> None:
    """Post money that reached us in another currency than the payment's first. The receipt counts it already, and the
    batch is numbered by all that it received so far.
    """
    assert 0 < amount_minor <= receipt.received_minor, "what is posted as received is part of what was received"
    payment = receipt.payment
    assert receipt.currency != payment.received_currency, "the first currency is posted by the payment itself"
    reference = Reference(Posting.Kind.RECEIVED, receipt.pk, receipt.received_minor)
    lines = [Line(PSP_CLEARING, UNAPPLIED, amount_minor, "in")]
    post(reference, lines, payment=payment, currency=receipt.currency, correlation_id=payment.correlation_id, at=at)


def post_applied(purpose_id: UUID, shares: Mapping[str, int], *, payment: Payment, at: datetime) -> None:
    """Apply received money to the order or invoice `purpose_id`: `shares` is {account: minor units of its currency}."""
    assert purpose_id == payment.purpose_id, "money is applied to what its payment pays for"
    assert payment.held_currency == payment.currency, "only money in the currency of the price can be applied"
    assert sum(shares.values()) <= payment.received_minor, "no more is applied than was received"
    reference = Reference(Posting.Kind.APPLIED, purpose_id)
    lines = [Line(UNAPPLIED, account, amount, account) for account, amount in shares.items()]
    post(reference, lines, payment=payment, currency=payment.currency, correlation_id=payment.correlation_id, at=at)
    writes.update(payment, applied_at=at)


def balances(*conditions: Q, **filters: object) -> dict[tuple[str, str], int]:
    """Credits minus debits of each (account, currency), over the postings that match."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    rows = Posting.objects.filter(*conditions, **filters).values_list("debit_id", "credit_id", "currency")
    for debit, credit, currency, total in rows.annotate(total=Sum("amount_minor")):
        sums[debit, currency] -= total
        sums[credit, currency] += total
    assert not sum(sums.values()), "every debit has its credit"
    return dict(sums)
