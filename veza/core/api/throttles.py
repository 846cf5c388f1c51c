"""Rate limits per user or address. The address is the one our own proxies saw: no header evades it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

if TYPE_CHECKING:  # The views load their throttles while they are being defined.
    from rest_framework.views import APIView

from veza.core.api.counts import shared_cache
from veza.core.api.requests import source_address


class Throttle(SimpleRateThrottle):
    """Counts in the cache that all processes share. While it is down no limit applies, and the log says so."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        allow = super().allow_request
        return shared_cache.ask(lambda: allow(request, view), otherwise=True, about=f"throttle {self.scope}")

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        who = request.user.pk if request.user.is_authenticated else source_address(request)
        return self.cache_format % {"scope": self.scope, "ident": who}


class Reading(Throttle):
    """Every call of the API."""

    scope = "any"


class MovingMoney(Throttle):
    """Calls that reach a payment provider: each costs an outgoing request."""

    scope = "money"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        return None if request.method in ("GET", "HEAD", "OPTIONS") else super().get_cache_key(request, view)
