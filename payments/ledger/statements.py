"""What only a statement shows: top-ups of our Stripe balance and settlements to our bank account from Hyperswitch's
payouts, and the provider's fees.

No webhook reports these. Finance books them, line by line, from the provider's statement or the bank's.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from payments.ledger.chart_of_accounts import BANK, PSP_CLEARING, PSP_FEES, STRIPE_BALANCE
from payments.ledger.postings import Line, Reference, post
from payments.models import Posting, StatementEntry
from veza.core.errors import NotAllowed
from veza.core.money import MAX_MINOR, exponent

LONGEST_NAME = 100


class StatementKind(StrEnum):
    """A top-up of our Stripe balance, a settlement to our bank account, or a fee that the provider deducted."""

    TOP_UP = "top_up"
    SETTLEMENT = "settlement"
    FEE = "fee"


class InvalidStatementLine(NotAllowed):
    code = "statement_line_wrong"


@dataclass(frozen=True)
class StatementLine:
    """`name` is the statement's own id of the line: it is booked once. `amount_minor` is in `currency`."""

    name: str
    kind: StatementKind
    amount_minor: int
    currency: str
    at: datetime


# From and to which account each kind of line moves money.
ACCOUNTS = {
    StatementKind.TOP_UP: (STRIPE_BALANCE, PSP_CLEARING),
    StatementKind.SETTLEMENT: (BANK, PSP_CLEARING),
    StatementKind.FEE: (PSP_FEES, PSP_CLEARING),
}


@transaction.atomic
def book_statement_line(line: StatementLine) -> bool:
    """Book one line; False when the same line was booked before.

    Raises InvalidStatementLine when a value is invalid, or the line was booked before with other values.
    """
    _refuse_invalid(line)
    facts = {"kind": line.kind, "amount_minor": line.amount_minor, "currency": line.currency, "at": line.at}
    entry, is_new = StatementEntry.objects.get_or_create(name=line.name, defaults=facts)
    if not is_new:
        if any(getattr(entry, name) != value for name, value in facts.items()):
            raise InvalidStatementLine(f"Line {line.name!r} was booked before, and differently. Nothing was changed.")
        return False
    debit, credit = ACCOUNTS[line.kind]
    # A line of a statement belongs to no order: it has a history of its own.
    post(
        Reference(Posting.Kind.STATEMENT, entry.pk),
        [Line(debit, credit, line.amount_minor, line.kind)],
        payment=None,
        currency=line.currency,
        correlation_id=entry.pk,
        at=line.at,
    )
    return True


def _refuse_invalid(line: StatementLine) -> None:
    if not line.name.strip() or len(line.name) > LONGEST_NAME:
        raise InvalidStatementLine(f"A line has a name of 1 to {LONGEST_NAME} characters, not {line.name!r}.")
    if not 0 < line.amount_minor <= MAX_MINOR:
        raise InvalidStatementLine(f"Line {line.name!r}: an amount is a positive number of minor units.")
    try:
        exponent(line.currency)
    except ValueError as error:
        raise InvalidStatementLine(f"Line {line.name!r}: {line.currency!r} is not a currency.") from error
