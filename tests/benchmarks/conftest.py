"""A web server as production runs it, for benchmarks that deliver webhooks."""

from collections.abc import Iterator

import pytest

from tests.buying import WEBHOOK
from tests.operators.production import database_url, serving


@pytest.fixture
def address(tmp_path) -> Iterator[str]:
    """Where gunicorn serves, with two workers of four threads."""
    payload = {"DATABASE_URL": database_url(), "TRUSTED_PROXIES": "1", "WEB_THREADS": "4", "LOG_LEVEL": "ERROR"}
    with serving(tmp_path, **payload) as found:
        yield found


@pytest.fixture
def url(address: str) -> str:
    """Where it takes Hyperswitch's webhooks."""
    return address + WEBHOOK
