"""What is counted in the cache that all processes share: calls, and tries at a password. It may be away.

Nobody is kept out by that, and nobody waits for it twice: after a failure it is left alone for some seconds.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis import RedisError

log = structlog.get_logger(__name__)
Value = TypeVar("Value")
LEFT_ALONE_SECONDS = 5.0


class SharedCache:
    """Whether it answered the last time, as far as this process knows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._away_until = clock, 0.0

    def forget(self) -> None:
        """Ask it again: for tests."""
        self._away_until = 0.0

    def ask(self, work: Callable[[], Value], *, otherwise: Value, about: str) -> Value:
        """What `work` comes to, or `otherwise` while the cache is away or `work` fails. The log says `about` what."""
        if self._clock() < self._away_until:
            return otherwise
        try:
            return work()
        except (RedisError, OSError):
            self._away_until = self._clock() + LEFT_ALONE_SECONDS
            log.exception("not_counted", about=about)
        except Exception:  # Every cache has its own errors, and none of them may close the shop.
            log.exception("not_counted", about=about)
        return otherwise


shared_cache = SharedCache()
