"""Concurrency: many users who click at the same moment, and functions that run in parallel."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

FIFTY = 50
# The marks of a module with a crowd. Fifty connections are half of what a PostgreSQL allows by default, so that two
# crowds must not come at once; and on a slow machine the last of them waits longer for a row than production would.
CROWD = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("crowd"),
    pytest.mark.usefixtures("patient_connections"),
]


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


class Rival:
    """Work on a connection of its own that begins while another transaction is open, and ends after it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[Any] | None = None
        # Whether it had to wait for a lock of that transaction.
        self.waited = False

    def begin(self) -> None:
        """Start, and return once the work has ended or waits for a lock."""
        backend: Future[int] = Future()
        self._future = self._pool.submit(self._run, backend)
        pid, until = backend.result(timeout=10), time.monotonic() + 20
        while not self._future.done() and not self.waited:
            assert time.monotonic() < until, "the rival neither ends nor waits"
            with connection.cursor() as cursor:
                cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
                self.waited = cursor.fetchone()[0]
            time.sleep(0.002)

    def result(self) -> Any:
        """What the work returned, or the exception it raised."""
        assert self._future is not None, "the rival never began: the transaction was not committed"
        return self._future.result(timeout=20)

    def _run(self, backend: "Future[int]") -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                backend.set_result(cursor.fetchone()[0])
            return self._work()
        except Exception as error:
            return error
        finally:
            connection.close()


def before_commit(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Rival]:
    """Run `first`, and `second` on another connection just before the first commit of `first`.

    A verb that locks what it reads waits for that commit, and then sees what `first` did.
    """
    rival, commit = Rival(second), connection.commit

    def begin_and_commit() -> None:
        connection.commit = commit
        rival.begin()
        commit()

    connection.commit = begin_and_commit
    try:
        result = first()
    finally:
        connection.commit = commit
    rival.result()
    return result, rival
