import json
import signal
from argparse import ArgumentParser
from threading import Event
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from payments.models import Dispute, Payment, Refund
from payments.reconciliation import refresh
from veza.core.causes import Cause

SHOWN = 50


class Command(BaseCommand):
    help = "Ask Hyperswitch about payments, refunds and disputes that should have been settled by now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="until nothing is due; without it, again every RECONCILE_INTERVAL"
        )
        parser.add_argument("--dry-run", action="store_true", help="show what would be asked about and ask nothing")
        parser.add_argument("--order", type=UUID, metavar="ID", help="only this order (or subscription), now")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line a minute")

    def handle(self, *, once: bool, dry_run: bool, order: UUID | None, json: bool, **_options: Any) -> None:
        cause = refresh.by_reconciler("manage.py reconcile_hyperswitch")
        if dry_run:
            self._show(_rows(order), as_json=json)
        elif order is not None:
            params = refresh.refresh_correlated(order, cause=cause)
            self._tell({"asked": params, "failed": 0}, as_json=json)
        elif once:
            self._until_nothing_is_due(cause, as_json=json)
        else:
            self._go_on(cause, as_json=json)

    def _until_nothing_is_due(self, cause: Cause, *, as_json: bool) -> None:
        failed, finished = 0, False
        while not finished:
            newly_failed, finished = self._round(cause, as_json=as_json)
            failed += newly_failed
        if failed:
            raise CommandError(f"{failed} rows failed on our own side: the log says why.")

    def _go_on(self, cause: Cause, *, as_json: bool) -> None:
        stopping = Event()
        signal.signal(signal.SIGTERM, lambda *_received: stopping.set())
        while not stopping.is_set():
            _failed, finished = self._round(cause, as_json=as_json)  # A poisoned row must not end it.
            stopping.wait(settings.RECONCILE_INTERVAL.total_seconds() if finished else 0)

    def _round(self, cause: Cause, *, as_json: bool) -> tuple[int, bool]:
        """Ask about what is stuck, a minute at most, and tell; how many rows failed, and whether none is left."""
        tallies = refresh.run(cause=cause)
        failed = sum(tally.failed for tally in tallies.values())
        told = {kind: tally.done for kind, tally in tallies.items()}
        self._tell({"asked": sum(told.values()), "failed": failed, **told}, as_json=as_json)
        return failed, not any(tally.unfinished for tally in tallies.values())

    def _tell(self, told: dict[str, int], *, as_json: bool) -> None:
        self.stdout.write(json.dumps(told) if as_json else f"Asked about {told['asked']}; {told['failed']} failed.")

    def _show(self, rows: list[Payment | Refund | Dispute], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"would_ask": [str(row.pk) for row in rows], "dry_run": True}))
            return
        for row in rows[:SHOWN]:
            self.stdout.write(f"{row._meta.verbose_name:8} {row.pk}  {row.status:10}  since {row.created_at:%F %T}")
        self.stdout.write(f"{len(rows)} would be asked about; nothing was changed.")


def _rows(order: UUID | None) -> list[Payment | Refund | Dispute]:
    if order is not None:
        payments, refunds, disputes = refresh.open_rows_of(order)
        return [*payments, *refunds, *disputes]
    stuck = [*refresh.stuck_refunds(), *refresh.orphan_refunds()]
    return [*refresh.stuck_payments(), *stuck, *refresh.due_disputes()]
