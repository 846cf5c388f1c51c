"""Looks at processes through /proc: who descends from whom, and who is still there."""

import time
from pathlib import Path

Identity = tuple[int, str]  # Process id and start time: an id alone may be given to somebody else.


def descendants(pid: int) -> dict[Identity, str]:
    """Return the living processes below `pid`, with their command lines."""
    parents = _living()
    below, found = {pid}, {}
    while more := {identity for identity, parent in parents.items() if parent in below} - found.keys():
        found |= {identity: _command_line(identity[0]) for identity in more}
        below |= {identity[0] for identity in more}
    return found


def wait_until_gone(identities: dict[Identity, str], seconds: float = 15) -> dict[Identity, str]:
    """Wait for the processes to end and return those that did not."""
    deadline = time.monotonic() + seconds
    left = identities
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        living = _living()
        left = {identity: command for identity, command in left.items() if identity in living}
    return left


def _living() -> dict[Identity, int]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            found[int(stat.parent.name), fields[19]] = int(fields[1])
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
