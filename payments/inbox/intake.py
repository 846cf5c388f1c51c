"""The inbox: every delivery is handled once and logged once, in one commit.

A result without its effect, or an effect without its result, cannot exist. The handler runs in a savepoint, so a
failure is rolled back and the delivery is still logged with its error.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from payments.inbox.invalid_signatures import STORED_BYTES, invalid_signatures
from payments.inbox.unknown_events import (
    UnreadableEvent,
    open_review_of_unknown_event,
    open_review_of_unreadable_event,
)
from payments.models import WebhookDelivery
from payments.retry_policy import replay_after
from veza.core.causes import Cause
from veza.core.ids import new_id

log = structlog.get_logger(__name__)


class Result(StrEnum):
    """The result of handling an event. Veza replays `waiting` and `unmatched` itself; the others are final."""

    OK = "ok"
    DUPLICATE = "skipped: duplicate"
    STALE = "skipped: stale"
    IGNORED = "skipped: ignored"
    UNMATCHED = "skipped: unmatched"
    WAITING = "skipped: waiting"


FINAL = (Result.OK, Result.STALE, Result.IGNORED)
_RETRIED = (Result.UNMATCHED, Result.WAITING)


@dataclass(frozen=True)
class HandlingResult:
    """The result of one delivery: the log's text, the order or subscription it was about, and the HTTP answer."""

    text: str
    correlation_id: UUID | None = None
    http_status: int = 200

    @property
    def is_retried(self) -> bool:
        """Whether Veza replays the delivery automatically: its handler failed, or it arrived too early."""
        return self.text in _RETRIED or self.http_status == HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class Event:
    """The event of a delivery, without its provider's envelope. `received_at` is when we got it, however often it is
    replayed.
    """

    event_id: str
    event_type: str
    payload: Mapping[str, Any]
    merchant_id: str = ""
    received_at: datetime | None = None


class NotAnEvent(ValueError):
    """The body has a valid signature, and is no JSON that has one meaning only, or is about a refund without an id.

    It is answered 400, so that the provider sends it again: its bytes were damaged on the way, or its sender is broken
    and may be repaired. JSON of a shape that we do not know is an UnreadableEvent: it would be the same each time.
    """


def ignore_event(event: Event, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """The handler of the types that are ignored on purpose: nothing of ours follows from them."""
    return HandlingResult(Result.IGNORED)


@dataclass(frozen=True)
class IncomingDelivery:
    """A delivery as it reached the endpoint."""

    provider: str
    raw: bytes
    signature_valid: bool
    source_ip: str | None
    user_agent: str
    request_id: str


class Handler(Protocol):
    """Applies an event, in the caller's transaction.

    Raises UnreadableEvent for one that it cannot read, NotAnEvent for one that the provider should send again.
    """

    def __call__(self, event: "Event", /, *, cause: Cause, at: datetime) -> HandlingResult: ...


def receive_delivery(
    delivery: IncomingDelivery,
    *,
    parse_event: Callable[[bytes], Event],
    handlers: Mapping[str, Handler],
    rejection: HandlingResult | None,
) -> HandlingResult:
    """Handle and log one delivery in one commit.

    `rejection` is the result of a delivery that must not be handled (an invalid signature, no secret set): it is logged
    too, within the limit on such rows.
    Raises OperationalError only when the database is unavailable: then there is neither effect nor row.
    """
    assert delivery.signature_valid or rejection is not None, "only a delivery with a valid signature is handled"
    size = len(delivery.raw)
    may_store = rejection is None or invalid_signatures.may_store(delivery.source_ip, size, provider=delivery.provider)
    invalid_signatures.flush_if_due()
    if rejection is not None and not may_store:
        return rejection
    delivery_id, at = new_id(), timezone.now()
    with transaction.atomic(durable=True):
        event: Event | None = None
        result = rejection
        if result is None:
            row = WebhookDelivery(pk=delivery_id, provider=delivery.provider)
            cause = Cause("webhook", id=delivery_id, actor=delivery.provider, request_id=delivery.request_id)
            event, result = _handle(row, delivery.raw, parse_event, handlers, cause=cause, at=at)
        _log(delivery, event, result, delivery_id=delivery_id, at=at)
    return result


def _handle(
    delivery: WebhookDelivery,
    raw: bytes,
    parse_event: Callable[[bytes], Event],
    handlers: Mapping[str, Handler],
    *,
    cause: Cause,
    at: datetime,
) -> tuple[Event | None, HandlingResult]:
    try:
        event = replace(parse_event(raw), received_at=at)
    except NotAnEvent as error:
        return None, HandlingResult(f"error: {error}", http_status=400)
    except UnreadableEvent as error:
        open_review_of_unreadable_event(delivery, error, at=at)
        return None, HandlingResult(Result.IGNORED)
    lock_event(delivery.provider, event)
    return event, apply_once(delivery, event, handlers, cause=cause, at=at)


def lock_event(provider: str, event: Event) -> None:
    """Lock this event until the transaction ends: its deliveries are handled one after the other."""
    assert connection.in_atomic_block, "a lock lasts until the end of its transaction"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{provider}:{event.event_id}"])


def apply_once(
    delivery: WebhookDelivery,
    event: Event,
    handlers: Mapping[str, Handler],
    *,
    cause: Cause,
    at: datetime,
    exclude_id: UUID | None = None,
) -> HandlingResult:
    """Hand a locked event to its handler, unless one of its deliveries (other than `exclude_id`) has a final
    result already. `delivery` need not be stored yet.

    The handler runs in a savepoint: if it raises, its changes are rolled back and the error is the result. An event
    that is unknown or cannot be read is ignored, with a review item.
    """
    provider = delivery.provider
    earlier = WebhookDelivery.objects.filter(provider=provider, event_id=event.event_id, processing_result__in=FINAL)
    if exclude_id is not None:
        earlier = earlier.exclude(pk=exclude_id)
    for correlation_id in earlier.values_list("correlation_id", flat=True)[:1]:
        return HandlingResult(Result.DUPLICATE, correlation_id=correlation_id)
    handler = handlers.get(event.event_type)
    if handler is None:
        open_review_of_unknown_event(delivery, event_id=event.event_id, event_type=event.event_type, at=at)
        return HandlingResult(Result.IGNORED)
    try:
        with transaction.atomic():
            return handler(event, cause=cause, at=at)
    except NotAnEvent as error:
        return HandlingResult(f"error: {error}", http_status=400)
    except UnreadableEvent as error:
        error.event_id, error.event_type = event.event_id, event.event_type
        open_review_of_unreadable_event(delivery, error, at=at)
        return HandlingResult(Result.IGNORED)
    except Exception as error:
        log.exception("webhook_handler_failed", provider=provider, event_id=event.event_id)
        return HandlingResult(f"error: {type(error).__name__}: {error}", http_status=500)


def wake_waiting(correlation_id: UUID) -> None:
    """Replay now what waits for a payment that has just been received, failed deliveries included."""
    waiting = WebhookDelivery.objects.filter(correlation_id=correlation_id, processing_result=Result.WAITING)
    waiting.update(next_attempt_at=Now())


def _log(
    delivery: IncomingDelivery, event: Event | None, result: HandlingResult, *, delivery_id: UUID, at: datetime
) -> None:
    payload = delivery.raw if delivery.signature_valid else delivery.raw[:STORED_BYTES]
    WebhookDelivery.objects.create(
        pk=delivery_id,
        provider=delivery.provider,
        event_id=event.event_id if event else None,
        event_type=event.event_type[:60] if event else None,
        payload=payload.decode("utf-8", "replace").replace("\0", "\ufffd"),
        payload_sha256=hashlib.sha256(delivery.raw).hexdigest(),
        signature_valid=delivery.signature_valid,
        processing_result=result.text[:300],
        source_ip=delivery.source_ip,
        user_agent=delivery.user_agent[:300],
        request_id=delivery.request_id,
        correlation_id=result.correlation_id,
        received_at=at,
        processed_at=at,
        next_attempt_at=at + replay_after(1) if result.is_retried else None,
    )
