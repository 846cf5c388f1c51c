"""Prove the whole ledger: every payment by what it must have posted, and every account by what it must hold."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connect.models import SellerTransfer, TransferReversal
from payments.models import Dispute, Payment, Posting, Refund
from veza.backoffice.verification import faults_of_ledger
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
    help = "Prove that every cent is where the books say it is. Exit status 1 when anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        """Prove every payment, show the first differences, and end with the counts."""
        counts = {"payments": Payment.objects.count()}
        counts |= {name: model._default_manager.count() for name, model in COUNTED.items()}
        self._shown_at, total = time.monotonic(), counts["payments"]
        counts["payments"], differences, first = 0, 0, list[str]()

        def tell(proved: int) -> None:
            counts["payments"] = proved
            self._progress(proved, total)

        for _, fault in faults_of_ledger(tell):
            differences += 1
            first += [str(fault)][: MAX_LINES - len(first)]
        self._end(counts, differences, first, as_json=options["json"])

    def _progress(self, proved: int, total: int) -> None:
        if not self.stderr.isatty() or time.monotonic() - self._shown_at <= PROGRESS_EVERY_SECONDS:
            return
        self._shown_at = time.monotonic()
        width = min(BAR, BAR * proved // max(total, 1))
        self.stderr.write(f"\r[{'#' * width}{'.' * (BAR - width)}] {proved}/{total} payments", ending="")

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
