"""Cleans up after a launcher that was killed before it could do so itself.

Runs in a separate process, started by `dev/processes.py`. The launcher reports on standard input what it
started; when that pipe closes, the launcher has ended, and its leftovers are stopped and removed. A pipe works on
every system and for every cause of death; PR_SET_PDEATHSIG, which the launcher sets as well, is faster but
works on Linux only and does not reach grandchildren.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc") if Path("/proc/self/stat").exists() else Path("/nonexistent")
LEFTOVER_SECONDS = 1.0  # A process that outlives its parent has no work left.


@dataclass(frozen=True)
class Ward:
    """A process to stop: with which signal, and within how many seconds."""

    pid: int
    stop_signal: int
    patience: float
    leads_group: bool


def stop(wards: list[Ward], has_ended: Callable[[Ward], bool]) -> None:
    """Stop all of them: signal each process, then the rest of its group, then kill both.

    `has_ended` tells whether a process has ended: only a parent can reap it.
    """
    for ward in reversed(wards):
        if not has_ended(ward):
            _send(ward, ward.stop_signal)
    _wait_until(lambda: all(map(has_ended, wards)), max((ward.patience for ward in wards), default=0))
    leftovers = [ward for ward in wards if _group_lives(ward)]
    for ward in leftovers:
        _send_to_group(ward, signal.SIGTERM)
    _wait_until(lambda: not any(map(_group_lives, leftovers)), LEFTOVER_SECONDS if leftovers else 0)
    for ward in wards:
        if not has_ended(ward):
            _send(ward, signal.SIGKILL)
        if _group_lives(ward):
            _send_to_group(ward, signal.SIGKILL)


def is_alive(ward: Ward) -> bool:
    """Tell whether the process still runs.

    A zombie does not count: in a container without an init it stays forever.
    """
    if not PROC.exists():
        return _answers(os.kill, ward.pid)
    return _living_group(PROC / str(ward.pid)) is not None


def _group_lives(ward: Ward) -> bool:
    if not ward.leads_group:
        return False
    if not PROC.exists():
        return _answers(os.killpg, ward.pid)
    return any(_living_group(entry) == ward.pid for entry in PROC.iterdir() if entry.name.isdigit())


def _living_group(entry: Path) -> int | None:
    """Return the process group of a living process, None for a dead one."""
    try:
        state, _parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return None
    return None if state in "ZX" else int(group)


def _answers(kill: Callable[[int, int], None], number: int) -> bool:
    try:
        kill(number, 0)
    except OSError:
        return False
    return True


def _send(ward: Ward, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(ward.pid, signum)


def _send_to_group(ward: Ward, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(ward.pid, signum)


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not condition():
        time.sleep(0.02)


def main() -> None:
    wards: dict[int, Ward] = {}
    folders: list[str] = []
    for line in sys.stdin:
        message: dict[str, Any] = json.loads(line)
        if "watch" in message:
            wards[message["watch"]["pid"]] = Ward(**message["watch"])
        elif "forget" in message:
            wards.pop(message["forget"], None)
        elif "remove" in message:
            folders.append(message["remove"])
    stop(list(wards.values()), lambda ward: not is_alive(ward))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # It ends when the pipe closes, not before.
    main()
