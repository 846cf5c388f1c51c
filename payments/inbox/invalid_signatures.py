"""A flood of forged deliveries cannot fill the disk: a few of each address are kept, the rest is only counted.

Each web process counts for itself: with four of them up to four times as many rows are kept. One that ends tells what
it has counted (gunicorn.conf.py); one that is killed takes the last second's count with it.
"""

import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from django.db import DatabaseError, connection

# What one process keeps of deliveries with a bad signature, each minute. Enough to see an attack and where it is from.
KEPT_PER_ADDRESS = 20
KEPT_IN_ALL = 200
# How much of such a body is kept; its hash is of all of it.
KEPT_BYTES = 2_048
_TELL_EVERY_SECONDS = 1.0
_ADD = """
INSERT INTO webhook_forgeries AS known (provider, minute_at, deliveries, bytes)
VALUES (%s, date_trunc('minute', now()), %s, %s)
ON CONFLICT (provider, minute_at) DO UPDATE
    SET deliveries = known.deliveries + excluded.deliveries, bytes = known.bytes + excluded.bytes
"""


class InvalidSignatureLimit:
    """Who sent us how many deliveries with a bad signature, in the running minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self.forget()

    def forget(self) -> None:
        """Start anew: for tests."""
        self._minute = -1.0
        self._kept: Counter[str] = Counter()
        self._deliveries: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._told_at = 0.0

    def keeps(self, source_ip: str | None, size_bytes: int, *, provider: str) -> bool:
        """Whether this one is to be kept. If not, it has been counted."""
        now = self._clock()
        with self._lock:
            if self._minute != now // 60:
                self._minute, self._kept = now // 60, Counter()
            network = _network(source_ip)
            if self._kept[network] < KEPT_PER_ADDRESS and self._kept.total() < KEPT_IN_ALL:
                self._kept[network] += 1
                return True
            self._deliveries[provider] += 1
            self._bytes[provider] += size_bytes
        return False

    def tell_now_and_then(self) -> None:
        """Tell the database what was counted, once a second: every delivery asks, whoever sent it."""
        with self._lock:
            now = self._clock()
            if not self._deliveries or now - self._told_at < _TELL_EVERY_SECONDS:
                return
            self._told_at = now
        self.tell()

    def tell(self) -> None:
        """Tell the database what was counted and not told yet. What it could not be told stays counted."""
        for provider in tuple(self._deliveries):
            with self._lock:
                counted = self._deliveries.pop(provider, 0), self._bytes.pop(provider, 0)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(_ADD, [provider, *counted])
            except DatabaseError:
                with self._lock:
                    self._deliveries[provider] += counted[0]
                    self._bytes[provider] += counted[1]
                raise


def _network(source_ip: str | None) -> str:
    """Who counts as one sender: an address, or the /64 that one customer of IPv6 has to choose from."""
    if source_ip and isinstance(ip_address(source_ip), IPv6Address):
        return str(ip_network(f"{source_ip}/64", strict=False))
    return source_ip or ""


invalid_signatures = InvalidSignatureLimit()
