"""What the two commands that drain due transfers by hand have in common."""

import json
from abc import abstractmethod
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connect.models import SellerTransfer, SellerTransferQuerySet
from veza.core.causes import Cause
from veza.core.sweeps import Tally

SHOWN = 50


class DrainCommand(BaseCommand):
    """Do now what the worker does by the clock. Exits with 1 when a row failed on our own side."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show what is due and change nothing")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")
        parser.add_argument("--given-up", action="store_true", help="also try again what was given up")

    @abstractmethod
    def due(self) -> SellerTransferQuerySet:
        """The rows the worker would take."""

    @abstractmethod
    def given_up(self) -> SellerTransferQuerySet:
        """The rows that wait for a person."""

    @abstractmethod
    def retry(self, row: SellerTransfer, *, cause: Cause) -> object:
        """Make one given-up row due again."""

    @abstractmethod
    def drain(self) -> Tally:
        """One tick of work."""

    def handle(self, *, dry_run: bool, given_up: bool, **options: Any) -> None:
        """Show, or make the given-up rows due and drain."""
        rows = list(self.given_up()) if given_up else []
        if dry_run:
            self._show([*self.due()[:SHOWN], *rows], as_json=options["json"])
            return
        cause = Cause("command", actor=self.__module__.rpartition(".")[2])
        for row in rows:
            self.retry(row, cause=cause)
        tally = self._all()
        told = {"done": tally.done, "failed": tally.failed, "retried": len(rows)}
        self.stdout.write(json.dumps(told) if options["json"] else _sentence(tally, len(rows)))
        if tally.failed:
            raise CommandError(f"{tally.failed} rows failed; the last: {tally.last_error}")

    def _all(self) -> Tally:
        """Tick after tick until nothing is due."""
        tally = self.drain()
        while tally.unfinished:
            last = self.drain()
            tally = Tally(
                tally.done + last.done, tally.failed + last.failed, last.last_error or tally.last_error, last.unfinished
            )
        return tally

    def _show(self, rows: list[SellerTransfer], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"due": [str(row.pk) for row in rows], "dry_run": True}))
            return
        for row in rows:
            amount = row.owed() if row.stripe_transfer_id else row.amount()
            self.stdout.write(f"{row.pk}  {row.status:18}  {amount:>14}  {row.last_error[:60]}")
        self.stdout.write(f"{len(rows)} would be tried; nothing was changed.")


def _sentence(tally: Tally, retried: int) -> str:
    again = f", {retried} of them had been given up" if retried else ""
    return f"{tally.done} tried{again}; {tally.failed} failed on our own side."
