"""Prove the whole ledger: every payment, and every machine against its postings."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connect.models import SellerTransfer, TransferReversal
from payments.ledger.statements import BY_STATEMENT
from payments.models import Dispute, Payment, Posting, Refund
from veza.backoffice.proof import prove_all

SHOWN = 20
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
        proved, differences, first = 0, 0, list[str]()
        shown_at = time.monotonic()
        for proof in prove_all():
            proved += 1
            for line in proof.differences:
                differences += 1
                first += [line][: SHOWN - len(first)]
            if self.stderr.isatty() and time.monotonic() - shown_at > PROGRESS_EVERY_SECONDS:
                shown_at = time.monotonic()
                self._progress(proved, counts["payments"])
        unexplained = Posting.objects.filter(payment__isnull=True).exclude(reference__startswith=BY_STATEMENT)
        if loose := unexplained.count():
            differences += loose
            first.append(f"{loose} postings belong to no payment")
        self._end(counts | {"payments": proved}, differences, first, as_json=options["json"])

    def _progress(self, proved: int, total: int) -> None:
        done = min(BAR, BAR * proved // max(total, 1))
        self.stderr.write(f"\r[{'#' * done}{'.' * (BAR - done)}] {proved}/{total} payments", ending="")

    def _end(self, counts: dict[str, int], differences: int, first: list[str], *, as_json: bool) -> None:
        if self.stderr.isatty():
            self.stderr.write("")
        for line in first:
            self.stderr.write(line)
        if as_json:
            self.stdout.write(json.dumps({"ok": not differences, **counts, "differences": differences}))
        else:
            proved = ", ".join(f"{count} {name}" for name, count in counts.items())
            self.stdout.write(f"{proved}: {differences} differences")
        if differences:
            raise CommandError(f"{differences} differences between the ledger and the rows", returncode=1)
