"""`dev services` starts real servers here; the command it runs reports on them."""

import json
import os
import re
import signal
import sys

import pytest

from tests.dev.conftest import Launch, wait_for_line
from tests.dev.process_tree import descendants, wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads processes from /proc")

INSPECT = """
import json, os, psycopg, redis
url = os.environ["DATABASE_URL"]
wrong = url.replace(url.split(":")[2].split("@")[0], "wrong")
try:
    psycopg.connect(wrong)
    refusal = ""
except psycopg.OperationalError as error:
    refusal = str(error)
with psycopg.connect(url) as connection:
    tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()[0]
    folder = connection.execute("SHOW data_directory").fetchone()[0]
    listens = connection.execute("SHOW listen_addresses").fetchone()[0]
pong = redis.from_url(os.environ["REDIS_URL"]).ping()
print("REPORT", json.dumps([refusal, tables, folder, listens, pong]))
raise SystemExit(7)
"""
WAIT = "import os, sys, time; print('RUNS', os.environ['DATABASE_URL'], flush=True); time.sleep(1000)"
WITH_A_GRANDCHILD = f"import subprocess; subprocess.Popen(['sleep', '1000']); {WAIT}"


def test_a_command_gets_its_own_servers_which_end_after_it(launch: Launch):
    launcher = launch("services", "--", sys.executable, "-c", INSPECT)

    report = json.loads(wait_for_line(launcher, "REPORT").removeprefix("REPORT "))
    refusal, tables, folder, listens, pong = report
    status = launcher.wait(30)

    assert "password authentication failed" in refusal
    assert (tables, listens, pong) == (0, "127.0.0.1", True)
    assert status == 7, "the command's own exit status is passed on"
    assert not os.path.exists(folder)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_launcher_ended_by_a_signal_leaves_no_process(launch: Launch, signum: signal.Signals):
    launcher = launch("services", "--", sys.executable, "-c", WITH_A_GRANDCHILD)
    wait_for_line(launcher, "RUNS")
    tree = descendants(launcher.pid)

    launcher.send_signal(signum)
    launcher.wait(30)

    assert any("postgres" in command for command in tree.values())
    assert any("valkey" in command for command in tree.values())
    assert any("sleep 1000" in command for command in tree.values())
    assert wait_until_gone(tree) == {}
    assert launcher.returncode == (-9 if signum == signal.SIGKILL else 128 + signum)


def test_a_killed_launcher_leaves_no_data_behind_and_the_next_one_starts(launch: Launch):
    first = launch("services", "--", sys.executable, "-c", WAIT)
    wait_for_line(first, "RUNS")
    tree = descendants(first.pid)
    data = next(match for command in tree.values() if (match := re.search(r"-D (\S+)", command)))

    first.kill()
    second = launch("services", "--", sys.executable, "-c", WAIT)

    assert wait_for_line(second, "RUNS")
    assert wait_until_gone(tree) == {}
    assert not os.path.exists(data[1])


def test_servers_in_the_environment_are_used_and_none_is_started(launch: Launch):
    urls = {
        "DATABASE_URL": "postgresql://me:secret@db.example/veza",
        "REDIS_URL": "redis://broker.example/1",
    }
    launcher = launch("services", "--", sys.executable, "-c", WAIT, **urls)

    notice = wait_for_line(launcher, "  · DATABASE_URL")
    line = wait_for_line(launcher, "RUNS")
    tree = descendants(launcher.pid)

    assert line == f"RUNS {urls['DATABASE_URL']}"
    assert "secret" not in notice
    assert len(tree) == 2, f"only the warden and the command were expected: {tree}"


def test_two_launchers_at_once_do_not_interfere(launch: Launch):
    launchers = [launch("services", "--", sys.executable, "-c", WAIT) for _ in range(2)]

    urls = {wait_for_line(launcher, "RUNS") for launcher in launchers}

    assert len(urls) == 2
