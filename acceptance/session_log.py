"""The session log: every request and answer of one acceptance run, line by line, with edits detectable.

Each line is one JSON object with the hash of the line before it and a hash over its own content. The last hash is
written into the report, so that removing lines at the end is detectable as well. A resumed run restores its facts
from here: the log is the run's only memory.
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
    """A line of the log was changed after it was written."""


class SessionLog:
    """An open log. Texts passed to `hide_secret` never reach it, in any field."""

    def __init__(self, path: Path, lines: list[Line]) -> None:
        self.path, self.lines = path, lines
        self._secrets: set[str] = set()

    @classmethod
    def begin(cls, folder: Path, *, at: datetime) -> Self:
        """A new log in `folder`. An earlier log is never overwritten, even from the same second."""
        stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        for number in range(100):
            path = folder / f"{REPORT}.session-{stamp}{f'-{number}' if number else ''}.log"
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            return cls(path, [])
        raise FileExistsError(f"{path} and a hundred similar files exist")

    @classmethod
    def resume(cls, path: Path) -> Self:
        """The log of an interrupted run. Raises ChainBroken if it was changed since."""
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        log = cls(path, read_chain(path))
        if torn:  # The machine stopped in the middle of a line; the lines before it are complete.
            os.truncate(path, len(whole) + 1 if whole else 0)
            log.write("torn_line_removed", characters=len(torn))
        return log

    @property
    def name(self) -> str:
        """The session's name: its start time."""
        match = NAME.fullmatch(self.path.name)
        return match[1] if match else self.path.name

    @property
    def seal(self) -> str:
        """The hash of the last line: it reveals any change or removal of earlier lines."""
        return str(self.lines[-1]["hash"]) if self.lines else START

    def hide_secret(self, secret: str) -> None:
        """Never write this text, such as a password, even if a server returns it."""
        if secret:
            self._secrets.add(secret)

    def mask(self, text: str) -> str:
        """The text with all secrets masked."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return mask_text(text)

    def write(self, kind: str, **fields: Any) -> None:
        """Append one line and force it to the disk: the run may end at any moment."""
        line = {"n": len(self.lines) + 1, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind}
        line |= self._mask_all(dict(mask_secrets(None, "", fields)))
        line["before"] = self.seal
        line["hash"] = _hash(line)
        with self.path.open("ab") as out:
            out.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
            out.flush()
            os.fsync(out.fileno())
        self.lines.append(line)

    def of_kind(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line["kind"] == kind]

    def _mask_all(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.mask(key): self._mask_all(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._mask_all(inner) for inner in value]
        return value


class NullLog(SessionLog):
    """A log that writes nothing, for checks outside a session."""

    def __init__(self) -> None:
        super().__init__(Path("preflight"), [])

    def write(self, kind: str, **fields: Any) -> None:
        """Write nothing."""


def read_chain(path: Path) -> list[Line]:
    """The complete lines of a log. Raises ChainBroken with the number of the first changed line."""
    before, lines = START, []
    for number, raw in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            line = json.loads(raw)
            is_intact = line["n"] == number and line["before"] == before and line["hash"] == _hash(line)
        except (ValueError, KeyError, TypeError):
            is_intact = False
        if not is_intact:
            raise ChainBroken(f"{path.name}: line {number} is not as it was written.")
        before = line["hash"]
        lines.append(line)
    return lines


def latest(folder: Path) -> Path | None:
    """The log of the last session in `folder`."""
    logs = [path for path in folder.glob(f"{REPORT}.session-*.log") if NAME.fullmatch(path.name)]
    return max(logs, key=lambda path: path.name, default=None)


def _hash(line: Line) -> str:
    content = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
