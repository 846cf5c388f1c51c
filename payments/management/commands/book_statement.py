import csv
import json
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from payments.ledger.statement_kinds import STATEMENT_KINDS
from payments.ledger.statements import InvalidStatementLine, StatementLine, book_statement_line
from veza.core.words import count_of

COLUMNS = ("line", "kind", "amount_minor", "currency", "date")
# Of a difference and of a correction; a file without either needs none of them.
DETAILS = ("account", "corrects", "reason")


class Command(BaseCommand):
    help = (
        "Book what only a statement shows, from a CSV file with the columns "
        f"{', '.join(COLUMNS)}, and {', '.join(DETAILS)} where a line is a difference or corrects another. "
        f"Kinds: {'; '.join(f'{name}, {kind.what}' for name, kind in STATEMENT_KINDS.items())}. "
        "A line is booked once, however often the file is read. Exit status 1 when a line is invalid; the others are "
        "booked nevertheless."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check every line and book none")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, file: Path, dry_run: bool, **options: Any) -> None:
        """Book line by line, report invalid ones, and end with the counts."""
        counts = {"booked": 0, "known": 0, "wrong": 0}
        # A correction has to find the line that it corrects, also when neither is booked in the end.
        with transaction.atomic() if dry_run else nullcontext():
            for number, row in _rows(file):
                try:
                    counts["booked" if book_statement_line(_parse(row)) else "known"] += 1
                except InvalidStatementLine as error:
                    counts["wrong"] += 1
                    self.stderr.write(f"row {number}: {error.text}")
            if dry_run:
                transaction.set_rollback(True)
        summary = {**counts, "dry_run": dry_run}
        verb = "would be booked" if dry_run else "booked"
        sentence = f"{counts['booked']} {verb}, {counts['known']} booked before, {counts['wrong']} invalid."
        self.stdout.write(json.dumps(summary) if options["json"] else sentence)
        if counts["wrong"]:
            raise CommandError(f"Not booked: {count_of(counts['wrong'], 'invalid line')}.", returncode=1)


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if missing := set(COLUMNS) - set(rows.fieldnames or ()):
                raise CommandError(f"{file} lacks the columns {', '.join(sorted(missing))}.")
            for row in rows:
                yield rows.line_num, {name: (row.get(name) or "").strip() for name in (*COLUMNS, *DETAILS)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error


def _parse(row: dict[str, str]) -> StatementLine:
    name, kind, amount, day = row["line"], row["kind"], row["amount_minor"], row["date"]
    if not re.fullmatch(r"-?[0-9]{1,16}", amount):
        raise InvalidStatementLine(f"Line {name!r}: amount_minor is {amount!r}, and has to be whole minor units.")
    try:
        at = datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)
    except ValueError as error:
        raise InvalidStatementLine(f"Line {name!r}: date is {day!r}, and has to be written like 2026-11-24.") from error
    details = {column: row[column] for column in DETAILS}
    return StatementLine(name, kind, int(amount), row["currency"].upper(), at, **details)
