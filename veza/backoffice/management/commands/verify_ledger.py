"""Prove the whole ledger: every payment, and every machine against its postings."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.models import Payment
from veza.backoffice.proof import prove_all

SHOWN = 20
PROGRESS_EVERY_SECONDS = 0.2


class Command(BaseCommand):
    help = "Compare every payment's postings with its rows. Exit status 1 when anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        total, proved, found = Payment.objects.count(), 0, []
        shown_at = time.monotonic()
        for proof in prove_all():
            found += proof.differences
            proved += 1
            if self.stderr.isatty() and time.monotonic() - shown_at > PROGRESS_EVERY_SECONDS:
                shown_at = time.monotonic()
                self.stderr.write(f"\r{proved}/{total} payments", ending="")
        for line in found[:SHOWN]:
            self.stderr.write(line)
        summary = {"ok": not found, "payments": proved, "differences": len(found)}
        self.stdout.write(json.dumps(summary) if options["json"] else f"{proved} payments, {len(found)} differences")
        if found:
            raise CommandError(f"{len(found)} differences between the ledger and the rows", returncode=1)
