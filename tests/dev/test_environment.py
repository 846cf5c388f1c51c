from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from dev import environment
from dev.places import VENV
from dev.processes import Processes
from dev.terminal import Screen


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for level in environment.LEVELS:
        (tmp_path / f"{level}.lock").write_text(f"packages for {level}")
    monkeypatch.setattr(environment, "lock_file", lambda level: tmp_path / f"{level}.lock")
    return tmp_path


def stamp_of(level: str) -> dict[str, Any]:
    levels = environment.LEVELS[: environment.LEVELS.index(level) + 1]
    digests = {each: environment._digest(each) for each in levels}
    return {"venv": str(VENV), "python": environment._python_version(), "level": level, "locks": digests}


def build_of(stamp: dict[str, Any], level: str, monkeypatch: pytest.MonkeyPatch, processes: Processes) -> Mock:
    build = Mock()
    monkeypatch.setattr(environment, "_build", build)
    monkeypatch.setattr(environment, "read_stamp", lambda: stamp)
    environment.ensure(level, processes, Screen())
    return build


def test_an_unchanged_environment_is_not_rebuilt(locks: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes):
    build_of(stamp_of("demo"), "demo", monkeypatch, processes).assert_not_called()


def test_a_changed_lock_file_is_installed(locks: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes):
    stamp = stamp_of("demo")
    (locks / "demo.lock").write_text("something newer")

    build = build_of(stamp, "demo", monkeypatch, processes)

    assert build.call_args.args[0] == "demo"


def test_the_demo_runs_in_an_environment_for_development(
    locks: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes
):
    build_of(stamp_of("development"), "demo", monkeypatch, processes).assert_not_called()


def test_the_demo_does_not_remove_packages_for_development(
    locks: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes
):
    stamp = stamp_of("development")
    (locks / "demo.lock").write_text("something newer")

    build = build_of(stamp, "demo", monkeypatch, processes)

    assert build.call_args.args[0] == "development"


def test_an_environment_for_the_demo_is_not_enough_for_the_tests(locks: Path):
    assert not environment.serves("development", stamp_of("demo"))


@pytest.mark.parametrize(
    "stamp", [{"building": True}, {"python": "/elsewhere/.venv 3 11"}], ids=["cut short", "another Python"]
)
def test_an_environment_that_cannot_be_trusted_is_rebuilt(stamp: dict[str, Any]):
    assert not environment._is_worth_keeping(stamp)


def test_an_environment_that_was_moved_does_not_serve(locks: Path):
    assert not environment.serves("demo", stamp_of("demo") | {"venv": "/elsewhere/.venv"})
