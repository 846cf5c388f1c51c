"""The environment of a complete production, as an operator would write it, and processes started in it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

from dev.ports import HOST, free_port
from dev.valkey import find_server
from tests.buying import SECRET
from tests.database_roles import APPLICATION, PASSWORD
from veza import alive

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")

SANDBOX = {
    "VEZA_ENVIRONMENT": "sandbox",
    "DEBUG": "false",
    "SECRET_KEY": "q7Zt0vXw3nYb5cRk8mLp2sHd6fJg9aTe1uVi4oBxQyWzNrKhMlPjSdFg",
    "ALLOWED_HOSTS": "shop.example.org",
    "PUBLIC_BASE_URL": "https://shop.example.org",
    "TRUSTED_PROXIES": "1",
    "METRICS_TOKEN": "a-token-for-prometheus",
    "DATABASE_URL": "postgres://veza:veza@127.0.0.1:5432/veza",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "HYPERSWITCH_ENABLED": "true",
    "HYPERSWITCH_API_KEY": "snd_0123456789abcdef",
    "HYPERSWITCH_BASE_URL": "https://sandbox.hyperswitch.io",
    "HYPERSWITCH_WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef",
    "HYPERSWITCH_PROFILE_ID": "pro_0123456789",
    "STRIPE_SECRET_KEY": "sk_test_0123456789abcdef",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef",
    "SMTP_HOST": "smtp.example.org",
    "SMTP_PORT": "587",
    "SMTP_USERNAME": "veza",
    "SMTP_PASSWORD": "0123456789abcdef",
    "SMTP_TLS": "true",
    "SMTP_FROM": "receipts@shop.example.org",
    "SMTP_FROM_NAME": "Example Shop",
    "EMAIL_LINK_ORIGINS": "https://shop.example.org",
    "REVIEW_DIGEST_ADDRESS": "finance@shop.example.org",
}
LIVE = SANDBOX | {
    "VEZA_ENVIRONMENT": "live",
    "HYPERSWITCH_API_KEY": "prd_0123456789abcdef",
    "HYPERSWITCH_BASE_URL": "https://api.hyperswitch.io",
    "STRIPE_SECRET_KEY": "sk_live_0123456789abcdef",
}


def environment(environ: dict[str, str]) -> dict[str, str]:
    """`environ`, and of the test process's own environment only what any program needs."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | environ


def run(*command: str | Path, environ: dict[str, str], seconds: float = 90) -> subprocess.CompletedProcess[str]:
    """Run `python COMMAND` to its end."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(environ),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@contextmanager
def start(*command: str | Path, environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python COMMAND` in the background, its output in `log`; whatever it left is ended at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment(environ), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def serving(folder: Path, **environ: str) -> Iterator[str]:
    """gunicorn with Hyperswitch's secret and what else is `said`, once it answers; yields its address."""
    bind = f"{HOST}:{free_port()}"
    everything = {"WEB_BIND": bind, "HYPERSWITCH_WEBHOOK_SECRET": SECRET, **environ}
    with start("-m", "gunicorn", environ=everything, log=folder / "web.log"):
        wait_until(lambda: alive.web_is_alive(bind, ""), seconds=60)
        yield f"http://{bind}"


def database_url() -> str:
    """The test database, as another process reaches it in the application's role."""
    return _url(APPLICATION, PASSWORD)


def owner_url() -> str:
    """The same in the role that made it."""
    database = connection.settings_dict
    return _url(database["USER"], database["PASSWORD"])


def _url(user: str, password: str) -> str:
    database = connection.settings_dict
    who = quote(user) + (f":{quote(password)}" if password else "")
    return f"postgres://{who}@{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}/{database['NAME']}"


@contextmanager
def a_redis(folder: Path) -> Iterator[str]:
    """The broker this test run was given, or one of our own. One that merely listens is never used."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    port = free_port()
    command = [str(find_server()), "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), seconds=10)
        yield f"redis://{HOST}:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def wait_until(holds: Callable[[], object], *, seconds: float) -> Any:
    """What `holds` returned once it was true. Fails the test when it never is."""
    deadline = time.monotonic() + seconds
    while not (snapshot := holds()):
        assert time.monotonic() < deadline, f"still {snapshot!r} after {seconds} s"
        time.sleep(0.05)
    return snapshot


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((HOST, port)) == 0
