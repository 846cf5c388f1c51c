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
    """Forget the database and broker that this test run itself has been given."""
    for name in ("DATABASE_URL", "REDIS_URL", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def launch(without_stores: None) -> Iterator[Launch]:
    """Start `python -m dev …`; what still runs at the end of the test is asked to stop."""
    started: list[subprocess.Popen[str]] = []

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
        started.append(launcher)
        return launcher

    yield start
    for launcher in started:
        launcher.terminate()
        launcher.communicate(timeout=30)


@pytest.fixture
def processes(without_stores: None) -> Iterator[Processes]:
    """Supervise children in this very process, and give pytest its signals back afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with Processes() as supervised:
            yield supervised
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def wait_for_line(launcher: subprocess.Popen[str], start: str, seconds: float = 60) -> str:
    """Return the first line of output that starts so."""
    deadline = time.monotonic() + seconds
    seen = ""
    assert launcher.stdout
    while time.monotonic() < deadline and (line := launcher.stdout.readline()):
        if line.startswith(start):
            return line.strip()
        seen += line
    raise AssertionError(f"no line starts with {start!r} in:\n{seen}")
