"""Prove the whole ledger: every payment, and every machine against its postings."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connect.models import SellerTransfer, TransferReversal
from payments.ledger.statements import BY_STATEMENT
from payments.models import Dispute, Payment, Posting, Refund
from veza.backoffice.proof import prove_all
from veza.core.words import count_of

MAX_LINES = 20
PROGRESS_EVERY_SECONDS = 0.2
BAR = 30
COUNTED = {
    "postings": Posting,
    "refunds": Refund,
    "disputes": Dispute,
    "transfers": SellerTransfer,
    "reversals": TransferReversal,
}


class Command(BaseCommand):
    help = "Compare every payment's postings with its rows. Exit status 1 when anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        """Prove every payment, show the first differences, and end with the counts."""
        counts = {"payments": Payment.objects.count()}
        counts |= {name: model._default_manager.count() for name, model in COUNTED.items()}
        count, differences, first = 0, 0, list[str]()
        shown_at = time.monotonic()
        for proof in prove_all():
            count += 1
            for line in proof.differences:
                differences += 1
                first += [line][: MAX_LINES - len(first)]
            if self.stderr.isatty() and time.monotonic() - shown_at > PROGRESS_EVERY_SECONDS:
                shown_at = time.monotonic()
                self._progress(count, counts["payments"])
        orphans = Posting.objects.filter(payment__isnull=True).exclude(reference__startswith=BY_STATEMENT).count()
        if orphans:
            differences += orphans
            first.append(f"{count_of(orphans, 'posting')} without a payment")
        self._end(counts | {"payments": count}, differences, first, as_json=options["json"])

    def _progress(self, count: int, total: int) -> None:
        width = min(BAR, BAR * count // max(total, 1))
        self.stderr.write(f"\r[{'#' * width}{'.' * (BAR - width)}] {count}/{total} payments", ending="")

    def _end(self, counts: dict[str, int], differences: int, first: list[str], *, as_json: bool) -> None:
        if self.stderr.isatty():
            self.stderr.write("")
        for line in first:
            self.stderr.write(line)
        if as_json:
            self.stdout.write(json.dumps({"ok": not differences, **counts, "differences": differences}))
        else:
            figures = ", ".join(count_of(count, name.removesuffix("s")) for name, count in counts.items())
            self.stdout.write(f"{figures}: {count_of(differences, 'difference')}")
        if differences:
            raise CommandError(f"{count_of(differences, 'difference')} between the ledger and the rows", returncode=1)
