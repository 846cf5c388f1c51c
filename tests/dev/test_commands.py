import os

import pytest

from dev import commands
from dev.processes import Failure


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKERS", raising=False)
    monkeypatch.setattr(commands, "count_cores", lambda: 2)


def test_all_tests_run_in_a_process_per_core(two_cores: None):
    assert commands.count_workers([]) == 2


def test_chosen_tests_run_in_one_process(two_cores: None):
    assert commands.count_workers(["-k", "refund", "-x"]) == 1


def test_a_machine_of_many_cores_keeps_to_the_connections_of_its_server(monkeypatch: pytest.MonkeyPatch, two_cores):
    monkeypatch.setattr(commands, "count_cores", lambda: 64)

    assert commands.count_workers([]) == commands.MOST_WORKERS


@pytest.mark.parametrize("arguments", [[], ["tests/core"]])
def test_workers_chooses_the_number_of_processes(monkeypatch: pytest.MonkeyPatch, arguments: list[str]):
    monkeypatch.setenv("WORKERS", "3")

    assert commands.count_workers(arguments) == 3


@pytest.mark.parametrize("setting", ["0", "-1", "many"])
def test_workers_must_be_a_number_of_processes(monkeypatch: pytest.MonkeyPatch, setting: str):
    monkeypatch.setenv("WORKERS", setting)

    with pytest.raises(Failure, match=f"WORKERS={setting} is not a number of processes"):
        commands.count_workers([])


@pytest.mark.parametrize("arguments", [["-n", "2"], ["-n2"], ["--numprocesses=2"]])
def test_processes_that_would_share_a_broker_are_refused(two_cores: None, arguments: list[str]):
    with pytest.raises(Failure, match="WORKERS=2"):
        commands.count_workers(["tests/core", *arguments])


def test_processes_keep_what_they_compile(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    commands.keep_bytecode()

    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
