"""Turn buyers and sellers away for a while, let them in again, or tell which it is."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veza.core.causes import Cause
from veza.core.platform import maintenance, set_maintenance


class Command(BaseCommand):
    help = "Maintenance mode: buyers and sellers get 503 and Retry-After; webhooks, workers and staff go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=("on", "off", "status"))
        parser.add_argument("--message", default="", help="what buyers and sellers are told")
        parser.add_argument("--retry-after-seconds", type=int, help="when their programs come back (120)")
        parser.add_argument("--by", default="", help="who switches it, for those who ask later")
        parser.add_argument("--reason", default="", help="why, for those who ask later")
        parser.add_argument("--dry-run", action="store_true", help="change nothing")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, what: str, dry_run: bool, **options: Any) -> None:
        changed = False
        if what != "status":
            changed = (maintenance() is not None) != (what == "on")
            if not dry_run:
                self._switch(what, **options)
        told = {"on": maintenance() is not None, "changed": changed and not dry_run, "would_change": changed}
        if options["json"]:
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write("Buyers and sellers are turned away." if told["on"] else "Buyers and sellers are let in.")
        if dry_run and changed:
            self.stdout.write(f"Switching it {what} would change that; nothing was changed.")

    def _switch(self, what: str, **options: Any) -> None:
        set_maintenance(
            on=what == "on",
            cause=Cause("command", actor=options["by"] or "manage.py maintenance", reason=options["reason"]),
            message=options["message"],
            retry_after_seconds=options["retry_after_seconds"],
        )
