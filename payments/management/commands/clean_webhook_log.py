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
        parser.add_argument("--dry-run", action="store_true", help="say how many there are and delete none")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, dry_run: bool, json: bool, **_options: Any) -> None:
        days = settings.HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS
        if dry_run:
            self._tell({"outdated": retention.outdated(days), "days": days, "dry_run": True}, as_json=json)
            return
        stopping = Event()
        for received in (signal.SIGTERM, signal.SIGINT):
            signal.signal(received, lambda *_received: stopping.set())
        deleted = retention.clean(days, stopping=stopping, tell=self._progress)
        self._tell({"deleted": deleted, "days": days, "stopped": stopping.is_set()}, as_json=json)

    def _progress(self, done: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"{done} deleted", ending="\r")

    def _tell(self, told: dict[str, object], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in told.items()))
