import json
import signal
from argparse import ArgumentParser
from dataclasses import asdict
from threading import Event
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from payments.models import Dispute, Payment, Refund
from payments.reconciliation import listings, refresh
from veza.core.causes import Cause
from veza.core.words import count_of

MAX_LINES = 50


class Command(BaseCommand):
    help = "Refresh from Hyperswitch the payments, refunds and disputes that should be final by now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="until nothing is due; without it, again every RECONCILE_INTERVAL"
        )
        parser.add_argument("--dry-run", action="store_true", help="show what would be refreshed and make no call")
        parser.add_argument("--order", type=UUID, metavar="ID", help="only this order (or subscription), now")
        parser.add_argument(
            "--lists", action="store_true", help="compare Hyperswitch's lists with our rows, as beat does hourly"
        )
        parser.add_argument("--json", action="store_true", help="answer with one JSON line a minute")

    def handle(
        self, *, once: bool, dry_run: bool, order: UUID | None, lists: bool, json: bool, **_options: Any
    ) -> None:
        cause = refresh.by_reconciler("manage.py reconcile_hyperswitch")
        if lists:
            self._compare_lists(cause, as_json=json)
        elif dry_run:
            self._show(_rows(order), as_json=json)
        elif order is not None:
            count = refresh.refresh_correlated(order, cause=cause)
            self._write({"asked": count, "failed": 0}, as_json=json)
        elif once:
            self._until_nothing_is_due(cause, as_json=json)
        else:
            self._run_for_ever(cause, as_json=json)

    def _compare_lists(self, cause: Cause, *, as_json: bool) -> None:
        findings = listings.compare(cause=cause)
        calls = findings.calls + findings.refreshed
        sentence = (
            f"Compared {count_of(findings.entries, 'object')} in {count_of(calls, 'call')}: "
            f"{findings.imports} imported, {findings.refreshed} read again, {findings.failures} failed."
        )
        self.stdout.write(json.dumps(asdict(findings)) if as_json else sentence)
        if findings.failures or not findings.complete:
            raise CommandError(f"{findings.last_error}. The log has the errors.")

    def _until_nothing_is_due(self, cause: Cause, *, as_json: bool) -> None:
        failures, is_complete = 0, False
        while not is_complete:
            round_failures, is_complete = self._run_round(cause, as_json=as_json)
            failures += round_failures
        if failures:
            raise CommandError(f"{count_of(failures, 'row')} failed in Veza: the log has the errors.")

    def _run_for_ever(self, cause: Cause, *, as_json: bool) -> None:
        stopping = Event()
        signal.signal(signal.SIGTERM, lambda *_arguments: stopping.set())
        while not stopping.is_set():
            _failures, is_complete = self._run_round(cause, as_json=as_json)  # One row's error must not end it.
            stopping.wait(settings.RECONCILE_INTERVAL.total_seconds() if is_complete else 0)

    def _run_round(self, cause: Cause, *, as_json: bool) -> tuple[int, bool]:
        """Refresh what is stuck, for a minute at most; how many rows failed, and whether none remains."""
        tallies = refresh.run(cause=cause)
        failures = sum(tally.failed for tally in tallies.values())
        counts = {kind: tally.done for kind, tally in tallies.items()}
        self._write({"asked": sum(counts.values()), "failed": failures, **counts}, as_json=as_json)
        return failures, not any(tally.unfinished for tally in tallies.values())

    def _write(self, summary: dict[str, int], *, as_json: bool) -> None:
        count, failures = summary["asked"], summary["failed"]
        self.stdout.write(
            json.dumps(summary) if as_json else f"Refreshed {count_of(count, 'item')}; {failures} failed."
        )

    def _show(self, rows: list[Payment | Refund | Dispute], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"would_ask": [str(row.pk) for row in rows], "dry_run": True}))
            return
        for row in rows[:MAX_LINES]:
            self.stdout.write(f"{row._meta.verbose_name:8} {row.pk}  {row.status:10}  since {row.created_at:%F %T}")
        self.stdout.write(f"{count_of(len(rows), 'item')} would be refreshed; nothing was changed.")


def _rows(order: UUID | None) -> list[Payment | Refund | Dispute]:
    if order is not None:
        payments, refunds, disputes = refresh.open_rows_of(order)
        return [*payments, *refunds, *disputes]
    stuck = [*refresh.stuck_refunds(), *refresh.orphan_refunds()]
    return [*refresh.stuck_payments(), *stuck, *refresh.due_disputes()]
