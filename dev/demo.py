"""`make demo`: everything Veza needs on one machine, the round trip, then a running Veza to explore.

Each demo has its own empty database: a new cluster takes under a second, two demos at once do not interfere, and
nothing needs repair after a kill -9.
"""

import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dev import environment, places
from dev.api import answers_ok, exchange
from dev.demo_settings import demo_settings
from dev.places import PYTHON
from dev.ports import HOST, listen_for_web
from dev.processes import Failure, Interruption, Processes
from dev.round_trip import RoundTrip, format_money
from dev.stores import open_stores
from dev.terminal import Screen

# The receipt, the acknowledgement of the refund request, and the refund's.
BUYERS_EMAILS = 3
PATIENCE_SECONDS = 3.0  # After this a process is killed: the demo's data is removed anyway.


@dataclass(frozen=True)
class DemoOptions:
    """The options of the demo: see `make help`."""

    once: bool
    pay_in_browser: bool
    port: str | None
    round_trip: bool = True


def read_options(screen: Screen, *, round_trip: bool = True) -> DemoOptions:
    once = os.environ.get("ONCE", "0" if screen.is_terminal else "1") not in ("", "0", "no", "false")
    pay = os.environ.get("PAY", "")
    if pay not in ("", "browser"):
        raise Failure(f"PAY={pay} is unknown; the only value is `browser`.")
    return DemoOptions(once and round_trip, pay == "browser", os.environ.get("PORT"), round_trip)


def demo(processes: Processes, screen: Screen, options: DemoOptions) -> int:
    """Run the demo and return its exit status: 0 only if every step succeeded."""
    demo_run = Demo(processes, screen, options)
    start = time.monotonic()
    try:
        report = demo_run.run()
    except Failure as failure:
        screen.say(f"\n✗ {screen.doing}: {failure}\n  The logs are in {demo_run.logs}\n")
        report = {"ok": False, "failed_step": screen.doing, "why": _summarize(failure)}
    report["seconds"] = round(time.monotonic() - start, 1)
    if report["ok"] and not options.once:
        demo_run.serve()
        return 0
    screen.say(json.dumps(report))
    return 0 if report["ok"] else 1


class Demo:
    """The demo's processes, in the order of their dependencies."""

    def __init__(self, processes: Processes, screen: Screen, options: DemoOptions) -> None:
        self._processes, self._screen, self._options = processes, screen, options
        self.logs = places.LOGS
        self._password = secrets.token_urlsafe(9)
        self._people: dict[str, Any] = {}
        self._payment_page = self._sandbox = self._mailbox = ""

    def run(self) -> dict[str, Any]:
        """Start everything, walk, and return the report. Raises Failure at the first failure."""
        environment.ensure("demo", self._processes, self._screen)
        self._start()
        if not self._options.round_trip:
            return {"ok": True}
        self._screen.say("\n  The round trip, by HTTP\n")
        trip = RoundTrip(self._base_url, self._people, self._password, self._screen, self._processes.pause)
        trip.walk(pay_in_browser=self._options.pay_in_browser)
        self._check_emails()
        report = self._report_ledger(trip)
        if not self._options.once:
            self._payment_page = trip.place_another_order()
        return report

    def serve(self) -> None:
        """Print the addresses and serve until asked to end. Raises ChildExit when a process ends."""
        self._screen.say(self._format_addresses())
        try:
            while True:
                self._processes.pause(lambda: None, 0.3)
        except Interruption as error:
            if error.signum != signal.SIGINT:
                raise
            self._screen.say("\n  Stopping ...")  # Ctrl-C is the way to end it, not an error.

    def _start(self) -> None:
        listener = listen_for_web(self._options.port)
        self._base_url = f"http://{HOST}:{listener.getsockname()[1]}"
        self.logs = places.log_folder()
        stores = open_stores(self._processes, self._screen, durable=True, logs=self.logs, two_roles=True)
        owner = {"DATABASE_OWNER_URL": stores.pop("DATABASE_OWNER_URL", "")}
        self._folder = places.run_folder()
        self._processes.remove_at_the_end(self._folder)
        self._environment = demo_settings(stores, self._base_url, self._password)
        self._environment |= self._start_sandbox()
        self._manage("Migrate", "migrate", "--noinput", environment=owner)
        self._people = _last_json(self._manage("Load sellers, products and plans", "load_demo", "--json"))
        self._start_veza(listener)

    def _start_sandbox(self) -> dict[str, str]:
        """Start the double of both providers and return the settings with its address."""
        settings, port_file = self._environment, self._folder / "sandbox-port"
        smtp_port_file = self._folder / "smtp-port"
        webhooks = f"{self._base_url}/api/v1/webhooks"
        arguments = ["-m", "sandbox", "--activate-accounts", "--port", "0", "--port-file"]
        arguments += [str(port_file), "--smtp-port-file", str(smtp_port_file)]
        for provider in ("hyperswitch", "stripe"):
            name = provider.upper()
            key = settings.get(f"{name}_API_KEY") or settings[f"{name}_SECRET_KEY"]
            arguments += [f"--{provider}-webhook-url", f"{webhooks}/{provider}", f"--{provider}-api-key", key]
            arguments += [f"--{provider}-webhook-secret", settings[f"{name}_WEBHOOK_SECRET"]]
        with self._screen.step("Sandbox of Hyperswitch, Stripe and e-mail") as step:
            self._serve_by("The sandbox", arguments, "sandbox.log")
            has_port = lambda: port_file.exists() and port_file.read_text().strip().isdigit()  # noqa: E731
            self._processes.wait_for(has_port, "The sandbox", within=20, tick=step.tick)
            url = f"http://{HOST}:{port_file.read_text().strip()}"
            step.note = url
        self._sandbox, self._mailbox = url, f"{url}/mailbox"
        mail = {"SMTP_HOST": HOST, "SMTP_PORT": smtp_port_file.read_text().strip(), "SMTP_TLS": "false"}
        return {"HYPERSWITCH_BASE_URL": url, "STRIPE_BASE_URL": url, **mail}

    def _start_veza(self, listener: socket.socket) -> None:
        # Run as modules: a script's first line cannot contain a long path or one with spaces.
        web = "-m gunicorn veza.wsgi --worker-class gthread --workers 2 --threads 4 --graceful-timeout 3"
        worker = "-m celery -A veza.celery worker --concurrency 2"
        beat = "-m celery -A veza.celery beat --schedule"
        with self._screen.step("Web, worker and beat") as step:
            descriptor = listener.fileno()
            web_command = [*web.split(), "--bind", f"fd://{descriptor}"]
            self._serve_by("Web", web_command, "web.log", pass_fds=(descriptor,))
            listener.close()  # The server has it now; if the server ends, calls must fail and not hang.
            self._serve_by("The worker", worker.split(), "worker.log")
            self._serve_by("Beat", [*beat.split(), str(self._folder / "beat-schedule")], "beat.log")
            is_healthy = lambda: answers_ok(f"{self._base_url}/api/v1/health")  # noqa: E731
            self._processes.wait_for(is_healthy, "Web", within=60, tick=step.tick)
            step.note = self._base_url

    def _serve_by(self, name: str, arguments: list[str], log: str, **options: Any) -> None:
        command: list[str | Path] = [PYTHON, *arguments]
        log_file = self.logs / log
        self._processes.start(name, command, log=log_file, env=self._environment, patience=PATIENCE_SECONDS, **options)

    def _manage(self, title: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
        name, log = f"manage.py {arguments[0]}", self.logs / f"{arguments[0]}.log"
        with self._screen.step(title) as step:
            command = [str(PYTHON), "manage.py", *arguments]
            return self._processes.run(name, command, log=log, tick=step.tick, env={**self._environment, **environment})

    def _check_emails(self) -> None:
        """Wait until the buyer has the receipt, the acknowledgement of the refund request, and the refund's e-mail."""
        emails: list[dict[str, Any]] = []

        def have_arrived() -> bool:
            nonlocal emails
            _status, answer = exchange("GET", f"{self._sandbox}/_truth/emails")
            emails = json.loads(answer)["emails"]
            return sum(self._people["buyer"] in email["recipients"] for email in emails) >= BUYERS_EMAILS

        with self._screen.step("Receipt and refund e-mails have arrived") as step:
            self._processes.wait_for(have_arrived, "The mail server", within=30, tick=step.tick)
            step.note = f"{len(emails)} in {self._mailbox}"

    def _report_ledger(self, trip: RoundTrip) -> dict[str, Any]:
        """Show the order's history and its ledger proof, and return the report."""
        order_id = trip.state.order_id
        timeline = _last_json(self._manage("Order history", "money_timeline", order_id, "--json"))
        verification = _last_json(self._manage("Verify the whole ledger", "verify_ledger", "--json"))
        self._screen.say("\n  The order's money\n")
        for line in timeline["lines"]:
            self._screen.say(f"    {line}")
        self._screen.say("\n  The ledger's proof\n")
        for row in timeline["proof"]:
            self._screen.say(f"    {row['label']:<60} {format_money(row['amount_minor'], row['currency']):>16}")
        is_balanced = bool(timeline["balanced"] and verification["ok"])
        self._screen.say(f"\n    {'The ledger balances.' if is_balanced else 'THE LEDGER DOES NOT BALANCE.'}\n")
        if not is_balanced:
            raise Failure(f"The ledger does not balance: {json.dumps(verification)}")
        return {
            "ok": True,
            "order_id": order_id,
            "refund_id": trip.state.refund_id,
            "transfers": trip.state.transfers,
            "ledger_balanced": True,
        }

    def _format_addresses(self) -> str:
        lines = [
            "",
            f"  API docs      {self._base_url}/api/v1/docs",
            f"  Admin         {self._base_url}/admin/",
            f"                {self._people['admin']} or {self._people['staff']}, password {self._password}",
            f"  Buyer         {self._people['buyer']}, same password",
            f"  Sellers       {', '.join(self._people['sellers'])}, same password",
            f"  Payment page  {self._payment_page}" if self._payment_page else "",
            f"  E-mails       {self._mailbox}",
            f"  Logs          {self.logs}",
            "",
            "  Ctrl-C ends it.",
        ]
        return "\n".join(lines)


def _summarize(failure: Failure) -> str:
    """Return the first and the last line of the failure: the whole text is already on the screen."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return " ".join(dict.fromkeys([lines[0], lines[-1]])) if lines else ""


def _last_json(output: str) -> dict[str, Any]:
    """Read the JSON object in the last line of a command's output. Raises Failure when there is none."""
    try:
        result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Failure(f"A command printed no JSON in its last line: {output[-300:]!r}") from None
    return result
