"""Concurrency: many users who click at the same moment, and functions that run in parallel."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

FIFTY = 50


def all_at_once(ask: Callable[[int], Any], people: int = FIFTY) -> list[Any]:
    """The answer that each of `people` gets when all ask at the same moment."""
    barrier = threading.Barrier(people)

    def one(number: int) -> Any:
        barrier.wait()
        return ask(number)

    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(one, range(people)))


def together(*works: Callable[[], Any]) -> None:
    """Run each in its own thread, starting at the same moment, and fail if one of them fails."""

    def run(number: int) -> Exception | None:
        try:
            works[number]()
        except Exception as error:
            return error
        finally:
            connection.close()
        return None

    failures = [error for error in all_at_once(run, len(works)) if error is not None]
    assert not failures, failures
