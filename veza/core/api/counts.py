"""The cache that all processes share, for counts of calls and of log-in tries. It may be down.

Then no request is refused for it, and none waits for it: after a failure it is not used for some seconds.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis import RedisError

log = structlog.get_logger(__name__)
Value = TypeVar("Value")
PAUSE_SECONDS = 5.0


class SharedCache:
    """The cache, and whether this process found it down."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._down_until = clock, 0.0

    def forget(self) -> None:
        """Use it again at once: for tests."""
        self._down_until = 0.0

    def ask(self, work: Callable[[], Value], *, otherwise: Value, about: str) -> Value:
        """The result of `work`, or `otherwise` while the cache is down or `work` fails. The log names `about`."""
        if self._clock() < self._down_until:
            return otherwise
        try:
            return work()
        except (RedisError, OSError):
            self._down_until = self._clock() + PAUSE_SECONDS
            log.exception("not_counted", about=about)
        except Exception:  # Every cache has its own errors, and none of them may stop sales.
            log.exception("not_counted", about=about)
        return otherwise


shared_cache = SharedCache()
