"""What both commands ask the operator for: on the command line, from the environment, and the password unseen."""

import getpass
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from acceptance.wishes import Wishes

LIVE_LIMIT_MINOR = 1_000


def add_place(parser: CommandParser) -> None:
    """Where the run goes, and who makes it."""
    parser.add_argument(
        "--base-url", default=os.environ.get("E2E_BASE_URL", ""), help="where Veza answers (E2E_BASE_URL)"
    )
    parser.add_argument(
        "--environment",
        choices=("sandbox", "live"),
        default=os.environ.get("E2E_ENVIRONMENT", "sandbox"),
        help="what Veza's status has to say: sandbox (the dry run) or live (E2E_ENVIRONMENT)",
    )


def add_walk(parser: CommandParser) -> None:
    """How the run is made."""
    parser.add_argument("--pay", choices=("browser", "sandbox"), default="browser", help="who pays; default: a person")
    parser.add_argument("--refund", choices=("ask", "yes", "no"), default="ask", help="give the money back at the end")
    parser.add_argument("--staff", action="store_true", help="see transfers over HTTP as staff, not in the database")
    parser.add_argument("--product", default="", help="the id of the product to buy; default: the cheapest")
    parser.add_argument("--license", choices=("personal", "commercial"), default="personal")
    parser.add_argument("--limit-minor", type=int, help="the highest price before tax; live runs: 1000 unless given")
    parser.add_argument("--report-dir", type=Path, default=Path("docs"), help="where the report and the logs go")
    parser.add_argument("--poll-seconds", type=float, default=2.0)
    parser.add_argument("--patience-seconds", type=float, default=300.0, help="how long one thing is waited for")


def wishes_of(options: dict[str, Any], *, password_needed: bool = True) -> Wishes:
    """The wishes that the command line and the environment hold. Raises CommandError when one is missing."""
    if not options["base_url"].startswith(("http://", "https://")):
        raise CommandError("Say where Veza answers: --base-url https://… or E2E_BASE_URL.", returncode=2)
    email = os.environ.get("OPERATOR_EMAIL", "") or (input("Your e-mail address: ") if sys.stdin.isatty() else "")
    staff_email = os.environ.get("STAFF_EMAIL", "")
    limit = options.get("limit_minor")
    walking = ("pay", "refund", "staff", "product", "license", "report_dir", "poll_seconds", "patience_seconds")
    return Wishes(
        base_url=options["base_url"].rstrip("/"),
        environment=options["environment"],
        email=email,
        password=_password("OPERATOR_PASSWORD", email) if password_needed else "",
        staff_email=staff_email,
        staff_password=_password("STAFF_PASSWORD", staff_email) if staff_email and options.get("staff") else "",
        limit_minor=limit if limit is not None else LIVE_LIMIT_MINOR if options["environment"] == "live" else 0,
        **{name: options[name] for name in walking if name in options},
    )


def _password(variable: str, email: str) -> str:
    """From the environment, or typed without being shown."""
    if password := os.environ.get(variable, ""):
        return password
    if not sys.stdin.isatty():
        raise CommandError(f"Set {variable}, or run this in a terminal to be asked for it.", returncode=2)
    return getpass.getpass(f"Password of {email or 'the operator'}: ")
