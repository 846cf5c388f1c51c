"""What a page may load, said to the browser with every page. The setting's shape is that of Django 6's own."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

HEADER = "Content-Security-Policy"
Policy = Mapping[str, Sequence[str]]


class ContentSecurityPolicyMiddleware:
    """Sends SECURE_CSP, or what the view named in its place."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        policy: Policy = getattr(response, "_csp", settings.SECURE_CSP)
        if policy and HEADER not in response:
            response[HEADER] = written(policy)
        return response


def csp_override(policy: Policy) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Another policy for one view: as a whole, nothing is merged."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = view(request, *args, **kwargs)
            response._csp = policy  # type: ignore[attr-defined]  # Read back by the middleware alone.
            return response

        return answer

    return decorate


def written(policy: Policy) -> str:
    """The policy as the header has it."""
    return "; ".join(f"{name} {' '.join(sources)}".strip() for name, sources in policy.items())
