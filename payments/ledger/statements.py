"""What only a statement shows: settlements, top-ups, fees, reserves, taxes paid, and what differs from our books.

No webhook reports these. Finance books them, line by line, from the provider's statement or the bank's. A line is never
changed: a correction moves its money back, and the right line is booked beside it.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from payments.ledger.postings import Line, Reference, post
from payments.ledger.statement_kinds import DIFFERENCE, ON_A_STATEMENT, STATEMENT_KINDS, moved_between
from payments.models import Posting, StatementEntry
from veza.core.errors import NotAllowed
from veza.core.money import MAX_MINOR, exponent

LONGEST_NAME = 100
LONGEST_REASON = 500


class InvalidStatementLine(NotAllowed):
    code = "statement_line_wrong"


@dataclass(frozen=True)
class StatementLine:
    """One line, of a kind in `STATEMENT_KINDS`. `name` is the statement's own id of it: it is booked once.

    `amount_minor` is in `currency`, and negative only for a difference in our favour. A difference names the `account`
    that differs. `corrects` is the name of the line that this one moves back. Both give a reason.
    """

    name: str
    kind: str
    amount_minor: int
    currency: str
    at: datetime
    account: str = ""
    corrects: str = ""
    reason: str = ""


@transaction.atomic
def book_statement_line(line: StatementLine) -> bool:
    """Book one line; False when the same line was booked before.

    Raises InvalidStatementLine when a value is invalid, or the line was booked before with other values.
    """
    _refuse_invalid(line)
    corrected = _lock_corrected(line)
    facts = {
        "kind": line.kind,
        "amount_minor": line.amount_minor,
        "currency": line.currency,
        "at": line.at,
        "account": line.account,
        "corrects": corrected,
        "reason": line.reason,
    }
    entry, is_new = StatementEntry.objects.get_or_create(name=line.name, defaults=facts)
    if not is_new:
        if any(getattr(entry, name) != value for name, value in facts.items()):
            raise InvalidStatementLine(f"Line {line.name!r} was booked before, and differently. Nothing was changed.")
        return False
    debit, credit = accounts_of(entry)
    # A line of a statement belongs to no order: it has a history of its own.
    post(
        Reference(Posting.Kind.STATEMENT, entry.pk),
        [Line(debit, credit, abs(line.amount_minor), line.kind)],
        payment=None,
        currency=line.currency,
        correlation_id=entry.pk,
        at=line.at,
    )
    return True


def accounts_of(entry: StatementEntry) -> tuple[str, str]:
    """The accounts that a booked line debits and credits."""
    is_correction, is_in_our_favour = entry.corrects_id is not None, entry.amount_minor < 0
    return moved_between(entry.kind, entry.account, is_back=is_correction != is_in_our_favour)


def _lock_corrected(line: StatementLine) -> StatementEntry | None:
    """The line that this one corrects, locked: a line is corrected once."""
    if not line.corrects:
        return None
    entry = StatementEntry.objects.select_for_update().filter(name=line.corrects).first()
    if entry is None or entry.corrects_id is not None:
        raise InvalidStatementLine(f"Line {line.name!r} corrects {line.corrects!r}, which is no line that was booked.")
    own = (line.kind, line.amount_minor, line.currency, line.account)
    if own != (entry.kind, entry.amount_minor, entry.currency, entry.account):
        raise InvalidStatementLine(f"Line {line.name!r} has to repeat the kind and amount of {line.corrects!r}.")
    if StatementEntry.objects.filter(corrects=entry).exclude(name=line.name).exists():
        raise InvalidStatementLine(f"Line {line.corrects!r} was corrected before.")
    return entry


def _refuse_invalid(line: StatementLine) -> None:
    if not line.name.strip() or len(line.name) > LONGEST_NAME:
        raise InvalidStatementLine(f"A line has a name of 1 to {LONGEST_NAME} characters, not {line.name!r}.")
    if line.kind not in STATEMENT_KINDS:
        kinds = ", ".join(STATEMENT_KINDS)
        raise InvalidStatementLine(f"Line {line.name!r}: kind is {line.kind!r}, and may be one of {kinds}.")
    least_minor = -MAX_MINOR if line.kind == DIFFERENCE else 1
    if not least_minor <= line.amount_minor <= MAX_MINOR or line.amount_minor == 0:
        raise InvalidStatementLine(f"Line {line.name!r}: an amount is a positive number of minor units.")
    try:
        exponent(line.currency)
    except ValueError as error:
        raise InvalidStatementLine(f"Line {line.name!r}: {line.currency!r} is not a currency.") from error
    _refuse_invalid_details(line)


def _refuse_invalid_details(line: StatementLine) -> None:
    """Only a difference names an account; a difference and a correction say why."""
    accounts = ON_A_STATEMENT if line.kind == DIFFERENCE else ("",)
    if line.account not in accounts:
        allowed = ", ".join(accounts) or "empty"
        raise InvalidStatementLine(f"Line {line.name!r}: account is {line.account!r}, and may be {allowed}.")
    if len(line.reason) > LONGEST_REASON or ((line.corrects or line.account) and not line.reason.strip()):
        raise InvalidStatementLine(
            f"Line {line.name!r}: a difference or correction needs a reason of at most {LONGEST_REASON} characters."
        )
