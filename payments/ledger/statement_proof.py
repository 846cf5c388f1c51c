"""The proof of what finance booked from statements: each entry has its posting, and each correction its line."""

from collections.abc import Iterator
from itertools import islice

from payments.ledger.proof import Entry, Fault, faults_between
from payments.ledger.statement_kinds import DIFFERENCE, ON_A_STATEMENT
from payments.ledger.statements import accounts_of
from payments.models import Posting, StatementEntry
from veza.core.money import format_amount


def statement_faults(chunk: int) -> Iterator[Fault]:
    """Everything that is wrong with statement entries and with postings of no payment, `chunk` entries at a time."""
    entries = StatementEntry.objects.select_related("corrects").order_by("pk").iterator(chunk_size=chunk)
    while batch := list(islice(entries, chunk)):
        rows = Posting.objects.filter(kind=Posting.Kind.STATEMENT, subject_id__in=[one.pk for one in batch])
        yield from faults_between([_expected(one) for one in batch], [_entry(row) for row in rows])
        for one in batch:
            yield from _contradictions(one)
    loose = Posting.objects.filter(payment__isnull=True).exclude(
        kind=Posting.Kind.STATEMENT, subject_id__in=StatementEntry.objects.values("pk")
    )
    for row in loose.order_by("pk").iterator(chunk_size=chunk):
        yield _entry(row).fault("posted and explained by nothing")


def _contradictions(entry: StatementEntry) -> Iterator[Fault]:
    """A difference is in what a statement shows; a correction repeats the line that it moves back, and is final."""
    what = f"statement entry {entry.name!r} of {format_amount(entry.amount_minor, entry.currency)}"
    if entry.kind == DIFFERENCE and entry.account not in ON_A_STATEMENT:
        text = f"{what} takes from {entry.account}, which no statement shows"
        yield Fault(text, abs(entry.amount_minor), entry.currency)
    if entry.corrects_id is None:
        return
    corrected = entry.corrects
    if corrected is None or _facts(corrected) != _facts(entry) or corrected.corrects_id is not None:
        text = f"{what} corrects no entry of its kind and amount"
        yield Fault(text, abs(entry.amount_minor), entry.currency)


def _facts(entry: StatementEntry) -> tuple[str, int, str, str]:
    return entry.kind, entry.amount_minor, entry.currency, entry.account


def _expected(one: StatementEntry) -> Entry:
    debit, credit = accounts_of(one)
    return Entry(Posting.Kind.STATEMENT, one.pk, 0, debit, credit, abs(one.amount_minor), one.currency)


def _entry(row: Posting) -> Entry:
    return Entry(row.kind, row.subject_id, row.number, row.debit_id, row.credit_id, row.amount_minor, row.currency)
