"""A value that is cached in this process for a few seconds, so that reading it often costs nothing."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class CachedValue(Generic[Value]):
    """Call it for the value: computed again when the last one is older than `seconds`.

    Cached in this process and not in Redis: it must still answer while Redis is down. Errors are not cached.
    """

    def __init__(self, compute: Callable[[], Value], *, seconds: float) -> None:
        self._compute, self._seconds = compute, seconds
        # Value and age in one tuple: another thread sees both or neither.
        self._entry: tuple[float, Value] | None = None

    def __call__(self) -> Value:
        entry = self._entry
        if entry is not None and time.monotonic() - entry[0] < self._seconds:
            return entry[1]
        value = self._compute()
        self._entry = (time.monotonic(), value)
        return value

    def forget(self) -> None:
        """Compute it again the next time: for the code that has just changed it, and for tests."""
        self._entry = None
