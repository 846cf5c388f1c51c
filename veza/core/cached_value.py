"""A value this process may know for a few seconds, so that asking often costs nothing."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class CachedValue(Generic[Value]):
    """Call it for the value: computed anew when the last one is older than `seconds`.

    Kept in this process and not in Redis: it must still answer while Redis is away. Errors are not kept.
    """

    def __init__(self, compute: Callable[[], Value], *, seconds: float) -> None:
        self._compute, self._seconds = compute, seconds
        # Value and age in one tuple: another thread sees both or neither.
        self._kept: tuple[float, Value] | None = None

    def __call__(self) -> Value:
        kept = self._kept
        if kept is not None and time.monotonic() - kept[0] < self._seconds:
            return kept[1]
        value = self._compute()
        self._kept = (time.monotonic(), value)
        return value

    def forget(self) -> None:
        """Compute it anew the next time: for whoever has just changed it, and for tests."""
        self._kept = None
