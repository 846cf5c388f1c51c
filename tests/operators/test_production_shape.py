"""compose.yaml and the Dockerfile: hardened, without secrets, and every command in them runs."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest
import yaml
from django.db import connection

from dev.ports import free_port
from tests.operators.production import ROOT, SANDBOX, a_redis, database_url, owner_url, run, start, wait_until
from veza import alive
from veza.core.models import Heartbeat

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "beat")
LONG_RUNNING = [name for name, service in SERVICES.items() if name != "migrate" and "profiles" not in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMMANDS = {name: SERVICES[name]["command"] for name in OURS}


def as_here(command, **instead):
    """The container's command for this machine's Python: its programs are modules here."""
    program, *arguments = (instead.get(word, word) for word in command)
    return arguments if program == "python" else ["-m", program, *arguments]


# --- What the files say ---


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["init"] is True


@pytest.mark.parametrize("name", OURS)
def test_ours_run_as_a_number_that_is_not_root(name):
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", SERVICES[name]["user"])
    assert re.search(rf"^USER {SERVICES[name]['user']}$", DOCKERFILE.rpartition("FROM ")[2], re.MULTILINE)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_has_a_health_check_and_comes_back_by_itself(name):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_nothing_of_ours_starts_before_the_migrations_are_done(name):
    assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["migrate"]["restart"] == "no"


def test_only_this_machine_reaches_a_port_and_the_stores_reach_nobody():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert SERVICES["db"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_takes_all_memory_or_all_processes(name):
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["pids_limit"] <= 256


@pytest.mark.parametrize("command", [COMMANDS["web"], ["python", "manage.py", "migrate", "--noinput"]])
def test_the_image_refuses_to_start_without_an_environment(command):
    assert re.search(r"^ +VEZA_ENVIRONMENT=$", DOCKERFILE.rpartition("FROM ")[2], re.MULTILINE)

    ended = run(*as_here(command), environ={"VEZA_ENVIRONMENT": "", "WEB_BIND": f"127.0.0.1:{free_port()}"})

    assert ended.returncode != 0
    assert "VEZA_ENVIRONMENT is not one of the three" in ended.stdout + ended.stderr


def test_no_secret_stands_in_the_files():
    lines = [f"{key}={value}" for service in SERVICES.values() for key, value in service.get("environment", {}).items()]

    assert [
        line for line in lines if re.search(r"(SECRET|KEY|TOKEN|PASSWORD)\w*=", line) and "/run/secrets/" not in line
    ] == []
    assert not re.search(r"^(ENV|ARG) .*(SECRET|KEY|TOKEN|PASSWORD)", DOCKERFILE, re.MULTILINE)
    assert all(secret["file"].startswith("./secrets/") for secret in COMPOSE["secrets"].values())


def test_git_and_the_image_leave_the_secrets_out():
    assert {"secrets/", ".env"} <= set((ROOT / ".gitignore").read_text().split())
    assert (ROOT / ".dockerignore").read_text().split("*", 1)[0].strip().startswith("#")
    assert not re.search(r"^!.*(secrets|\.env|tests|\.git)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)


def test_a_service_is_given_longer_to_stop_than_its_work_may_take(settings):
    grace = {name: int(SERVICES[name]["stop_grace_period"].removesuffix("s")) for name in ("web", "worker")}
    graceful_timeout = int(re.search(r"graceful_timeout = (\d+)", (ROOT / "gunicorn.conf.py").read_text())[1])

    assert grace["web"] > graceful_timeout
    assert grace["worker"] > settings.CELERY_TASK_TIME_LIMIT


def test_the_image_holds_what_is_imported_and_installs_by_hash():
    folders = set(re.findall(r"^!([\w.]+)/?$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))

    assert {"veza", "payments", "subscriptions", "marketplace", "connect", "templates", "manage.py"} <= folders
    assert "--require-hashes" in DOCKERFILE
    assert "COPY --from=build" in DOCKERFILE


def test_compose_itself_accepts_the_file(tmp_path):
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    (tmp_path / "compose.yaml").write_text((ROOT / "compose.yaml").read_text())
    (tmp_path / ".env").write_text("")

    result = subprocess.run(
        [docker, "compose", "--profile", "observability", "config", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")


# --- What the commands do ---


@pytest.fixture
def environ(transactional_db, tmp_path):
    """A production's environment, with this test's database and a broker."""
    with a_redis(tmp_path) as redis_url:
        yield SANDBOX | {
            "DATABASE_URL": database_url(),
            "REDIS_URL": redis_url,
            "WEB_BIND": f"127.0.0.1:{free_port()}",
            "VEZA_ALIVE_FILE": str(tmp_path / "alive"),
            "RESEND_CHECK_INTERVAL": "1s",
        }


def healthy(name, environ):
    command = SERVICES[name]["healthcheck"]["test"]
    assert command[:2] == ["CMD", "python"]
    return run(*command[2:], environ=environ, seconds=10).returncode == 0


def test_the_migrate_command_runs_to_its_end(environ):
    process = run(*as_here(COMMANDS["migrate"]), environ=environ | {"DATABASE_OWNER_URL": owner_url()})

    assert process.returncode == 0, process.stderr
    assert connection.introspection.table_names()


def test_the_web_command_serves_in_production_and_its_health_check_knows(environ, tmp_path):
    with start(*as_here(COMMANDS["web"]), environ=environ, log=tmp_path / "web.log"):
        wait_until(lambda: healthy("web", environ), seconds=60)

    assert not healthy("web", environ)


def test_the_web_process_logs_nothing_but_json(environ, tmp_path):
    log = tmp_path / "web.log"
    with start(*as_here(COMMANDS["web"]), environ=environ, log=log):
        wait_until(lambda: healthy("web", environ), seconds=60)
        wait_until(lambda: '"path": "/api/v1/health"' in log.read_text(), seconds=5)

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_beat_and_worker_do_the_due_work_and_their_health_checks_know(environ, tmp_path):
    beat_environ = environ | {"VEZA_ALIVE_FILE": str(tmp_path / "beat-alive")}
    beat = as_here(COMMANDS["beat"], **{"/tmp/beat-schedule": str(tmp_path / "schedule")})
    worker = as_here(COMMANDS["worker"])

    with (
        start(*worker, environ=environ, log=tmp_path / "worker.log"),
        start(*beat, environ=beat_environ, log=tmp_path / "beat.log"),
    ):
        wait_until(lambda: Heartbeat.objects.filter(name="payments.resend").exists(), seconds=60)
        assert healthy("worker", environ)
        assert healthy("beat", beat_environ)


def test_every_command_of_ours_is_one_of_those_run_here():
    said_in_the_image = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])

    assert COMMANDS.keys() == {"migrate", "web", "worker", "beat"}
    assert said_in_the_image == COMMANDS["web"]


# --- The health check ---


def test_a_sign_of_life_that_is_old_or_missing_is_none(tmp_path):
    path = tmp_path / "alive"
    assert not alive.is_recent(str(path), 60)

    path.touch()
    assert alive.is_recent(str(path), 60)

    os.utime(path, (time.time() - 61, time.time() - 61))
    assert not alive.is_recent(str(path), 60)


def test_nobody_at_the_address_is_not_alive():
    assert not alive.web_is_alive(f"127.0.0.1:{free_port()}", "shop.example.org")


def test_an_unknown_question_has_a_status_of_its_own():
    assert alive.main(["database"]) == 2
