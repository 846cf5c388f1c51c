"""Reads process trees and living processes from /proc."""

import time
from pathlib import Path

Identity = tuple[int, str]  # Process id and start time: an id alone may be reused.


def descendants(pid: int) -> dict[Identity, str]:
    """Return the living processes below `pid`, with their command lines."""
    parents = _living()
    below, commands = {pid}, {}
    while more := {identity for identity, parent in parents.items() if parent in below} - commands.keys():
        commands |= {identity: _command_line(identity[0]) for identity in more}
        below |= {identity[0] for identity in more}
    return commands


def wait_until_gone(identities: dict[Identity, str], seconds: float = 15) -> dict[Identity, str]:
    """Wait for the processes to end and return those that did not."""
    deadline = time.monotonic() + seconds
    remaining = identities
    while remaining and time.monotonic() < deadline:
        time.sleep(0.05)
        living = _living()
        remaining = {identity: command for identity, command in remaining.items() if identity in living}
    return remaining


def _living() -> dict[Identity, int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[int(stat.parent.name), fields[19]] = int(fields[1])
    return parents


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
