"""How often a password may be tried: a few times per user and address, more per address over all users.

The lock is on the pair, so that an attacker cannot lock a user out from another address. Tries are counted before
the password is checked, in the cache that all processes share: a hundred tries at once are a hundred tries. The
address is the one our own proxies saw: no header changes it.
"""

import hashlib
from ipaddress import ip_address, ip_network

import structlog
from django.core.cache import cache

from veza.core.api.counts import shared_cache
from veza.core.errors import NotAllowed

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 15 * 60
TRIES_PER_USER_AND_ADDRESS = 10
TRIES_PER_ADDRESS = 100


class TooManyTries(NotAllowed):
    code = "too_many_tries"
    http_status = 429
    retry_after_seconds = WINDOW_SECONDS


def count_try(email: str, address: str | None) -> None:
    """Count one try at a password. Raises TooManyTries when there were enough within the window.

    While the cache is down nothing is counted: users can still log in, and the log says so.
    """
    limits = {
        _pair(email, address): TRIES_PER_USER_AND_ADDRESS,
        f"tries:{_network(address)}": TRIES_PER_ADDRESS,
    }

    def check_limits() -> list[bool]:
        return [_count(key) > limit for key, limit in limits.items()]

    if any(shared_cache.ask(check_limits, otherwise=[], about="log-ins")):
        log.warning("login_locked", address=address)
        raise TooManyTries("Too many tries to log in. Wait a quarter of an hour.")


def forget_tries(email: str, address: str | None) -> None:
    """The password was right: earlier tries for this user from this address no longer count."""
    shared_cache.ask(lambda: cache.delete(_pair(email, address)), otherwise=False, about="log-ins")


def _count(key: str) -> int:
    cache.add(key, 0, timeout=WINDOW_SECONDS)
    try:
        return cache.incr(key)
    except ValueError:  # The window ended between the two lines.
        return 1


def _pair(email: str, address: str | None) -> str:
    user = hashlib.sha256(email.strip().lower().encode()).hexdigest()
    return f"tries:{_network(address)}:{user}"


def _network(address: str | None) -> str:
    """One household: an IPv6 customer holds a whole /64 and could use a new address for every try."""
    if address is None:
        return "unknown"
    if ip_address(address).version == 4:
        return address
    return str(ip_network(f"{address}/64", strict=False).network_address)
