"""Turn maintenance mode on or off, or show whether it is on."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from veza.core.causes import Cause
from veza.core.platform import maintenance, set_maintenance


class Command(BaseCommand):
    help = "Maintenance mode: buyers and sellers get 503 and Retry-After; webhooks, workers and staff go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=("on", "off", "status"))
        parser.add_argument("--message", default="", help="the message for buyers and sellers")
        parser.add_argument("--retry-after-seconds", type=int, help="when their programs should retry (120)")
        parser.add_argument("--by", default="", help="who turns it on or off, for the record")
        parser.add_argument("--reason", default="", help="why, for the record")
        parser.add_argument("--dry-run", action="store_true", help="change nothing")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, what: str, dry_run: bool, **options: Any) -> None:
        is_change = False
        if what != "status":
            is_change = (maintenance() is not None) != (what == "on")
            if not dry_run:
                self._switch(what, **options)
        result = {"on": maintenance() is not None, "changed": is_change and not dry_run, "would_change": is_change}
        if options["json"]:
            self.stdout.write(json.dumps(result))
            return
        self.stdout.write("Maintenance mode is on." if result["on"] else "Maintenance mode is off.")
        if dry_run and is_change:
            self.stdout.write(f"Turning it {what} would change that; nothing was changed.")

    def _switch(self, what: str, **options: Any) -> None:
        set_maintenance(
            on=what == "on",
            cause=Cause("command", actor=options["by"] or "manage.py maintenance", reason=options["reason"]),
            message=options["message"],
            retry_after_seconds=options["retry_after_seconds"],
        )
