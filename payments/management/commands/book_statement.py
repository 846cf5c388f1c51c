import csv
import json
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from payments.ledger.statements import InvalidStatementLine, StatementKind, StatementLine, book_statement_line

COLUMNS = ("line", "kind", "amount_minor", "currency", "date")


class Command(BaseCommand):
    help = (
        "Book what only a statement tells, from a CSV file with the columns "
        f"{', '.join(COLUMNS)}: kind is top_up (paid into our Stripe balance) or fee (kept by the provider). "
        "A line is booked once, however often the file is read. Exit status 1 when a line is wrong; the others are "
        "booked all the same."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check every line and book none")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, file: Path, dry_run: bool, **options: Any) -> None:
        """Book line by line, tell what is wrong, and end with the counts."""
        counts = {"booked": 0, "known": 0, "wrong": 0}
        for number, payload in _rows(file):
            try:
                counts["booked" if _book(payload, dry_run=dry_run) else "known"] += 1
            except InvalidStatementLine as error:
                counts["wrong"] += 1
                self.stderr.write(f"row {number}: {error.text}")
        told = {**counts, "dry_run": dry_run}
        done = "would be booked" if dry_run else "booked"
        sentence = f"{counts['booked']} {done}, {counts['known']} known already, {counts['wrong']} wrong."
        self.stdout.write(json.dumps(told) if options["json"] else sentence)
        if counts["wrong"]:
            raise CommandError(f"{counts['wrong']} lines are wrong and were not booked.", returncode=1)


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as read:
            rows = csv.DictReader(read)
            if missing := set(COLUMNS) - set(rows.fieldnames or ()):
                raise CommandError(f"{file} lacks the columns {', '.join(sorted(missing))}.")
            for row in rows:
                yield rows.line_num, {name: (row[name] or "").strip() for name in COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error


def _book(payload: dict[str, str], *, dry_run: bool) -> bool:
    with transaction.atomic():
        newly = book_statement_line(_read(payload))
        transaction.set_rollback(dry_run)
    return newly


def _read(payload: dict[str, str]) -> StatementLine:
    name, kind, amount, day = payload["line"], payload["kind"], payload["amount_minor"], payload["date"]
    if kind not in set(StatementKind):
        raise InvalidStatementLine(f"Line {name!r}: kind is {kind!r}, and may be {' or '.join(StatementKind)}.")
    if not re.fullmatch(r"[0-9]{1,16}", amount):
        raise InvalidStatementLine(f"Line {name!r}: amount_minor is {amount!r}, and has to be whole minor units.")
    try:
        at = datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)
    except ValueError as error:
        raise InvalidStatementLine(f"Line {name!r}: date is {day!r}, and has to be written like 2026-11-24.") from error
    return StatementLine(name, StatementKind(kind), int(amount), payload["currency"].upper(), at)
