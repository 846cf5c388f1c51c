"""The database and the broker of one run: those that the environment names, else new servers."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from dev import places, postgres, valkey
from dev.processes import Processes
from dev.terminal import Screen

STORES = ("DATABASE_URL", "REDIS_URL")


def open_stores(
    processes: Processes,
    screen: Screen,
    *,
    durable: bool,
    logs: Path | None = None,
    settings: Sequence[str] = (),
    two_roles: bool = False,
) -> dict[str, str]:
    """Return DATABASE_URL and REDIS_URL of running servers.

    A new PostgreSQL cluster takes about a second, so every run gets its own empty one, without
    locks, upgrades or repairs. Without `durable` its data need not survive a power cut. `settings` are further options
    of its command line. With `two_roles` DATABASE_URL is that of the application's role, and DATABASE_OWNER_URL that of
    the tables' owner; a DATABASE_URL that is set stays as it is.
    """
    names = (*STORES, "DATABASE_OWNER_URL") if two_roles and os.environ.get("DATABASE_URL") else STORES
    urls = {name: os.environ[name] for name in names if os.environ.get(name)}
    for name, url in urls.items():
        screen.say(f"  · {name} is set: using {_without_password(url)}")
    if urls.keys() >= set(STORES):
        return urls
    folder = places.run_folder()
    processes.remove_at_the_end(folder)
    logs = logs or folder
    if "DATABASE_URL" not in urls:
        with screen.step("PostgreSQL") as step:
            log = logs / "postgres.log"
            roles = postgres.start(processes, folder, durable=durable, log=log, step=step, settings=settings)
            urls["DATABASE_URL"] = roles.application if two_roles else roles.owner
            if two_roles:
                urls["DATABASE_OWNER_URL"] = roles.owner
    if "REDIS_URL" not in urls:
        with screen.step("Valkey") as step:
            urls["REDIS_URL"] = valkey.start(processes, folder, log=logs / "valkey.log", step=step)
    return urls


def open_brokers(processes: Processes, screen: Screen, number: int) -> list[str]:
    """Return the URLs of `number` new brokers, also when REDIS_URL is set: what they hold is deleted by the tests."""
    urls = []
    for _ in range(number):
        folder = places.run_folder()
        processes.remove_at_the_end(folder)
        with screen.step("Valkey") as step:
            urls.append(valkey.start(processes, folder, log=folder / "valkey.log", step=step))
    return urls


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
