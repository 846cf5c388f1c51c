"""Every failure as problem+json: raised in an API view, in a middleware, or before any view was found."""

import sys
from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from veza.core.api.inputs import UNKNOWN_FIELD, BodyTooLarge
from veza.core.api.problems import FieldError, Problem, flatten, retry_after, to_http, to_response
from veza.core.errors import NotAllowed
from veza.core.states import StaleState

log = structlog.get_logger(__name__)

_BEARER = {"WWW-Authenticate": 'Bearer realm="api"'}
_DATABASE_DOWN = Problem(
    503, "temporarily_unavailable", "Veza cannot do this right now. Try again.", headers=retry_after(5)
)
_ALWAYS: dict[type[Exception], Problem] = {
    Http404: Problem(404, "not_found", "Not found, or it belongs to another user."),
    PermissionDenied: Problem(403, "permission_denied", "You may not do this."),
    UnreadablePostError: Problem(400, "body_cut_short", "The body ended before it was complete."),
    StaleState: Problem(409, "changed_meanwhile", "This has just changed. Read it again, then decide."),
    DataError: Problem(400, "value_not_storable", "A value cannot be stored in this form."),
    OperationalError: _DATABASE_DOWN,
    InterfaceError: _DATABASE_DOWN,
}
_UNEXPECTED = Problem(500, "internal_error", "Something went wrong on our side. It has been logged.")


def as_problem(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: the answer to whatever a view raised.

    None for an unexpected error: Django then logs it with its traceback and answers with `handler500`.
    """
    problem = _problem_of(error)
    if problem is None:
        return None
    if problem.status >= 500:
        log.warning("answered_with_a_server_error", code=problem.code, exc_info=error)
    set_rollback()
    return to_response(problem, context["request"])


def _problem_of(error: Exception) -> Problem | None:
    match error:
        case NotAllowed():
            return _not_allowed(error)
        case exceptions.APIException():
            return _api_exception(error)
        case ValidationError():
            return _django_validation(error)
        case RequestDataTooBig():
            return _api_exception(BodyTooLarge())
    return next((problem for kind, problem in _ALWAYS.items() if isinstance(error, kind)), None)


def _not_allowed(error: NotAllowed) -> Problem:
    wait = getattr(error, "retry_after_seconds", None)
    headers = retry_after(wait) if wait is not None else {}
    if error.http_status == 401:
        headers |= _BEARER
    return Problem(error.http_status, error.code, error.text, headers=headers, members=error.members)


def _api_exception(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.ValidationError):
        return _refused_fields(tuple(flatten(error.detail)))
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.Throttled):
        headers |= retry_after(getattr(error, "wait", None) or 1)
    # simplejwt wraps its sentence and code in an object; elsewhere the detail is the sentence.
    payload: Mapping[str, Any] = error.detail if isinstance(error.detail, dict) else {"detail": error.detail}
    detail = payload.get("detail", error.default_detail)
    code = payload.get("code") or getattr(detail, "code", error.default_code)
    return Problem(error.status_code, str(code), str(detail), headers=headers)


def _refused_fields(errors: tuple[FieldError, ...]) -> Problem:
    if any(error.code == UNKNOWN_FIELD for error in errors):
        return Problem(400, UNKNOWN_FIELD, "Some fields do not exist here: see `errors`. Nothing was done.", errors)
    return Problem(400, "validation_failed", "Some values cannot be accepted: see `errors`.", errors)


def _django_validation(error: ValidationError) -> Problem:
    if hasattr(error, "error_dict"):
        by_field = {"" if name == "__all__" else name: inner for name, inner in error.error_dict.items()}
    else:
        by_field = {"": error.error_list}
    errors = tuple(
        FieldError(name, one.code or "invalid", " ".join(one.messages))
        for name, several in by_field.items()
        for one in several
    )
    return Problem(400, "validation_failed", "Some values cannot be accepted: see `errors`.", errors)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request Django itself refuses: a host that is not ours, a body that is too large."""
    plain = Problem(400, "bad_request", "This request cannot be understood.")
    return _outside_views(request, _problem_of(exception) or plain)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _outside_views(request, _problem_of(exception) or _ALWAYS[PermissionDenied])


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A path that does not exist. The exception lists every path that does, so it is not shown."""
    return _outside_views(request, Problem(404, "not_found", "There is nothing at this address."))


def handler500(request: HttpRequest) -> HttpResponse:
    """An unexpected error, logged by Django; or a database that went down in a middleware."""
    is_down = isinstance(sys.exception(), OperationalError | InterfaceError)
    return _outside_views(request, _DATABASE_DOWN if is_down else _UNEXPECTED)


def _outside_views(request: HttpRequest, problem: Problem) -> HttpResponse:
    if request.path.startswith("/api/"):
        return to_http(problem, request)
    # Every word below is ours, so nothing needs escaping.
    page = f"<!doctype html><title>{problem.status}</title><h1>{problem.status}</h1><p>{problem.detail}</p>"
    return HttpResponse(page, status=problem.status, headers=dict(problem.headers))
