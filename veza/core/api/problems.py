"""The one shape of an error: RFC 9457 `application/problem+json` with a stable `code` for programs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.http import JsonResponse
from rest_framework.response import Response

from veza.core.api.requests import AnyRequest, request_id_of

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field. `field` is its path (`items.0.license`), empty for the whole body."""

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class Problem:
    """Why a request was not done. `code` is for programs and never changes; `detail` is for people.

    `members` are extension members (RFC 9457), each documented beside the call that may answer with it.
    """

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)

    def body(self, request: AnyRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self.members,
            "type": "about:blank",  # RFC 9457: the title is then the phrase of the status; `code` says more.
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "instance": request.path,
            "request_id": request_id_of(request),
        }
        if self.errors:
            body["errors"] = [vars(error) for error in self.errors]
        return body


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to retry: whole seconds, at least one."""
    return {"Retry-After": str(max(1, int(-(-seconds // 1))))}


def flatten(detail: object, path: str = "") -> Iterable[FieldError]:
    """The leaves of a DRF error detail, each with its path."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else str(name)
            yield from flatten(inner, ".".join(part for part in (path, step) if part))
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            is_nested = isinstance(inner, dict | list)
            yield from flatten(inner, f"{path}.{number}".lstrip(".") if is_nested else path)
    else:
        yield FieldError(path, str(getattr(detail, "code", "invalid")), str(detail))


def to_response(problem: Problem, request: AnyRequest) -> Response:
    """The problem as a view's answer."""
    return Response(
        problem.body(request),
        status=problem.status,
        headers=dict(problem.headers),
        content_type=PROBLEM_JSON,
    )


def to_http(problem: Problem, request: AnyRequest) -> JsonResponse:
    """The problem as an answer from outside any API view: a middleware, a path that does not exist."""
    return JsonResponse(
        problem.body(request),
        status=problem.status,
        headers=dict(problem.headers),
        content_type=PROBLEM_JSON,
    )
