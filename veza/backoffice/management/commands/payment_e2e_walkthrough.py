"""The acceptance run: nine steps by HTTP, an operator who pays, and a report that can be signed."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from acceptance.operator import TerminalOperator
from acceptance.options import RunOptions, add_place, add_walk, wishes_of
from acceptance.run import gate_is_open, run
from acceptance.session_log import ChainBroken, SessionLog, latest, read_chain
from acceptance.walk import Walk

STEP_FAILED, CANNOT_BEGIN, LOG_WAS_CHANGED, INTERRUPTED = 1, 2, 3, 130
# Options that must not change when a session is resumed.
SAME_IN_ONE_SESSION = ("base_url", "environment", "email", "license", "pay", "staff")


class Command(BaseCommand):
    help = (
        "Buy, see licence and transfer, and refund, as a buyer would. Exit status: 0 passed, 1 a step failed, "
        "2 it cannot begin, 3 the log was changed, 130 interrupted (continue with --resume)."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_place(parser)
        add_walk(parser)
        parser.add_argument("--resume", action="store_true", help="resume the last session of the report's folder")
        parser.add_argument(
            "--verify", type=Path, metavar="LOG", help="only check whether a log was changed, and print its seal"
        )
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        try:
            if options["verify"]:
                self._verify(options["verify"])
            else:
                self._walk(wishes_of(options), resume=options["resume"], as_json=options["json"])
        except ChainBroken as broken:
            raise CommandError(str(broken), returncode=LOG_WAS_CHANGED) from None

    def _verify(self, path: Path) -> None:
        lines = read_chain(path)
        self.stdout.write(f"{len(lines)} lines, none changed, sealed with {lines[-1]['hash'] if lines else 'nothing'}")

    def _walk(self, wishes: RunOptions, *, resume: bool, as_json: bool) -> None:
        person = TerminalOperator(self.stderr.write if as_json else self.stdout.write)
        if not wishes.staff and not sys.stdin.isatty():
            raise CommandError(
                "There is no terminal for an operator to check the database: use --staff.", returncode=CANNOT_BEGIN
            )
        log = _open_log(wishes, resume=resume)
        walk = Walk(wishes, log=log, operator=person)
        person.tell(f"  Session {log.name}, written to {log.path}")
        if not gate_is_open(walk):
            raise CommandError("The gate is closed; nothing was bought.", returncode=CANNOT_BEGIN)
        try:
            verdict = run(walk)
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Continue with --resume.", returncode=INTERRUPTED) from None
        result = {"ok": verdict.has_passed, "verdict": verdict.text, "log": str(log.path), "seal": log.seal}
        self.stdout.write(json.dumps(result | {"order_id": walk.facts.get("order_id")}) if as_json else verdict.text)
        if not verdict.has_passed:
            raise CommandError(f"{verdict.text}. Continue with --resume.", returncode=STEP_FAILED)


def _open_log(wishes: RunOptions, *, resume: bool) -> SessionLog:
    """A new log, or the one to go on with. Raises CommandError, ChainBroken."""
    fields = {name: getattr(wishes, name) for name in SAME_IN_ONE_SESSION}
    if not resume:
        wishes.report_dir.mkdir(parents=True, exist_ok=True)
        log = SessionLog.begin(wishes.report_dir, at=timezone.now())
        log.write("session_begins", **fields)
        return log
    path = latest(wishes.report_dir)
    if path is None:
        raise CommandError(f"There is no session in {wishes.report_dir}.", returncode=CANNOT_BEGIN)
    log = SessionLog.resume(path)
    first_line = log.lines[0] if log.lines else {}
    other = [name for name, value in fields.items() if first_line.get(name) != value]
    if other:
        raise CommandError(f"{path.name} was started with another {', '.join(other)}.", returncode=CANNOT_BEGIN)
    if any(line["verdict"].startswith("PASSED") for line in log.of_kind("session_ends")):
        raise CommandError(f"{path.name} has passed; there is nothing to resume.", returncode=CANNOT_BEGIN)
    log.write("session_resumed", **fields)
    return log
