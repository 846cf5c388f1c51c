"""What only a statement tells: money that went from the provider to our balance at Stripe, and what the provider kept.

No webhook brings these. An operator books them, line by line, from the provider's statement or the bank's.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_OID, uuid5

from django.db import transaction

from payments.ledger.chart_of_accounts import PSP_CLEARING, PSP_FEES, STRIPE_BALANCE
from payments.ledger.postings import Line, post
from payments.models import Posting
from veza.core.errors import NotAllowed
from veza.core.money import MAX_MINOR, exponent

LONGEST_NAME = 100
# How the causes of these postings begin: they belong to no payment.
BY_STATEMENT = "statement:"


class StatementKind(StrEnum):
    """What a line of a statement is: money paid into our Stripe balance, or a fee the provider kept."""

    TOP_UP = "top_up"
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


_LEGS = {
    StatementKind.TOP_UP: (STRIPE_BALANCE, "in"),
    StatementKind.FEE: (PSP_FEES, "fee"),
}


@transaction.atomic
def book_statement_line(line: StatementLine) -> bool:
    """Book one line; False when it was booked before, as it is.

    Raises StatementLineWrong when the line makes no sense, or was booked before with something else in it.
    """
    _refuse_nonsense(line)
    debit, leg = _LEGS[line.kind]
    cause = f"{BY_STATEMENT}{line.name}"
    earlier = Posting.objects.filter(reference=cause).first()
    if earlier is not None:
        payload = (earlier.debit_id, earlier.amount_minor, earlier.currency, earlier.at)
        if payload != (debit, line.amount_minor, line.currency, line.at):
            raise InvalidStatementLine(f"Line {line.name!r} was booked before, and differently. Nothing was changed.")
        return False
    story = uuid5(NAMESPACE_OID, cause)  # A line of a statement is a story of its own: it belongs to no order.
    lines = [Line(debit, PSP_CLEARING, line.amount_minor, leg)]
    post(cause, lines, payment=None, currency=line.currency, correlation_id=story, at=line.at)
    return True


def _refuse_nonsense(line: StatementLine) -> None:
    if not line.name.strip() or len(line.name) > LONGEST_NAME:
        raise InvalidStatementLine(f"A line has a name of 1 to {LONGEST_NAME} characters, not {line.name!r}.")
    if not 0 < line.amount_minor <= MAX_MINOR:
        raise InvalidStatementLine(f"Line {line.name!r}: an amount is a positive number of minor units.")
    try:
        exponent(line.currency)
    except ValueError as error:
        raise InvalidStatementLine(f"Line {line.name!r}: {line.currency!r} is no currency.") from error
