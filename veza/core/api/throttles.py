"""Rate limits per user or network. The address is the one our own proxies saw: no header evades it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

if TYPE_CHECKING:  # The views load their throttles while they are being defined.
    from rest_framework.views import APIView

from veza.core.api.counts import count, shared_cache, uncount
from veza.core.api.requests import network_of, source_address


class Throttle(SimpleRateThrottle):
    """Counts in the cache that all processes share. While it is down no limit applies, and the log says so.

    A sliding window of two counts: all of this period, and of the period before the part that still lies within one
    period of now. Each call is counted before it is judged, in one step, so that of fifty calls at once no more pass
    than of fifty in a row. A refused call does not count.
    """

    # What SimpleRateThrottle reads from the rate: that many calls in so many seconds.
    num_requests: int | None
    duration: int | None
    seconds_to_wait: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        key = self.get_cache_key(request, view)
        if self.rate is None or key is None:
            return True
        return shared_cache.ask(lambda: self._count(key), otherwise=True, about=f"throttle {self.scope}")

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        user = request.user
        who = user.pk if user.is_authenticated else network_of(source_address(request))
        return self.cache_format % {"scope": self.scope, "ident": who}

    def wait(self) -> float | None:
        return self.seconds_to_wait

    def _count(self, key: str) -> bool:
        assert self.num_requests is not None
        assert self.duration is not None
        period, past = divmod(self.timer(), self.duration)
        this, before = f"{key}:{period:.0f}", f"{key}:{period - 1:.0f}"
        calls = count(this, seconds=2 * self.duration)
        earlier_calls = cache.get(before, 0) * (1 - past / self.duration)
        if calls + earlier_calls <= self.num_requests:
            return True
        uncount(this)
        self.seconds_to_wait = self.duration - past
        return False


class Reading(Throttle):
    """Every call of the API."""

    scope = "any"


class MovingMoney(Throttle):
    """Calls that reach a payment provider: each costs an outgoing request."""

    scope = "money"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        return None if request.method in ("GET", "HEAD", "OPTIONS") else super().get_cache_key(request, view)
