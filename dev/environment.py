"""Builds `.venv` from the lock files, unless it is up to date.

The levels build on one another: an environment for development also serves the demo.
"""

import fcntl
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.places import LOGS, PYTHON, ROOT, STATE, VENV
from dev.processes import Failure, Processes, tail
from dev.terminal import Screen

LEVELS = ("production", "demo", "development")
STAMP = VENV / ".veza-stamp"
INSTALL_SECONDS = 900.0


def lock_file(level: str) -> Path:
    return ROOT / "requirements" / f"{level}.lock"


def ensure(level: str, processes: Processes, screen: Screen) -> None:
    """Make sure that `.venv` matches `requirements/<level>.lock`. Raises Failure with a hint."""
    with _exclusive_lock(processes, screen):
        if serves(level, read_stamp()) and _is_worth_keeping(read_stamp()):
            return
        # An environment for development stays one when only the demo is needed.
        level = max(level, read_stamp().get("level", level), key=LEVELS.index)
        start = time.monotonic()
        try:
            _build(level, processes, screen)
        except Failure as failure:
            raise Failure(f"{failure}The whole log is in {LOGS / 'environment.log'}.") from None
        screen.say(f"    the environment is built ({time.monotonic() - start:.0f} s, once)")


def serves(level: str, stamp: dict[str, Any]) -> bool:
    """Tell whether an environment with this stamp has everything in the level's current lock file."""
    return (
        stamp.get("venv") == str(VENV)
        and LEVELS.index(stamp.get("level", "production")) >= LEVELS.index(level)
        and stamp.get("locks", {}).get(level) == _digest(level)
    )


def read_stamp() -> dict[str, Any]:
    """Return the stamp of `.venv`: empty, an interrupted build, or the lock files it was built from."""
    try:
        stamp: dict[str, Any] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def _digest(level: str) -> str:
    return hashlib.sha256(lock_file(level).read_bytes()).hexdigest()


def _build(level: str, processes: Processes, screen: Screen) -> None:
    uv = shutil.which("uv")
    log = LOGS / "environment.log"
    log.unlink(missing_ok=True)
    if not _is_worth_keeping(read_stamp()):
        _create(uv, processes, screen, log)
    version = _python_version()
    STAMP.write_text(json.dumps({"building": True}))  # A half-installed environment is rebuilt, not repaired.
    _install(uv, level, processes, screen, log)
    locks = {each: _digest(each) for each in LEVELS[: LEVELS.index(level) + 1]}
    STAMP.write_text(json.dumps({"venv": str(VENV), "python": version, "level": level, "locks": locks}))


def _create(uv: str | None, processes: Processes, screen: Screen, log: Path) -> None:
    if not uv and not importlib.util.find_spec("ensurepip"):
        raise Failure(
            "This Python cannot create virtual environments: on Debian and Ubuntu `apt install python3-venv` "
            "helps, or install uv.\n"
        )
    command = [uv, "venv", "--clear", "--python", sys.executable, str(VENV)] if uv else None
    with screen.step(f"Creating a virtual environment with Python {sys.version.split()[0]}") as step:
        shutil.rmtree(VENV, ignore_errors=True)
        processes.run(
            "python -m venv",
            command or [sys.executable, "-m", "venv", str(VENV)],
            log=log,
            tick=step.tick,
        )


def _install(uv: str | None, level: str, processes: Processes, screen: Screen, log: Path) -> None:
    # Compiling everything takes half of an installation; Python compiles each module on first use.
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-compile"]
    pip = [str(PYTHON), "-m", "pip", "install", *options]
    sync = [str(uv), "pip", "sync", "--python", str(PYTHON)]
    count = sum("==" in line and not line.startswith((" ", "#")) for line in lock_file(level).open())
    command = [*(sync if uv else [*pip, "-r"]), str(lock_file(level)), "--require-hashes"]
    with screen.step(f"Installing {count} packages ({level})") as step:

        def tick() -> None:
            step.note = tail(log.with_suffix(".out"), lines=1).strip().split(" (from")[0][:50]
            step.tick()

        processes.run(command[0], command, log=log, tick=tick, within=INSTALL_SECONDS)
        step.note = ""


def _is_worth_keeping(stamp: dict[str, Any]) -> bool:
    """Tell whether `.venv` can be updated: built for this path and Python, and not interrupted.

    One built by hand has no stamp and is used; system upgrades may change the Python version.
    """
    version = _python_version()
    return version.startswith(str(VENV)) and stamp.get("python", version) == version and "building" not in stamp


def _python_version() -> str:
    code = "import sys; print(sys.prefix, *sys.version_info[:2])"
    try:
        return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextmanager
def _exclusive_lock(processes: Processes, screen: Screen) -> Iterator[None]:
    """Let one launcher at a time build the environment. The kernel releases the lock when its holder dies."""
    STATE.mkdir(exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    with (STATE / "environment.lock").open("w") as lock:
        if not _lock(lock.fileno()):
            with screen.step("Waiting for another launcher that builds the environment") as step:
                while not _lock(lock.fileno()):
                    processes.pause(step.tick, 0.1)
        yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
