"""The endpoint for webhooks. It reads bytes, checks the signature and calls the inbox; it decides nothing."""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments.inbox.intake import Event, FirstReads, Handler, HandlingResult, IncomingDelivery, receive_delivery
from payments.webhooks import HANDLERS, first_reads, is_signed_by_hyperswitch, read_event
from veza.core.api.requests import request_id_of, source_address

log = structlog.get_logger(__name__)
MAX_BYTES = 64 * 1024
MAX_DIGITS = 12  # Of the Content-Length: a longer number costs time to parse.
NO_SECRET = HandlingResult("error: HYPERSWITCH_WEBHOOK_SECRET is not set", http_status=500)
BAD_SIGNATURE = HandlingResult("signature_invalid", http_status=401)


@csrf_exempt
@require_POST
def hyperswitch_webhook(request: HttpRequest) -> HttpResponse:
    """Receive one delivery: 200 when it was handled, anything else when Hyperswitch should send it again."""

    def is_signed(raw: bytes) -> bool:
        signature = request.headers.get("x-webhook-signature-512")
        return is_signed_by_hyperswitch(raw, signature, secrets=settings.HYPERSWITCH_WEBHOOK_SECRETS)

    return receive(
        request,
        "hyperswitch",
        is_signed=is_signed,
        no_secret=None if settings.HYPERSWITCH_WEBHOOK_SECRETS else NO_SECRET,
        parse_event=read_event,
        handlers=HANDLERS,
        first_reads=first_reads,
    )


def receive(
    request: HttpRequest,
    provider: str,
    *,
    is_signed: Callable[[bytes], bool],
    no_secret: HandlingResult | None,
    parse_event: Callable[[bytes], Event],
    handlers: Mapping[str, Handler],
    first_reads: FirstReads = lambda event: (),
) -> HttpResponse:
    """What every provider's endpoint does: limits, signature, inbox, answer. `no_secret` is the result without one."""
    content_length = request.META.get("CONTENT_LENGTH") or ""
    if not content_length.isdecimal():
        # A chunked body reaches WSGI empty: the signature of an empty body would be checked.
        return _answer(HTTPStatus.LENGTH_REQUIRED, "send a Content-Length")
    if len(content_length) > MAX_DIGITS or int(content_length) > MAX_BYTES:
        return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 64 KB")
    raw = request.read(MAX_BYTES + 1)
    signature_valid = is_signed(raw)
    delivery = IncomingDelivery(
        provider=provider,
        raw=raw,
        signature_valid=signature_valid,
        source_ip=source_address(request),
        user_agent=request.headers.get("User-Agent", ""),
        request_id=request_id_of(request),
    )
    rejection = None if signature_valid else no_secret or BAD_SIGNATURE
    try:
        result = receive_delivery(
            delivery, parse_event=parse_event, handlers=handlers, rejection=rejection, first_reads=first_reads
        )
    except (OperationalError, InterfaceError):
        log.exception("webhook_not_stored", body_sha256=hashlib.sha256(raw).hexdigest(), bytes=len(raw))
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "try again later")
    return _answer(result.http_status, result.text)


def _answer(status: int, result: str) -> HttpResponse:
    return JsonResponse({"result": result}, status=status)
