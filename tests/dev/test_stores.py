"""`dev services` really starts servers here; the command it runs reports what it sees."""

import json
import os
import re
import signal
import sys

import pytest

from tests.dev.conftest import Launch, wait_for_line
from tests.dev.process_tree import descendants, wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

LOOK_AROUND = """
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
print("SEEN", json.dumps([refusal, tables, folder, listens, pong]))
raise SystemExit(7)
"""
WAIT = "import os, sys, time; print('RUNS', os.environ['DATABASE_URL'], flush=True); time.sleep(1000)"
WITH_A_GRANDCHILD = f"import subprocess; subprocess.Popen(['sleep', '1000']); {WAIT}"


def test_a_command_gets_servers_of_its_own_which_are_gone_after_it(launch: Launch):
    launcher = launch("services", "--", sys.executable, "-c", LOOK_AROUND)

    seen = json.loads(wait_for_line(launcher, "SEEN").removeprefix("SEEN "))
    refusal, tables, folder, listens, pong = seen
    status = launcher.wait(30)

    assert "password authentication failed" in refusal
    assert (tables, listens, pong) == (0, "127.0.0.1", True)
    assert status == 7, "the command's own exit status is passed on"
    assert not os.path.exists(folder)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_launcher_ended_by_a_signal_leaves_no_process(launch: Launch, signum: signal.Signals):
    launcher = launch("services", "--", sys.executable, "-c", WITH_A_GRANDCHILD)
    wait_for_line(launcher, "RUNS")
    started = descendants(launcher.pid)

    launcher.send_signal(signum)
    launcher.wait(30)

    assert any("postgres" in command for command in started.values())
    assert any("valkey" in command for command in started.values())
    assert any("sleep 1000" in command for command in started.values())
    assert wait_until_gone(started) == {}
    assert launcher.returncode == (-9 if signum == signal.SIGKILL else 128 + signum)


def test_a_killed_launcher_leaves_no_data_behind_and_the_next_one_starts(launch: Launch):
    first = launch("services", "--", sys.executable, "-c", WAIT)
    wait_for_line(first, "RUNS")
    started = descendants(first.pid)
    data = next(found for command in started.values() if (found := re.search(r"-D (\S+)", command)))

    first.kill()
    second = launch("services", "--", sys.executable, "-c", WAIT)

    assert wait_for_line(second, "RUNS")
    assert wait_until_gone(started) == {}
    assert not os.path.exists(data[1])


def test_servers_named_in_the_environment_are_used_and_none_is_started(launch: Launch):
    named = {
        "DATABASE_URL": "postgresql://me:secret@db.example/veza",
        "REDIS_URL": "redis://broker.example/1",
    }
    launcher = launch("services", "--", sys.executable, "-c", WAIT, **named)

    told = wait_for_line(launcher, "  · DATABASE_URL")
    line = wait_for_line(launcher, "RUNS")
    started = descendants(launcher.pid)

    assert line == f"RUNS {named['DATABASE_URL']}"
    assert "secret" not in told
    assert len(started) == 2, f"only the warden and the command were expected: {started}"


def test_two_launchers_at_once_do_not_meet(launch: Launch):
    launchers = [launch("services", "--", sys.executable, "-c", WAIT) for _ in range(2)]

    urls = {wait_for_line(launcher, "RUNS") for launcher in launchers}

    assert len(urls) == 2
