"""How often a password may be tried: per user and network, per user over all networks, per network over all users.

Tries are counted before the password is checked, in the cache that all processes share: a hundred tries at once are a
hundred tries. The network is that of the address our own proxies saw: no header changes it. From a network where the
user logged in during the last 30 days only the first limit applies, so that neither guesses from elsewhere nor
guesses of others behind the same address lock them out.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.core.cache import cache
from django.utils import timezone

from veza.core.api.counts import count, shared_cache, uncount
from veza.core.api.requests import network_of
from veza.core.errors import NotAllowed
from veza.core.models import SignIn, User

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 15 * 60
TRIES_PER_USER_AND_NETWORK = 10
TRIES_PER_USER = 30
TRIES_PER_NETWORK = 100
KNOWN_FOR = timedelta(days=30)


class TooManyTries(NotAllowed):
    code = "too_many_tries"
    http_status = 429
    retry_after_seconds = WINDOW_SECONDS


@dataclass(frozen=True)
class Try:
    """One counted try at a password."""

    network: str
    pair: str
    shared: tuple[str, ...]

    def succeeded(self, user: User) -> None:
        """The password was right: the try does not count, nor do the user's earlier slips in this network."""
        shared_cache.ask(self._uncount, otherwise=None, about="log-ins")
        SignIn.objects.update_or_create(user=user, network=self.network, defaults={"last_at": timezone.now()})

    def _uncount(self) -> None:
        cache.delete(self.pair)
        for key in self.shared:
            uncount(key)


def count_try(email: str, address: str | None) -> Try:
    """Count one try at a password. Raises TooManyTries when there were enough within the window.

    While the cache is down nothing is counted: users can still log in, and the log says so.
    """
    email = email.strip().lower()
    network = network_of(address)
    name = hashlib.sha256(email.encode()).hexdigest()
    pair = f"tries:{network}:{name}"
    shared = (
        {} if _is_known(email, network) else {f"tries:{name}": TRIES_PER_USER, f"tries:{network}": TRIES_PER_NETWORK}
    )
    limits = {pair: TRIES_PER_USER_AND_NETWORK, **shared}

    def check_limits() -> list[bool]:
        return [count(key, seconds=WINDOW_SECONDS) > limit for key, limit in limits.items()]

    if any(shared_cache.ask(check_limits, otherwise=[], about="log-ins")):
        log.warning("login_locked", address=address)
        raise TooManyTries("Too many tries to log in. Wait a quarter of an hour.")
    return Try(network, pair, tuple(shared))


def _is_known(email: str, network: str) -> bool:
    since = timezone.now() - KNOWN_FOR
    return SignIn.objects.filter(user__email=email, network=network, last_at__gte=since).exists()
