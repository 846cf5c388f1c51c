"""The report that people sign: a session is added below the earlier ones, and nothing that stands there is touched."""

import fcntl
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from acceptance.session_log import REPORT
from acceptance.walk import Outcome, Step, Walk

TEMPLATE = Path(settings.BASE_DIR) / "docs" / REPORT
_SESSIONS = re.compile(r"(<!-- sessions: (\w+) -->\n).*?(?=<!-- end of sessions: \2 -->)", re.DOTALL)


class NoPlace(Exception):
    """The report has lost the mark where sessions of this run are added."""


def add(walk: Walk, verdict: str, outcomes: Mapping[Step, Outcome], *, provider_says: str) -> None:
    """Add the session to the report in its folder, which is begun from the template when there is none."""
    path = walk.log.path.parent / REPORT
    section = _section(walk, verdict, outcomes, provider_says)
    with (path.parent / f".{REPORT}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text() if path.exists() else blank()
        mark = f"<!-- end of sessions: {walk.wishes.run} -->"
        if before.count(mark) != 1:
            raise NoPlace(f"{path} has not exactly one line {mark}; the session is in {walk.log.path}.")
        new = path.with_suffix(".new")
        new.write_text(before.replace(mark, section + mark))
        os.replace(new, path)


def blank() -> str:
    """The report with no session in it."""
    return _SESSIONS.sub(r"\1", TEMPLATE.read_text())


def _section(walk: Walk, verdict: str, outcomes: Mapping[Step, Outcome], provider_says: str) -> str:
    log = walk.log
    lines = [
        f"### Session {log.name}: {verdict}",
        "",
        f"- Written {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, by {walk.wishes.email}, against {walk.wishes.base_url}",
        f"- Asked for: {walk.wishes.environment}; the payment page says: {provider_says}",
        f"- Log: `{log.path.name}`, {len(log.lines)} lines, sealed with `{log.seal}`",
        "",
        "| # | Step | Status | Observed | Trace |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step, outcome in outcomes.items():
        row = (str(step.number), step.title, outcome.status, outcome.observed, outcome.trace)
        lines.append(f"| {' | '.join(_cell(text) for text in row)} |")
    return "\n".join(lines) + "\n\n"


def _cell(text: str) -> str:
    """One line without anything that Markdown or a comment's end could make more of."""
    flat = " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
    return flat[:300]
