"""The cache that all processes share, for counts of calls and of log-in tries. It may be down.

Then no request is refused for it, and none waits for it: after a failure it is not used for some seconds.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.core.cache import cache
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


def count(key: str, *, seconds: int) -> int:
    """Count one more under `key` and return the count, in one step: of calls at once no two get the same number.

    The count ends by itself `seconds` after it began. Raises what the cache raises.
    """
    cache.add(key, 0, timeout=seconds)
    try:
        return cache.incr(key)
    except ValueError:  # It ended between the two lines.
        return 1


def uncount(key: str) -> None:
    """Count one less. A count that has ended meanwhile stays ended. Raises what the cache raises."""
    try:
        cache.decr(key)
    except ValueError:
        return
