"""A flood of deliveries with invalid signatures cannot fill the disk: a few per address are stored, the rest counted.

Each web process counts for itself: with four of them up to four times as many rows are stored. One that is stopped
writes its counts first (gunicorn.conf.py); one that is killed loses those of the last second.
"""

import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from django.db import DatabaseError, connection

# How many of them one process stores each minute. Enough to see an attack and where it is from.
STORED_PER_ADDRESS = 20
STORED_IN_TOTAL = 200
# How much of such a body is stored; the hash is of the whole body.
STORED_BYTES = 2_048
_FLUSH_EVERY_SECONDS = 1.0
_ADD = """
INSERT INTO webhook_forgeries AS minute (provider, minute_at, deliveries, bytes)
VALUES (%s, date_trunc('minute', now()), %s, %s)
ON CONFLICT (provider, minute_at) DO UPDATE
    SET deliveries = minute.deliveries + excluded.deliveries, bytes = minute.bytes + excluded.bytes
"""


class InvalidSignatureLimit:
    """How many deliveries with an invalid signature each network has sent in the current minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self.reset()

    def reset(self) -> None:
        """Forget every count: for tests."""
        self._minute = -1.0
        self._stored_counts: Counter[str] = Counter()
        self._unstored_counts: Counter[str] = Counter()
        self._unstored_bytes: Counter[str] = Counter()
        self._flushed_at = 0.0

    def may_store(self, source_ip: str | None, size_bytes: int, *, provider: str) -> bool:
        """Whether this delivery is within the limit. If not, it has been counted."""
        now = self._clock()
        with self._lock:
            if self._minute != now // 60:
                self._minute, self._stored_counts = now // 60, Counter()
            network = _network(source_ip)
            if self._stored_counts[network] < STORED_PER_ADDRESS and self._stored_counts.total() < STORED_IN_TOTAL:
                self._stored_counts[network] += 1
                return True
            self._unstored_counts[provider] += 1
            self._unstored_bytes[provider] += size_bytes
        return False

    def flush_if_due(self) -> None:
        """Write the counts to the database, once a second. Every delivery calls this, whoever sent it."""
        with self._lock:
            now = self._clock()
            if not self._unstored_counts or now - self._flushed_at < _FLUSH_EVERY_SECONDS:
                return
            self._flushed_at = now
        self.flush()

    def flush(self) -> None:
        """Add the counts since the last time to the database. Those that could not be written are kept."""
        for provider in tuple(self._unstored_counts):
            with self._lock:
                count, size = self._unstored_counts.pop(provider, 0), self._unstored_bytes.pop(provider, 0)
            try:
                with connection.cursor() as cursor:
                    cursor.execute(_ADD, [provider, count, size])
            except DatabaseError:
                with self._lock:
                    self._unstored_counts[provider] += count
                    self._unstored_bytes[provider] += size
                raise


def _network(source_ip: str | None) -> str:
    """What counts as one sender: an IPv4 address, or the IPv6 /64 that one customer usually has."""
    if source_ip and isinstance(ip_address(source_ip), IPv6Address):
        return str(ip_network(f"{source_ip}/64", strict=False))
    return source_ip or ""


invalid_signatures = InvalidSignatureLimit()
