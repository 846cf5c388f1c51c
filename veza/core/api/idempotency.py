"""`Idempotency-Key` on requests that move money: a retry gets the first answer, or finds the first row.

Before any work a row claims the key, in a commit of its own, and fixes the id of the row that the request will
make. A retry under the key gets that id too, so the verb finds the first request's row, even if that request died
half-way. The claim is a lease on the database's clock: a crash leaves nothing to clean up.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from veza.core.api.problems import PROBLEM_JSON
from veza.core.api.requests import user_id_of
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import IdempotentRequest

# Longer than the longest request: a call to a provider, 15 s, and the work around it.
LEASE = timedelta(seconds=45)
# Answers that may differ the next time. 202 means that the work goes on.
_NOT_FINAL = {202, 401, 403, 408, 409, 425, 429}
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
# A client secret gives access to its payment; a page that needs it again can read the order.
_NEVER_STORED = "client_secret"

View = TypeVar("View", bound=APIView)

KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="A key of your choice for this request, such as a UUID. Send the same key when you retry after a "
    "lost answer: the money moves once, and you get the first answer.",
)


class KeyNotUsable(NotAllowed):
    code = "idempotency_key_invalid"


class KeyReused(NotAllowed):
    code = "idempotency_key_reused"
    http_status = 422


class RequestInFlight(NotAllowed):
    code = "request_in_flight"
    http_status = 409

    def __init__(self, text: str, retry_after_seconds: float) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class Claim:
    """The right to do a request, until the lease is over. `result_id` is the id of the row it makes."""

    id: UUID
    result_id: UUID
    leased_until_at: datetime


def idempotent(post: Callable[..., Response]) -> Callable[..., Response]:
    """Make a view's `post` safe to retry; it is called with `result_id`, the id of the row to make.

    Without the header every call is a new request, with a fresh `result_id`. The verb behind the view
    must return the row it finds under `result_id`, since a request resumes after a crash and after a 202.
    """

    @wraps(post)
    def once(view: APIView, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return post(view, request, *args, result_id=new_id(), **kwargs)
        claim = _claim(request, key)
        if isinstance(claim, Response):
            return claim
        try:
            response = _answer_of(post, view, request, *args, result_id=claim.result_id, **kwargs)
        except BaseException:
            _release(claim)
            raise
        _store(claim, response)
        return response

    view_method: Callable[..., Response] = extend_schema(parameters=[KEY_HEADER])(once)
    return view_method


def _answer_of(post: Callable[..., Response], view: APIView, *args: Any, **kwargs: Any) -> Response:
    """The caller's answer. A refusal is an answer too, and is stored."""
    try:
        return post(view, *args, **kwargs)
    except Exception as error:
        return view.handle_exception(error)  # Raises again what is a bug.


def _claim(request: Request, key: str) -> Claim | Response:
    """The right to do this request, or the stored answer. Raises KeyNotUsable, KeyReused, RequestInFlight."""
    if _KEY.fullmatch(key) is None:
        raise KeyNotUsable("An Idempotency-Key has 1 to 255 printable ASCII characters.")
    lookup = {
        "user_id": user_id_of(request),
        "method": str(request.method),
        "route": request.path,
        "key": key,
    }
    fingerprint = _fingerprint(request.data)
    try:
        # Durable: the claim is committed, and so visible to all processes, before any work is done.
        with transaction.atomic(durable=True):
            IdempotentRequest.objects.create(**lookup, body_sha256=fingerprint, leased_until_at=Now() + LEASE)
    except IntegrityError:
        earlier = _earlier(lookup)
        if earlier.body_sha256 != fingerprint:
            raise KeyReused("This Idempotency-Key was used for another request body.") from None
        if earlier.reply_status is not None:
            return _replay(earlier)
        _take_over(earlier)
    mine = IdempotentRequest.objects.get(**lookup)
    return Claim(mine.pk, mine.result_id, mine.leased_until_at)


def _earlier(lookup: dict[str, Any]) -> IdempotentRequest:
    return IdempotentRequest.objects.annotate(read_at=Now()).get(**lookup)


def _take_over(earlier: IdempotentRequest) -> None:
    """Resume a request whose lease is over. Raises RequestInFlight while the first may still run."""
    free = IdempotentRequest.objects.filter(pk=earlier.pk, reply_status__isnull=True, leased_until_at__lte=Now())
    if not free.update(leased_until_at=Now() + LEASE):
        remaining = earlier.leased_until_at - earlier.read_at  # type: ignore[attr-defined]  # Annotated above.
        raise RequestInFlight(
            "The first request with this Idempotency-Key is still in progress.",
            retry_after_seconds=max(1.0, remaining.total_seconds()),
        )


def _store(claim: Claim, response: Response) -> None:
    """Store a final answer; otherwise end the lease, so that a retry does the work again."""
    if response.status_code in _NOT_FINAL or response.status_code >= 500:
        _release(claim)
        return
    reply = json.loads(JSONRenderer().render(response.data) or b"null")
    IdempotentRequest.objects.filter(pk=claim.id, reply_status__isnull=True).update(
        reply_status=response.status_code, reply=_storable(reply)
    )


def _release(claim: Claim) -> None:
    """End the lease, unless it ran out meanwhile and another request has it now."""
    IdempotentRequest.objects.filter(pk=claim.id, leased_until_at=claim.leased_until_at).update(leased_until_at=Now())


def _replay(earlier: IdempotentRequest) -> Response:
    status = earlier.reply_status or 200
    return Response(
        earlier.reply,
        status=status,
        content_type=PROBLEM_JSON if status >= 400 else None,
        headers={"Idempotent-Replayed": "true"},
    )


def _fingerprint(data: object) -> str:
    """The same for two bodies with the same meaning: blanks and the order of keys do not count."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _storable(inner) for name, inner in value.items() if name != _NEVER_STORED}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value
