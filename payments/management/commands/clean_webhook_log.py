import json
import signal
from argparse import ArgumentParser
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from payments.inbox import retention


class Command(BaseCommand):
    help = "Delete webhook deliveries older than HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS, in batches."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count them and delete none")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, dry_run: bool, json: bool, **_options: Any) -> None:
        days = settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS
        if dry_run:
            self._write({"outdated": retention.count_outdated(days), "days": days, "dry_run": True}, as_json=json)
            return
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_arguments: stopping.set())
        count = retention.clean(days, stopping=stopping, report_progress=self._write_progress)
        self._write({"deleted": count, "days": days, "stopped": stopping.is_set()}, as_json=json)

    def _write_progress(self, count: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"{count} deleted", ending="\r")

    def _write(self, summary: dict[str, object], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(summary))
            return
        self.stdout.write(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in summary.items()))
