"""The shared base of the two commands that drain due transfers by hand."""

import json
from abc import abstractmethod
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connect.models import SellerTransfer, SellerTransferQuerySet
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.sweeps import Tally

MOST_ROWS = 50


class DrainCommand(BaseCommand):
    """Run the worker's sweep now. Exits with 1 when a row raised an error of our own."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show what is due and change nothing")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")
        parser.add_argument("--given-up", action="store_true", help="also retry what failed and needs review")

    @abstractmethod
    def due(self) -> SellerTransferQuerySet:
        """The rows the worker would drain."""

    @abstractmethod
    def failures(self) -> SellerTransferQuerySet:
        """The rows that failed and need review."""

    @abstractmethod
    def retry(self, row: SellerTransfer, *, cause: Cause) -> object:
        """Make one failed row due again."""

    @abstractmethod
    def drain(self) -> Tally:
        """One tick of work."""

    def handle(self, *, dry_run: bool, given_up: bool, **options: Any) -> None:
        """Show what is due, or make failed rows due as well and drain."""
        rows = list(self.failures()) if given_up else []
        if dry_run:
            self._show([*self.due()[:MOST_ROWS], *rows], as_json=options["json"])
            return
        cause = Cause("command", actor=self.__module__.rpartition(".")[2])
        rows = [row for row in rows if self._may_retry(row, cause=cause)]
        tally = self._all()
        counts = {"done": tally.done, "failed": tally.failed, "retried": len(rows)}
        self.stdout.write(json.dumps(counts) if options["json"] else _sentence(tally, len(rows)))
        if tally.failed:
            raise CommandError(f"{_count(tally.failed, 'row')} failed; last error: {tally.last_error}")

    def _may_retry(self, row: SellerTransfer, *, cause: Cause) -> bool:
        """Retry one row; a row that cannot be retried now is named and left as it is."""
        try:
            self.retry(row, cause=cause)
        except NotAllowed as error:
            self.stderr.write(f"{row.pk}: {error.text}")
            return False
        return True

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
            amount = row.outstanding() if row.stripe_transfer_id else row.amount()
            self.stdout.write(f"{row.pk}  {row.status:18}  {amount:>14}  {row.last_error[:60]}")
        self.stdout.write(f"{_count(len(rows), 'row')} would be attempted; nothing was changed.")


def _sentence(tally: Tally, retries: int) -> str:
    again = f", {retries} of them retried after a failure" if retries else ""
    return f"{_count(tally.done, 'row')} attempted{again}; {tally.failed} raised an error of our own."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
