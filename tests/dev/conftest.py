import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from dev.places import ROOT
from dev.processes import Processes

Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def without_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the database and broker of the test run itself from the environment."""
    for name in ("DATABASE_URL", "REDIS_URL", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def launch(without_stores: None) -> Iterator[Launch]:
    """Start `python -m dev …`; it is stopped at the end of the test."""
    launchers: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        launcher = subprocess.Popen(
            [sys.executable, "-m", "dev", *arguments],
            cwd=ROOT,
            env=dict(os.environ) | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        launchers.append(launcher)
        return launcher

    yield start
    for launcher in launchers:
        launcher.terminate()
        launcher.communicate(timeout=30)


@pytest.fixture
def processes(without_stores: None) -> Iterator[Processes]:
    """Supervise children in this process, and restore pytest's signal handlers afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with Processes() as supervisor:
            yield supervisor
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def wait_for_line(launcher: subprocess.Popen[str], start: str, seconds: float = 60) -> str:
    """Return the first line of output with this start."""
    deadline = time.monotonic() + seconds
    output = ""
    assert launcher.stdout
    while time.monotonic() < deadline and (line := launcher.stdout.readline()):
        if line.startswith(start):
            return line.strip()
        output += line
    raise AssertionError(f"no line starts with {start!r} in:\n{output}")
