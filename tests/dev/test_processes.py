import signal
import sys
import time
from pathlib import Path

import pytest

from dev.processes import ChildExit, Failure, Processes
from dev.warden import is_alive

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"
TELLING = (
    "import signal, sys, time\n"
    "signal.signal(15, lambda *_: (print(sys.argv[1], flush=True), sys.exit()))\n"
    "print('up', flush=True)\n"
    "time.sleep(1000)"
)
LEAVING = "import subprocess, time\nprint(subprocess.Popen(['sleep', '1000']).pid, flush=True)\ntime.sleep(1000)"


def do_nothing() -> None:
    pass


def test_a_child_that_dies_is_named_with_the_end_of_its_log(processes: Processes, tmp_path: Path):
    command = [sys.executable, "-c", "print('no such table'); raise SystemExit(3)"]
    processes.start("The worker", command, log=tmp_path / "worker.log")

    with pytest.raises(ChildExit, match=r"(?s)The worker ended unexpectedly \(status 3\).*no such table"):
        processes.wait_for(lambda: False, "Web", within=10, tick=do_nothing)


def test_a_failed_command_shows_its_output(processes: Processes, tmp_path: Path):
    command = [sys.executable, "-c", "import sys; print('one'); sys.exit('two')"]

    with pytest.raises(ChildExit, match=r"(?s)Migrate failed with status 1.*one.*two"):
        processes.run("Migrate", command, log=tmp_path / "migrate.log", tick=do_nothing)


def test_a_command_returns_its_output(processes: Processes, tmp_path: Path):
    command = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"]

    assert processes.run("It", command, log=tmp_path / "it.log", tick=do_nothing) == "out\n"


def test_a_server_that_is_never_ready_is_a_failure(processes: Processes):
    with pytest.raises(Failure, match="Web was not ready within 0 seconds"):
        processes.wait_for(lambda: False, "Web", within=0.2, tick=do_nothing)


def test_the_last_started_is_stopped_first(processes: Processes, tmp_path: Path):
    log = tmp_path / "order.log"
    for name in ("database", "web"):
        processes.start(name, [sys.executable, "-c", TELLING, name], log=log)
    processes.wait_for(lambda: log.read_text().count("up") == 2, "both", within=10, tick=do_nothing)

    processes.stop_all()

    assert log.read_text().split()[-2:] == ["web", "database"]


def test_a_child_that_ignores_its_signal_is_killed(processes: Processes, tmp_path: Path):
    log = tmp_path / "deaf.log"
    child = processes.start("Deaf", [sys.executable, "-c", STUBBORN], log=log, patience=0.3)
    processes.wait_for(lambda: "deaf" in log.read_text(), "Deaf", within=10, tick=do_nothing)

    processes.discard(child)

    assert child.process.returncode == -signal.SIGKILL


def test_a_grandchild_is_stopped_with_its_parent(processes: Processes, tmp_path: Path):
    log = tmp_path / "left.log"
    child = processes.start("Leaving", [sys.executable, "-c", LEAVING], log=log)
    processes.wait_for(lambda: bool(log.read_text()), "Leaving", within=10, tick=do_nothing)
    grandchild = type(child.ward)(int(log.read_text()), signal.SIGTERM, 1, leads_group=False)

    start = time.monotonic()
    processes.discard(child)

    assert not is_alive(grandchild)
    assert time.monotonic() - start < 3
