"""One of several test processes has a Redis of its own, as pytest-django gives it a database of its own.

The launcher loads this with `-p`, because the settings are read before any conftest.
"""

import os


def use_own_redis() -> None:
    """Take the address that the launcher has for this process; the first process, which runs no test, needs none."""
    if number := os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw"):
        os.environ["REDIS_URL"] = os.environ["REDIS_URLS"].split()[int(number)]


use_own_redis()
