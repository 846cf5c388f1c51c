"""Who asks, from where, and under which id: the same answer for logs, status changes and throttles."""

import re
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from uuid import UUID

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from veza.core.causes import Cause
from veza.core.ids import new_id

log = structlog.get_logger(__name__)
AnyRequest = HttpRequest | Request
_OFFERED_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


class RequestIdMiddleware:
    """Gives every request an id (the client's `X-Request-Id` if it is a plain word), logs it, and answers it.

    It stands first, so that whatever a later middleware answers carries the id and is logged too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        offered = request.headers.get("X-Request-Id", "")
        name = offered if _OFFERED_ID.fullmatch(offered) else str(new_id())
        request.request_id = name  # type: ignore[attr-defined]  # Read back by request_id_of alone.
        # A thread serves one request after another: what the last one bound must not be said of this one.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=name)
        response = self.get_response(request)
        response["X-Request-Id"] = name
        log.info(
            "request",
            method=request.method,
            path=request.path,  # Never the query string: it may hold what only the caller should know.
            status=response.status_code,
            milliseconds=round((time.perf_counter() - started) * 1000),
        )
        return response


def request_id_of(request: AnyRequest) -> str:
    """The request's id; empty for a request that did not come through the middleware."""
    return str(getattr(request, "request_id", ""))


def user_id_of(request: AnyRequest) -> UUID:
    """The id of the person who is logged in. A view that anonymous callers reach does not ask."""
    key = request.user.pk
    assert isinstance(key, UUID), "only a logged-in person has an id"
    return key


def cause_of(request: AnyRequest, reason: str = "") -> Cause:
    """The cause of everything this API caller makes happen."""
    user = request.user
    return Cause(
        "staff" if user.is_staff else "user",
        id=user_id_of(request),
        actor=user.get_username(),
        reason=reason,
        request_id=request_id_of(request),
    )


def source_address(request: AnyRequest) -> str | None:
    """The address the request came from, as our own proxies saw it; None when nobody knows it.

    TRUSTED_PROXIES entries of X-Forwarded-For, counted from the right, were written by proxies of ours. What
    stands further left was written by the caller, who may write anything, and is never looked at.
    """
    trusted = settings.TRUSTED_PROXIES
    if trusted > 0:
        snapshot = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(snapshot) >= trusted and (address := _address(snapshot[-trusted])):
            return address
    return _address(request.META.get("REMOTE_ADDR", ""))


def _address(written: str) -> str | None:
    """One address in its one spelling, without a port; None for anything that is not one."""
    bare = written.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id:  # `fe80::1%eth0` is an address here and a syntax error to PostgreSQL.
            return None
        address = address.ipv4_mapped or address
    return str(address)
