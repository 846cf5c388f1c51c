"""The report to be signed: a session is added below the earlier ones, whose text never changes."""

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


class MarkMissing(Exception):
    """The report lacks the mark that shows where to add sessions of this run."""


def add(walk: Walk, verdict: str, outcomes: Mapping[Step, Outcome], *, provider_says: str) -> None:
    """Add the session to the report in its folder; a missing report starts from the template."""
    path = walk.log.path.parent / REPORT
    section = _section(walk, verdict, outcomes, provider_says)
    with (path.parent / f".{REPORT}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text() if path.exists() else blank()
        mark = f"<!-- end of sessions: {walk.options.run} -->"
        if before.count(mark) != 1:
            raise MarkMissing(f"{path} does not contain exactly one line {mark}; the session is in {walk.log.path}.")
        new = path.with_suffix(".new")
        new.write_text(before.replace(mark, section + mark))
        os.replace(new, path)


def blank() -> str:
    """The report without sessions."""
    return _SESSIONS.sub(r"\1", TEMPLATE.read_text())


def _section(walk: Walk, verdict: str, outcomes: Mapping[Step, Outcome], provider_says: str) -> str:
    log, options = walk.log, walk.options
    lines = [
        f"### Session {log.name}: {verdict}",
        "",
        f"- Written {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, by {options.email}, against {options.base_url}",
        f"- Environment: {options.environment}; mode of the payment page: {provider_says}",
        f"- Log: `{log.path.name}`, {len(log.lines)} lines, sealed with `{log.seal}`",
        "",
        "| # | Step | Status | Observed | Trace |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step, outcome in outcomes.items():
        row = (str(step.number), step.title, outcome.status, outcome.observation, outcome.trace)
        lines.append(f"| {' | '.join(_cell(text) for text in row)} |")
    return "\n".join(lines) + "\n\n"


def _cell(text: str) -> str:
    """One line, without characters that are special in Markdown or end a comment."""
    flat = " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
    return flat[:300]
