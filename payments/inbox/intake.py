"""The inbox: every delivery is handled once and logged once, and the two are one commit.

A result without its effect, or an effect without its result, cannot exist. The handler runs in a savepoint, so a
failure is undone and the delivery is still logged with its error.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from payments.inbox.invalid_signatures import KEPT_BYTES, invalid_signatures
from payments.models import WebhookDelivery
from veza.core.causes import Cause
from veza.core.ids import new_id

log = structlog.get_logger(__name__)
# How long after each try we try again ourselves; the last one repeats until KEEP_TRYING_FOR is over.
TRY_AGAIN_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 10, 30, 60))
KEEP_TRYING_FOR = timedelta(hours=24)


class Result(StrEnum):
    """What a handler made of an event. `waiting` and `unmatched` are tried again by us; the others are final."""

    OK = "ok"
    DUPLICATE = "skipped: duplicate"
    STALE = "skipped: stale"
    IGNORED = "skipped: ignored"
    UNMATCHED = "skipped: unmatched"
    WAITING = "skipped: waiting"


FINAL = (Result.OK, Result.STALE, Result.IGNORED)
RETRIED = (Result.UNMATCHED, Result.WAITING)


@dataclass(frozen=True)
class HandlingResult:
    """How one delivery ended: the log's text, the order or subscription it was about, and the provider's answer."""

    text: str
    correlation_id: UUID | None = None
    http_status: int = 200

    @property
    def is_retried(self) -> bool:
        """Whether Veza replays the delivery by itself: its handler failed, or it came too early."""
        return self.text in RETRIED or self.http_status == HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class Event:
    """What a delivery says, whatever provider's envelope it came in."""

    event_id: str
    event_type: str
    payload: Mapping[str, Any]
    merchant_id: str = ""


class NotAnEvent(ValueError):
    """The body was signed, and is still no event we can read."""


@dataclass(frozen=True)
class IncomingDelivery:
    """A delivery as it reached the door."""

    provider: str
    raw: bytes
    signature_valid: bool
    source_ip: str | None
    user_agent: str
    request_id: str


class Handler(Protocol):
    """Applies what an event says, in the caller's transaction. Raises NotAnEvent for what it cannot read."""

    def __call__(self, event: "Event", /, *, cause: Cause, at: datetime) -> HandlingResult: ...


def receive_delivery(
    arrived: IncomingDelivery,
    *,
    read: Callable[[bytes], Event],
    handlers: Mapping[str, Handler],
    refused: HandlingResult | None,
) -> HandlingResult:
    """Handle and log one delivery in one commit.

    `refused` is the result on a delivery that must not be read at all (a bad signature, no secret set): it is
    logged too, as long as there are not too many of them.
    Raises OperationalError only when the database is away: then there is neither effect nor row.
    """
    kept = refused is None or invalid_signatures.keeps(arrived.source_ip, len(arrived.raw), provider=arrived.provider)
    invalid_signatures.tell_now_and_then()
    if refused is not None and not kept:
        return refused
    delivery_id, at = new_id(), timezone.now()
    cause = Cause("webhook", id=delivery_id, actor=arrived.provider, request_id=arrived.request_id)
    with transaction.atomic(durable=True):
        event: Event | None = None
        result = refused
        if result is None:
            try:
                event = read(arrived.raw)
            except NotAnEvent as error:
                result = HandlingResult(f"error: {error}", http_status=400)
            else:
                lock_event(arrived.provider, event)
                result = apply_once(arrived.provider, event, handlers, cause=cause, at=at)
        _log(arrived, event, result, delivery_id=delivery_id, at=at)
    return result


def lock_event(provider: str, event: Event) -> None:
    """Let nobody else handle this event until the transaction ends: two deliveries of it take turns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{provider}:{event.event_id}"])


def apply_once(
    provider: str,
    event: Event,
    handlers: Mapping[str, Handler],
    *,
    cause: Cause,
    at: datetime,
    besides: UUID | None = None,
) -> HandlingResult:
    """Hand a locked event to its handler, unless a delivery of it (one other than `besides`) is settled already.

    The handler runs in a savepoint: whatever it raises is undone and becomes the result.
    """
    earlier = WebhookDelivery.objects.filter(provider=provider, event_id=event.event_id, processing_result__in=FINAL)
    if besides is not None:
        earlier = earlier.exclude(pk=besides)
    for correlation_id in earlier.values_list("correlation_id", flat=True)[:1]:
        return HandlingResult(Result.DUPLICATE, correlation_id=correlation_id)
    handler = handlers.get(event.event_type)
    if handler is None:
        return HandlingResult(Result.IGNORED)
    try:
        with transaction.atomic():
            return handler(event, cause=cause, at=at)
    except NotAnEvent as error:
        return HandlingResult(f"error: {error}", http_status=400)
    except Exception as error:
        log.exception("webhook_handler_failed", provider=provider, event_id=event.event_id)
        return HandlingResult(f"error: {type(error).__name__}: {error}", http_status=500)


def wake_waiting(correlation_id: UUID) -> None:
    """Make the deliveries of a story that wait for its payment due now, those given up too: the payment is booked."""
    waiting = WebhookDelivery.objects.filter(correlation_id=correlation_id, processing_result=Result.WAITING)
    waiting.update(next_attempt_at=Now())


def _log(
    arrived: IncomingDelivery, event: Event | None, result: HandlingResult, *, delivery_id: UUID, at: datetime
) -> None:
    kept = arrived.raw if arrived.signature_valid else arrived.raw[:KEPT_BYTES]
    WebhookDelivery.objects.create(
        pk=delivery_id,
        provider=arrived.provider,
        event_id=event.event_id if event else None,
        event_type=event.event_type[:60] if event else None,
        payload=kept.decode("utf-8", "replace").replace("\0", "\ufffd"),
        payload_sha256=hashlib.sha256(arrived.raw).hexdigest(),
        signature_valid=arrived.signature_valid,
        processing_result=result.text[:300],
        source_ip=arrived.source_ip,
        user_agent=arrived.user_agent[:300],
        request_id=arrived.request_id,
        correlation_id=result.correlation_id,
        received_at=at,
        processed_at=at,
        next_attempt_at=at + TRY_AGAIN_AFTER[0] if result.is_retried else None,
    )
