"""The files of the project: its modules, and everything as git sees it, tracked or new and not ignored."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("veza", "payments", "subscriptions", "marketplace", "connect")


def source_files(*folders: str) -> list[Path]:
    """The modules of these folders, or of the whole house, without migrations."""
    files = [path for folder in folders or FLOORS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in files if "migrations" not in path.parts]


def project_files() -> list[Path]:
    """Every file of the project. Skips the test outside a git checkout."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    pages = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in pages if name and (ROOT / name).is_file()]
