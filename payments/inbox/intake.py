"""The inbox: every delivery is handled once and logged once, in one commit.

A result without its effect, or an effect without its result, cannot exist. When a handler fails, all of it is rolled
back, and the delivery is logged with its error in a commit of its own.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

import structlog
from django.db import connection
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
from veza.core import reads, writes
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.strict_json import strict_json

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


def read_envelope(raw: bytes) -> Mapping[str, Any]:
    """The JSON object that a provider sent. Raises NotAnEvent for what is no JSON, UnreadableEvent for no object."""
    try:
        envelope = strict_json(raw)
    except ValueError as error:
        raise NotAnEvent(str(error)) from error
    if not isinstance(envelope, Mapping):
        raise UnreadableEvent("the body is not an object")
    return envelope


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


FirstReads = Callable[[Event], Sequence[reads.Query]]


def receive_delivery(
    delivery: IncomingDelivery,
    *,
    parse_event: Callable[[bytes], Event],
    handlers: Mapping[str, Handler],
    rejection: HandlingResult | None,
    first_reads: FirstReads = lambda event: (),
) -> HandlingResult:
    """Handle and log one delivery in one commit.

    `first_reads` names what the handler is going to read: it is sent together with the lock on the event.
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
    if rejection is not None:
        _log(delivery, None, rejection, delivery_id=new_id(), at=timezone.now())
        return rejection
    return _receive_authentic(delivery, parse_event, handlers, first_reads)


def _receive_authentic(
    delivery: IncomingDelivery,
    parse_event: Callable[[bytes], Event],
    handlers: Mapping[str, Handler],
    first_reads: FirstReads,
) -> HandlingResult:
    delivery_id, at = new_id(), timezone.now()
    row = WebhookDelivery(pk=delivery_id, provider=delivery.provider)
    cause = Cause("webhook", id=delivery_id, actor=delivery.provider, request_id=delivery.request_id)
    event: Event | None = None
    try:
        event = replace(parse_event(delivery.raw), received_at=at)
        # Most copies of an event arrive after the first is finished: those cost one look and one row.
        if earlier := _FINAL_RESULT.first(delivery.provider, event.event_id):
            result = HandlingResult(Result.DUPLICATE, correlation_id=earlier[0][0])
            _log(delivery, event, result, delivery_id=delivery_id, at=at)
            return result
        with writes.atomic():
            duplicate = _lock_and_find(row, event, *first_reads(event))
            result = duplicate or apply(row, event, handlers.get(event.event_type), cause=cause, at=at)
            _log(delivery, event, result, delivery_id=delivery_id, at=at)
    except Exception as error:
        if connection.connection is None or connection.connection.closed:
            raise  # The database is unavailable.
        # Nothing of it was committed. What failed is logged in a commit of its own.
        with writes.atomic():
            duplicate = _lock_and_find(row, event) if event is not None else None
            result = duplicate or explain_failure(error, row, event, at=at)
            _log(delivery, event, result, delivery_id=delivery_id, at=at)
    return result


_LOCK = reads.Statement("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))")
_FINAL_RESULT = reads.Read(
    lambda provider, event_id: WebhookDelivery.objects.filter(
        provider=provider, event_id=event_id, processing_result__in=FINAL
    ).values_list("correlation_id")[:1],
    str,
    str,
)


def _lock_and_find(delivery: WebhookDelivery, event: Event, *first_reads: reads.Query) -> HandlingResult | None:
    """Lock the event; the result of a duplicate, if one of its deliveries has a final result."""
    lock = _LOCK.on(f"{delivery.provider}:{event.event_id}")
    earlier = reads.together(lock, _FINAL_RESULT.on(delivery.provider, event.event_id), *first_reads)[1]
    return HandlingResult(Result.DUPLICATE, correlation_id=earlier[0][0]) if earlier else None


def lock_event(provider: str, event: Event) -> None:
    """Lock this event until the transaction ends: its deliveries are handled one after the other."""
    assert connection.in_atomic_block, "a lock lasts until the end of its transaction"
    reads.together(_LOCK.on(f"{provider}:{event.event_id}"))


def apply(
    delivery: WebhookDelivery, event: Event, handler: Handler | None, *, cause: Cause, at: datetime
) -> HandlingResult:
    """Hand a locked event to the handler of its type. One of an unknown type is ignored, with a review item.

    `delivery` need not be stored yet. Raises what the handler raises: then nothing of it may be committed.
    """
    if handler is None:
        open_review_of_unknown_event(delivery, event_id=event.event_id, event_type=event.event_type, at=at)
        return HandlingResult(Result.IGNORED)
    return handler(event, cause=cause, at=at)


def explain_failure(
    error: Exception, delivery: WebhookDelivery, event: Event | None, *, at: datetime
) -> HandlingResult:
    """The result of a delivery that could not be parsed or applied. One that cannot be read opens a review item."""
    if isinstance(error, NotAnEvent):
        return HandlingResult(f"error: {error}", http_status=400)
    if isinstance(error, UnreadableEvent):
        if event is not None:
            error.event_id, error.event_type = event.event_id, event.event_type
        open_review_of_unreadable_event(delivery, error, at=at)
        return HandlingResult(Result.IGNORED)
    event_id = event.event_id if event else None
    log.error("webhook_handler_failed", provider=delivery.provider, event_id=event_id, exc_info=error)
    return HandlingResult(f"error: {type(error).__name__}: {error}", http_status=500)


def wake_waiting(correlation_id: UUID) -> None:
    """Replay now what waits for a payment that has just been received, failed deliveries included."""
    waiting = WebhookDelivery.objects.filter(correlation_id=correlation_id, processing_result=Result.WAITING)
    waiting.update(next_attempt_at=Now())


def _log(
    delivery: IncomingDelivery, event: Event | None, result: HandlingResult, *, delivery_id: UUID, at: datetime
) -> None:
    payload = delivery.raw if delivery.signature_valid else delivery.raw[:STORED_BYTES]
    row = {
        "id": delivery_id,
        "provider": delivery.provider,
        "event_id": event.event_id if event else None,
        "event_type": event.event_type[:60] if event else None,
        "payload": payload.decode("utf-8", "replace").replace("\0", "\ufffd"),
        "payload_sha256": hashlib.sha256(delivery.raw).hexdigest(),
        "signature_valid": delivery.signature_valid,
        "processing_result": result.text[:300],
        "source_ip": delivery.source_ip,
        "user_agent": delivery.user_agent[:300],
        "request_id": delivery.request_id,
        "correlation_id": result.correlation_id,
        "received_at": at,
        "processed_at": at,
        "next_attempt_at": at + replay_after(1) if result.is_retried else None,
    }
    writes.insert_values(WebhookDelivery, [row])
