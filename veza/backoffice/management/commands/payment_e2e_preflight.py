"""The checks before an acceptance run. Over HTTP only; reads nothing from this machine's database."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from acceptance import preflight
from acceptance.caller import Caller
from acceptance.options import add_place, wishes_of
from acceptance.session_log import NullLog


class Command(BaseCommand):
    help = "Check whether an acceptance run can begin. Exit status 1 when anything is missing."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_place(parser)
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        wishes = wishes_of(options, password_needed=False)
        gate = preflight.look(Caller(wishes.base_url, NullLog()), wishes)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": gate.open} | vars(gate), ensure_ascii=False))
        else:
            for mark, lines in (("✓", gate.passed), ("!", gate.warned), ("✗", gate.failed)):
                for line in lines:
                    self.stdout.write(f"  {mark} {line}")
        if not gate.open:
            raise CommandError(f"The gate is closed: {len(gate.failed)} of {len(gate.failed + gate.passed)} fail.")
