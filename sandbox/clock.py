"""Time: the present, how Hyperswitch writes it, and things to do a little later."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def stamp(at: datetime) -> str:
    """UTC, always three decimals, always `Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class Scheduler:
    """Runs small jobs when they are due, one after another, on one thread of its own."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), job))
            self._changed.notify()

    def clear(self) -> None:
        with self._changed:
            self._due.clear()

    def _run(self) -> None:
        while True:
            job = self._next()
            try:
                job()
            except Exception:  # one bad job must not stop the clock for all
                traceback.print_exc()

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while True:
                if not self._due:
                    self._changed.wait()
                    continue
                wait = self._due[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
