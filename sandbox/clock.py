"""Time: the current time, Hyperswitch's time stamps, and jobs that run a little later."""

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
    """Runs small jobs when they are due, one after another, on a single thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._change = threading.Condition()
        threading.Thread(target=self._run, name="scheduler", daemon=True).start()

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        with self._change:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), job))
            self._change.notify()

    def clear(self) -> None:
        with self._change:
            self._due.clear()

    def _run(self) -> None:
        while True:
            job = self._next()
            try:
                job()
            except Exception:  # one bad job must not stop the scheduler
                traceback.print_exc()

    def _next(self) -> Callable[[], None]:
        with self._change:
            while True:
                if not self._due:
                    self._change.wait()
                    continue
                wait = self._due[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._change.wait(wait)
