"""Maintenance mode: buyers and sellers are asked to come back, everything else goes on."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from veza.core.api.problems import Problem, retry_after, to_http
from veza.core.platform import maintenance

_API = "/api/v1/"
# Providers' webhooks move money whose buyer has already paid; the others tell people what is going on.
_GOES_ON = tuple(_API + name for name in ("webhooks/", "auth/", "health", "status", "schema", "docs"))
_RETRY_AFTER_SECONDS = 120


class MaintenanceMiddleware:
    """Answers 503 to buyers' and sellers' calls while staff have switched maintenance on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(_API) or request.path.startswith(_GOES_ON):
            return self.get_response(request)
        notice = maintenance()
        if notice is None:
            return self.get_response(request)
        wait = notice.get("retry_after_seconds", _RETRY_AFTER_SECONDS)
        problem = Problem(
            503,
            "maintenance",
            str(notice.get("message") or "Veza is being maintained. Nothing is lost; please come back soon."),
            headers=retry_after(wait if isinstance(wait, int) else _RETRY_AFTER_SECONDS),
        )
        return to_http(problem, request)
