"""The user, address and id of a request, as logs, status changes and throttles all use them."""

from ipaddress import IPv6Address, ip_address, ip_network
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from veza.core.causes import Cause

AnyRequest = HttpRequest | Request


def request_id_of(request: AnyRequest) -> str:
    """The request's id; empty for a request that did not come through the middleware."""
    return str(getattr(request, "request_id", ""))


def user_id_of(request: AnyRequest) -> UUID:
    """The id of the user who is logged in. Only for views that anonymous callers cannot reach."""
    key = request.user.pk
    assert isinstance(key, UUID), "only a user who is logged in has an id"
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
    """The address the request came from, as our own proxies saw it; None when it is unknown.

    TRUSTED_PROXIES entries of X-Forwarded-For, counted from the right, were written by proxies of ours. Entries
    further left come from the caller, who may write anything, and are never read.
    """
    proxies = settings.TRUSTED_PROXIES
    if proxies > 0:
        hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(hops) >= proxies and (address := _address(hops[-proxies])):
            return address
    return _address(request.META.get("REMOTE_ADDR", ""))


def network_of(address: str | None) -> str:
    """Whom an address stands for, as counts know them: an IPv6 customer holds a whole /64 and could use a new one of
    its addresses for every call."""
    if address is None:
        return "unknown"
    if ip_address(address).version == 4:
        return address
    return str(ip_network(f"{address}/64", strict=False).network_address)


def _address(text: str) -> str | None:
    """One address in its one spelling, without a port; None for anything that is not one."""
    bare = text.strip()
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
