"""The checks besides the tests: lint, types, import contracts, migrations, the committed API schema."""

import difflib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from dev.foreground import in_foreground
from dev.places import PYTHON, ROOT, VENV
from dev.processes import Processes
from dev.stores import open_stores
from dev.terminal import Screen

SCHEMA = ROOT / "docs" / "openapi.yaml"
SHOWN_LINES = 60


def lint(processes: Processes, _screen: Screen) -> int:
    lint_status = _run(processes, PYTHON, "-m", "ruff", "check", ".")
    return _run(processes, PYTHON, "-m", "ruff", "format", "--check", ".") or lint_status


def types(processes: Processes, _screen: Screen) -> int:
    return _run(processes, PYTHON, "-m", "mypy")


def contracts(processes: Processes, _screen: Screen) -> int:
    return _run(processes, VENV / "bin" / "lint-imports")


def migrations(processes: Processes, screen: Screen) -> int:
    stores = open_stores(processes, screen, durable=False)
    return _run(processes, PYTHON, "manage.py", "makemigrations", "--check", "--dry-run", **stores)


def schema(processes: Processes, screen: Screen) -> int:
    """Compare the API with the committed schema; WRITE=1 replaces the committed one."""
    stores = open_stores(processes, screen, durable=False)
    with tempfile.TemporaryDirectory() as folder:
        schema_file = Path(folder) / "openapi.yaml"
        command = (PYTHON, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", schema_file)
        if status := _run(processes, *command, **stores):
            return status
        if os.environ.get("WRITE"):
            shutil.copyfile(schema_file, SCHEMA)
            return 0
        return _compare(schema_file, screen)


def translations(processes: Processes, _screen: Screen) -> int:
    """Compare the texts in the code with the catalogues; WRITE=1 brings these up to date and compiles them."""
    return _run(processes, PYTHON, "-m", "dev.translations", *([] if os.environ.get("WRITE") else ["--check"]))


def _compare(schema_file: Path, screen: Screen) -> int:
    if not SCHEMA.exists():
        screen.say(f"{SCHEMA.relative_to(ROOT)} is missing; `make schema` writes it.")
        return 1
    committed_lines, current_lines = SCHEMA.read_text().splitlines(), schema_file.read_text().splitlines()
    drift = list(difflib.unified_diff(committed_lines, current_lines, "committed", "current", lineterm=""))
    if drift:
        screen.say("\n".join(drift[:SHOWN_LINES]))
        screen.say(f"\nThe API differs from {SCHEMA.relative_to(ROOT)}; `make schema` updates it.")
    return 1 if drift else 0


def _run(processes: Processes, *command: str | Path, **settings: str) -> int:
    defaults = {"VEZA_ENVIRONMENT": "development", "SECRET_KEY": secrets.token_urlsafe(48)}
    return in_foreground(processes, command, defaults | dict(os.environ) | settings)


CHECKS: dict[str, Callable[[Processes, Screen], int]] = {
    "lint": lint,
    "types": types,
    "contracts": contracts,
    "migrations": migrations,
    "schema": schema,
    "translations": translations,
}
