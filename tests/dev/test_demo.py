import json

import pytest

from dev import demo, environment
from dev.demo import DemoOptions
from dev.demo_settings import demo_settings
from dev.processes import Failure, Processes
from dev.terminal import Screen

STORES = {"DATABASE_URL": "postgresql://db", "REDIS_URL": "redis://broker"}


def test_a_failed_demo_names_the_step_and_the_reason_in_its_last_line(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(_level: str, _processes: Processes, screen: Screen) -> None:
        with screen.step("Installing packages"):
            raise Failure("pip failed with status 1.\n    a long log\n    no space left")

    monkeypatch.setattr(environment, "ensure", fail)

    status = demo.demo(processes, Screen(), DemoOptions(once=True, pay_in_browser=False, port=None))

    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 1
    assert (report["ok"], report["failed_step"]) == (False, "Installing packages")
    assert report["why"] == "pip failed with status 1. no space left"


def test_the_shell_cannot_connect_the_demo_to_a_real_provider(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_real")
    monkeypatch.setenv("REVERSAL_WORKER_ENABLED", "false")

    settings = demo_settings(STORES, "http://127.0.0.1:8000", "password")

    assert settings["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert "REVERSAL_WORKER_ENABLED" not in settings


@pytest.mark.parametrize(("once", "ends"), [("1", True), ("0", False), (None, True)])
def test_without_a_terminal_the_demo_ends_unless_once_is_off(
    once: str | None, ends: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ONCE", raising=False)
    if once is not None:
        monkeypatch.setenv("ONCE", once)

    assert demo.read_options(Screen()).once is ends
