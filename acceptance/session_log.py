"""The session log: every request and answer of one acceptance run, line by line, so that a later edit shows.

Each line is one JSON object and carries the hash of the line before it; its own hash is over all of it. The last
hash is written into the report, so that cutting lines off at the end shows as well. What a resumed run needs to
know is read back from here: the log is the run's only memory.
"""

import hashlib
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from veza.core.logs import MASK, mask_secrets, mask_text

START = "0" * 64
REPORT = "PAYMENT_E2E_LIVE_REPORT.md"
NAME = re.compile(re.escape(REPORT) + r"\.session-(\d{8}T\d{6}Z(?:-\d+)?)\.log")
Line = dict[str, Any]


class ChainBroken(Exception):
    """A line of the log is not what was written then."""


class SessionLog:
    """An open log. `hide` names texts that never reach it, whatever field they stand in."""

    def __init__(self, path: Path, lines: list[Line]) -> None:
        self.path, self.lines = path, lines
        self._hidden: set[str] = set()

    @classmethod
    def begin(cls, folder: Path, *, at: datetime) -> Self:
        """A new log in `folder`. An earlier one is never written over, not even one of the same second."""
        stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        for again in range(100):
            path = folder / f"{REPORT}.session-{stamp}{f'-{again}' if again else ''}.log"
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            return cls(path, [])
        raise FileExistsError(f"{path} and a hundred like it exist")

    @classmethod
    def resume(cls, path: Path) -> Self:
        """The log of a run that was interrupted. Raises ChainBroken when somebody has changed it since."""
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        log = cls(path, read_chain(path))
        if torn:  # The machine stopped in the middle of a line; what came before it is complete.
            os.truncate(path, len(whole) + 1 if whole else 0)
            log.write("torn_line_removed", characters=len(torn))
        return log

    @property
    def name(self) -> str:
        """The session's name: the time it began."""
        found = NAME.fullmatch(self.path.name)
        return found[1] if found else self.path.name

    @property
    def seal(self) -> str:
        """The hash of the last line: with it, nothing before can be changed or cut off unseen."""
        return str(self.lines[-1]["hash"]) if self.lines else START

    def hide(self, secret: str) -> None:
        """Never write this text, such as a password, even where a server sends it back."""
        if secret:
            self._hidden.add(secret)

    def clean(self, text: str) -> str:
        """The text as it may be shown and kept."""
        for secret in self._hidden:
            text = text.replace(secret, MASK)
        return mask_text(text)

    def write(self, kind: str, **said: Any) -> None:
        """Add one line and force it to the disk: the run may end at any moment."""
        line = {"n": len(self.lines) + 1, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind}
        line |= self._without_hidden(dict(mask_secrets(None, "", said)))
        line["before"] = self.seal
        line["hash"] = _hash(line)
        with self.path.open("ab") as out:
            out.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
            out.flush()
            os.fsync(out.fileno())
        self.lines.append(line)

    def of_kind(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line["kind"] == kind]

    def _without_hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, dict):
            return {self.clean(key): self._without_hidden(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._without_hidden(inner) for inner in value]
        return value


class Unwritten(SessionLog):
    """A log of which nothing stays, for a look that is no session."""

    def __init__(self) -> None:
        super().__init__(Path("preflight"), [])

    def write(self, kind: str, **said: Any) -> None:
        """Keep nothing."""


def read_chain(path: Path) -> list[Line]:
    """The complete lines of a log. Raises ChainBroken with the number of the first that is not as it was written."""
    before, lines = START, []
    for number, raw in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            line = json.loads(raw)
            holds = line["n"] == number and line["before"] == before and line["hash"] == _hash(line)
        except (ValueError, KeyError, TypeError):
            holds = False
        if not holds:
            raise ChainBroken(f"{path.name}: line {number} is not as it was written.")
        before = line["hash"]
        lines.append(line)
    return lines


def latest(folder: Path) -> Path | None:
    """The log of the last session in `folder`."""
    logs = [path for path in folder.glob(f"{REPORT}.session-*.log") if NAME.fullmatch(path.name)]
    return max(logs, key=lambda path: path.name, default=None)


def _hash(line: Line) -> str:
    covered = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(covered, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
