"""What every request passes, in this order: its id and its log line, the lean doors, maintenance mode, the length of
its body, the content security policy, an address without a NUL, and no copy of a private answer.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import resolve

from veza.core.api.problems import Problem, retry_after, to_http
from veza.core.ids import new_id
from veza.core.platform import maintenance

log = structlog.get_logger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
Policy = Mapping[str, Sequence[str]]
_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_API = "/api/v1/"
_WEBHOOKS = _API + "webhooks/"
# Providers' webhooks report money whose buyer has already paid; the others say what is going on.
_NEVER_CLOSED = tuple(_API + name for name in ("webhooks/", "auth/", "health", "status", "schema", "docs"))
LEAN_DOORS = (_API + "webhooks/", _API + "health")
_RETRY_AFTER_SECONDS = 120
_CSP_HEADER = "Content-Security-Policy"


class RequestIdMiddleware:
    """Gives every request an id (the client's `X-Request-Id` if it is a plain word), logs it, and answers it.

    It comes first, so that the answers of later middleware carry the id and are logged too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        start = time.perf_counter()
        client_id = request.headers.get("X-Request-Id", "")
        request_id = client_id if _CLIENT_ID.fullmatch(client_id) else str(new_id())
        request.request_id = request_id  # type: ignore[attr-defined]  # Read back by request_id_of alone.
        # A thread serves one request after another: the last one's context must not leak into this one's log lines.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        log.info(
            "request",
            method=request.method,
            path=_path_of(request),  # Never the query string: it may hold what only the caller should know.
            status=response.status_code,
            milliseconds=round((time.perf_counter() - start) * 1000),
        )
        return response


def _path_of(request: HttpRequest) -> str:
    """The path without the signed token of an e-mail's link: whoever reads the log could use it."""
    match = request.resolver_match
    token = match.kwargs.get("token") if match is not None else None
    return request.path.replace(token, "…") if token else request.path


class LeanDoorMiddleware:
    """Answers webhooks and health calls itself, without the middleware that follows.

    They have no session, no log-in, no form and no static files, and maintenance never closes them; a provider that
    sends a thousand deliveries would pay for all of that a thousand times. The host is checked here as well.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # All of our views are synchronous.
        answer: GetResponse = convert_exception_to_response(_call_view)  # type: ignore[assignment]
        self._answer_lean = ContentSecurityPolicyMiddleware(answer)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(LEAN_DOORS):
            return self.get_response(request)
        return self._answer_lean(request)


def _call_view(request: HttpRequest) -> HttpResponseBase:
    request.get_host()  # Raises DisallowedHost.
    match = resolve(request.path_info)
    request.resolver_match = match
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    return response.render() if isinstance(response, SimpleTemplateResponse) else response


class MaintenanceMiddleware:
    """Answers 503 to buyers' and sellers' calls while maintenance mode is on. Everything else goes on."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(_API) or request.path.startswith(_NEVER_CLOSED):
            return self.get_response(request)
        notice = maintenance()
        if notice is None:
            return self.get_response(request)
        wait = notice.get("retry_after_seconds", _RETRY_AFTER_SECONDS)
        problem = Problem(
            503,
            "maintenance",
            str(notice.get("message") or "Veza is down for maintenance. Nothing is lost; please come back soon."),
            headers=retry_after(wait if isinstance(wait, int) else _RETRY_AFTER_SECONDS),
        )
        return to_http(problem, request)


class BodyLengthMiddleware:
    """Refuses a body without a Content-Length: a chunked one reaches WSGI empty, and would be ignored in silence.

    Webhooks have an answer of their own to it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_chunked = "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH")
        if not is_chunked or request.path.startswith(_WEBHOOKS):
            return self.get_response(request)
        problem = Problem(411, "length_required", "Send the body with a Content-Length, not chunked. Nothing was done.")
        return to_http(problem, request)


class PrintableAddressMiddleware:
    """Refuses a NUL in the path or the query: no text of ours has one, and PostgreSQL cannot look for it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" not in request.path_info and "%00" not in request.META.get("QUERY_STRING", ""):
            return self.get_response(request)
        if request.path.startswith(_API):
            return to_http(Problem(400, "value_not_storable", "The address holds a NUL (%00). Leave it out."), request)
        raise SuspiciousOperation("a NUL in the address")


class NoStoreMiddleware:
    """Keeps tokens and the orders of users out of every cache between us and them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.path.startswith(_API):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class ContentSecurityPolicyMiddleware:
    """Sends SECURE_CSP with every page, or the policy that `csp_override` gave its view.

    The setting's shape is that of Django 6's own.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        policy: Policy = getattr(response, "_csp", settings.SECURE_CSP)
        if policy and _CSP_HEADER not in response:
            response[_CSP_HEADER] = format_policy(policy)
        return response


def csp_override(policy: Policy) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Another policy for one view. It replaces SECURE_CSP as a whole; nothing is merged."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = view(request, *args, **kwargs)
            response._csp = policy  # type: ignore[attr-defined]  # Read back by the middleware alone.
            return response

        return answer

    return decorate


def format_policy(policy: Policy) -> str:
    """The policy as the header has it."""
    return "; ".join(f"{name} {' '.join(sources)}".strip() for name, sources in policy.items())
