"""Try, as an attacker would, to get a subscriber's paid rights without paying."""

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from probe.attacker import Attacker, CapturedDelivery, Inconclusive
from probe.unpaid_attempts import ATTEMPTS, Attempt, Plans, choose
from veza.core.words import count_of

GOT_THROUGH, NOT_DECIDED = 1, 2


class Command(BaseCommand):
    help = (
        "Try over HTTP to get paid rights without paying, with an account of its own (PROBE_EMAIL, PROBE_PASSWORD). "
        "Without --destructive it only lists what it would do. Exit status 1: an attempt got through; 2: undecided. "
        "The account becomes a seller and its only trial is used up; everything else is cancelled again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", required=True, help="where Veza runs, such as https://veza.example")
        parser.add_argument("--destructive", action="store_true", help="run the attempts, against that Veza")
        parser.add_argument("--email", default=os.environ.get("PROBE_EMAIL", ""), help="default: PROBE_EMAIL")
        parser.add_argument("--captured", type=Path, help='a real delivery to replay: {"body": "…", "signature": "…"}')
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        self._quiet = options["json"]
        attacker = Attacker(
            base_url=options["base_url"].rstrip("/"),
            email=options["email"],
            password=os.environ.get("PROBE_PASSWORD", ""),
            capture=_read_delivery(options["captured"]),
        )
        try:
            plans = choose(attacker.plans())
            attempts = [attempt for attempt in ATTEMPTS if getattr(plans, attempt.needs) is not None]
            if not options["destructive"]:
                self._list(attacker, plans, attempts)
                return
            self._attack(attacker, plans, attempts)
        except Inconclusive as error:
            raise CommandError(str(error), returncode=NOT_DECIDED) from error

    def _list(self, attacker: Attacker, plans: Plans, attempts: list[Attempt]) -> None:
        self._say(f"Against {attacker.base_url}, on the plan {plans.paid_plan['name']}, with --destructive it would:")
        for attempt in attempts:
            self._say(f"  {attempt.name}: {attempt.sentence}")
        self._finish({"dry_run": True, "attempts": [attempt.name for attempt in attempts]})

    def _attack(self, attacker: Attacker, plans: Plans, attempts: list[Attempt]) -> None:
        if not attacker.email or not attacker.password:
            raise Inconclusive("Set PROBE_EMAIL and PROBE_PASSWORD: the probe needs an account of its own.")
        attacker.log_in()
        if attacker.standing()["active"]:
            raise Inconclusive(f"{attacker.email} has a subscription that counts. Probe with another account.")
        attacker.become_seller()
        through = {}
        for attempt in attempts:
            attacker.cancel(now=True)  # Nothing to cancel is as good.
            try:
                through[attempt.name] = attempt.run(attacker, plans)
            finally:
                attacker.cancel(now=True)
            self._say(f"  {'✗' if through[attempt.name] else '✓'} {attempt.name}: {attempt.sentence}")
            for door in through[attempt.name]:
                self._say(f"      got through: {door}")
        breaches = {name: doors for name, doors in through.items() if doors}
        self._finish({"dry_run": False, "attempts": list(through), "got_through": breaches})
        if breaches:
            raise CommandError(
                f"{len(breaches)} of {count_of(len(through), 'attempt')} got through.", returncode=GOT_THROUGH
            )

    def _say(self, line: str) -> None:
        if not self._quiet:
            self.stdout.write(line)

    def _finish(self, report: dict[str, Any]) -> None:
        if self._quiet:
            self.stdout.write(json.dumps(report))
        elif not report["dry_run"] and not report["got_through"]:
            self.stdout.write(f"No attempt got through: {count_of(len(report['attempts']), 'attempt')}.")


def _read_delivery(path: Path | None) -> CapturedDelivery | None:
    if path is None:
        return None
    try:
        payload = json.loads(path.read_text())
        return CapturedDelivery(str(payload["body"]), str(payload["signature"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} holds no captured delivery: {error}", returncode=NOT_DECIDED) from error
