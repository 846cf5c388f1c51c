"""The options of an acceptance run, from the command line, the environment and a password prompt."""

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

LIVE_LIMIT_MINOR = 1_000
STAGING, PRODUCTION = "staging", "production"


@dataclass(frozen=True)
class RunOptions:
    """`environment` must match Veza's status: sandbox for the dry run, live for the production run."""

    base_url: str
    email: str
    password: str
    environment: str = "sandbox"
    pay: str = "browser"
    refund: str = "ask"
    staff: bool = False
    staff_token: str = ""
    product: str = ""
    license: str = "personal"
    limit_minor: int = 0
    report_dir: Path = Path("docs")
    poll_seconds: float = 2.0
    patience_seconds: float = 300.0

    @property
    def live(self) -> bool:
        return self.environment == "live"

    @property
    def run(self) -> str:
        """The pass: staging with test money, or production with a real card."""
        return PRODUCTION if self.live else STAGING


def add_place(parser: CommandParser) -> None:
    """Add the options for Veza's address and environment."""
    parser.add_argument("--base-url", default=os.environ.get("E2E_BASE_URL", ""), help="Veza's address (E2E_BASE_URL)")
    parser.add_argument(
        "--environment",
        choices=("sandbox", "live"),
        default=os.environ.get("E2E_ENVIRONMENT", "sandbox"),
        help="what Veza's status must report: sandbox (the dry run) or live (E2E_ENVIRONMENT)",
    )


def add_walk(parser: CommandParser) -> None:
    """Add the options for the steps of the run."""
    parser.add_argument(
        "--pay", choices=("browser", "sandbox"), default="browser", help="who pays; default: the operator, in a browser"
    )
    parser.add_argument("--refund", choices=("ask", "yes", "no"), default="ask", help="refund the purchase at the end")
    parser.add_argument("--staff", action="store_true", help="read transfers over HTTP with STAFF_TOKEN, not in SQL")
    parser.add_argument("--product", default="", help="the id of the product to buy; default: the cheapest")
    parser.add_argument("--license", choices=("personal", "commercial"), default="personal")
    parser.add_argument("--limit-minor", type=int, help="the highest price before tax; default in live runs: 1000")
    parser.add_argument("--report-dir", type=Path, default=Path("docs"), help="where the report and the logs go")
    parser.add_argument("--poll-seconds", type=float, default=2.0)
    parser.add_argument("--patience-seconds", type=float, default=300.0, help="how long to wait for one result")


def wishes_of(options: dict[str, Any], *, password_needed: bool = True) -> RunOptions:
    """The options from the command line and the environment. Raises CommandError when one is missing."""
    if not options["base_url"].startswith(("http://", "https://")):
        raise CommandError("Set Veza's address: --base-url https://… or E2E_BASE_URL.", returncode=2)
    email = os.environ.get("OPERATOR_EMAIL", "") or (input("Your e-mail address: ") if sys.stdin.isatty() else "")
    limit = options.get("limit_minor")
    names = ("pay", "refund", "staff", "product", "license", "report_dir", "poll_seconds", "patience_seconds")
    return RunOptions(
        base_url=options["base_url"].rstrip("/"),
        environment=options["environment"],
        email=email,
        password=_secret("OPERATOR_PASSWORD", f"Password of {email or 'the operator'}: ") if password_needed else "",
        staff_token=_secret("STAFF_TOKEN", "Staff token: ") if options.get("staff") else "",
        limit_minor=limit if limit is not None else LIVE_LIMIT_MINOR if options["environment"] == "live" else 0,
        **{name: options[name] for name in names if name in options},
    )


def _secret(variable: str, prompt: str) -> str:
    """From the environment, or from a prompt that does not show it."""
    if secret := os.environ.get(variable, ""):
        return secret
    if not sys.stdin.isatty():
        raise CommandError(f"Set {variable}, or run this in a terminal to enter it.", returncode=2)
    return getpass.getpass(prompt)
