"""Where the launcher keeps what it makes: below `.veza/`, for root partly elsewhere (see `run_folder`)."""

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

_held_locks: list[IO[str]] = []


def running_as_root() -> bool:
    return os.geteuid() == 0


def run_folder() -> Path:
    """Return a new empty folder for one run.

    For root it lies outside the checkout, open to others for passing through: PostgreSQL refuses to run as
    root, and the user it runs as instead may not be able to enter root's home.
    """
    if not running_as_root():
        base = STATE / "run"
        base.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=base))
    shared = Path("/var/tmp")  # noqa: S108 - mkdtemp makes an own, unguessable folder in it.
    folder = Path(tempfile.mkdtemp(prefix="veza-", dir=shared if shared.is_dir() else None))
    folder.chmod(0o755)
    return folder


def log_folder() -> Path:
    """Return the folder for this run's logs, emptied: `.veza/logs`, or one in it if another demo has that."""
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
    _held_locks.append(owner)  # The kernel lets go of it when the launcher ends, however it ends.
    for old in LOGS.glob("*.log"):
        if old.name != "environment.log":
            old.unlink(missing_ok=True)
    return LOGS


def site_packages() -> Path:
    """Return the environment's site-packages; the wheels with server files are looked for there."""
    return next(VENV.glob("lib/python3.*/site-packages"), VENV / "lib")
