"""A web server as production runs it, for benchmarks that deliver webhooks."""

import http.client
from collections.abc import Iterator

import pytest

from dev.ports import HOST, free_port
from tests.buying import SECRET, WEBHOOK
from tests.operators.production import database_url, started, wait_until


@pytest.fixture
def url(tmp_path) -> Iterator[str]:
    """Where gunicorn, with two workers of four threads, takes Hyperswitch's webhooks."""
    port = free_port()
    said = {
        "DATABASE_URL": database_url(),
        "HYPERSWITCH_WEBHOOK_SECRET": SECRET,
        "TRUSTED_PROXIES": "1",
        "WEB_BIND": f"{HOST}:{port}",
        "WEB_THREADS": "4",
        "LOG_LEVEL": "ERROR",
    }
    with started("-m", "gunicorn", said=said, log=tmp_path / "web.log"):
        wait_until(lambda: _answers(port), seconds=30)
        yield f"http://{HOST}:{port}{WEBHOOK}"


def _answers(port: int) -> bool:
    try:
        http.client.HTTPConnection(HOST, port, timeout=5).request("GET", "/api/v1/status")
    except OSError:
        return False
    return True
