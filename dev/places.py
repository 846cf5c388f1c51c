"""The launcher's paths: below `.veza/`, for root partly elsewhere (see `run_folder`)."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".veza"
LOGS = STATE / "logs"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

_open_locks: list[IO[str]] = []


def is_root() -> bool:
    return os.geteuid() == 0


def run_folder() -> Path:
    """Return a new empty folder for one run.

    For root it lies outside the checkout, and other users may pass through it: PostgreSQL refuses to run as
    root, and the user it runs as instead may not have access to root's home.
    """
    if not is_root():
        base = STATE / "run"
        base.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=base))
    shared = Path("/var/tmp")  # noqa: S108 - mkdtemp creates a private, unguessable folder in it.
    folder = Path(tempfile.mkdtemp(prefix="veza-", dir=shared if shared.is_dir() else None))
    folder.chmod(0o755)
    return folder


def log_folder() -> Path:
    """Return an empty folder for this run's logs: `.veza/logs`, or a subfolder if another demo uses it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    owner = (STATE / "logs.lock").open("w")
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner.close()
        folder = LOGS / str(os.getpid())
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder
    _open_locks.append(owner)  # The kernel releases it when the launcher ends, however it ends.
    for old in LOGS.glob("*.log"):
        if old.name != "environment.log":
            old.unlink(missing_ok=True)
    return LOGS


def site_packages() -> Path:
    """Return the environment's site-packages; it contains the wheels with the servers' files."""
    return next(VENV.glob("lib/python3.*/site-packages"), VENV / "lib")
