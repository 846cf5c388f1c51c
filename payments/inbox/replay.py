"""Replaying stored deliveries: those that failed or matched nothing, by the worker; any others, by hand.

A replay runs the same handler as the delivery did, and writes its result in the commit of its effects. One that changes
nothing leaves a delivery with a final result as it is, to the last byte.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import models, transaction
from django.utils import timezone

from payments.inbox.intake import (
    FINAL,
    Event,
    Handler,
    HandlingResult,
    NotAnEvent,
    Result,
    apply,
    explain_failure,
    lock_event,
)
from payments.inbox.unknown_events import UnreadableEvent, close_review_of_event
from payments.models import WebhookDelivery
from payments.retry_policy import REPLAY_FOR, replay_after
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.reviews import close_review, open_review

log = structlog.get_logger(__name__)
UNSETTLED = "delivery_unsettled"
UNKNOWN_PROFILE = "unknown_profile"


class ReplayForbidden(NotAllowed):
    code = "replay_forbidden"


@dataclass(frozen=True)
class WebhookProvider:
    """How a provider's deliveries are parsed, and which handler applies each type of event."""

    parse_event: Callable[[bytes], Event]
    handlers: Mapping[str, Handler]


_providers: dict[str, WebhookProvider] = {}


def assign_providers(providers: Mapping[str, WebhookProvider]) -> None:
    """Set the providers whose deliveries can be replayed, once, when the process starts."""
    _providers.update(providers)


def due() -> models.QuerySet[WebhookDelivery]:
    """Deliveries that will be replayed automatically: they have no final result yet."""
    return WebhookDelivery.objects.filter(signature_valid=True, next_attempt_at__isnull=False)


def replay(delivery_id: UUID, *, cause: Cause | None = None) -> HandlingResult:
    """Hand one stored delivery to its handler again and store the result, in one commit.

    Without a `cause` the delivery itself is the cause of what follows, as it was the first time. Raises
    ReplayForbidden for a delivery with an invalid signature: it must never be believed.
    """
    at = timezone.now()
    with writes.atomic():
        delivery = WebhookDelivery.objects.get(pk=delivery_id)
        provider = _providers.get(delivery.provider)
        if provider is None or not _is_authentic(delivery):
            raise ReplayForbidden("Only a delivery with a valid signature is replayed.")
        cause = cause or Cause("webhook", id=delivery.pk, actor=delivery.provider, request_id=delivery.request_id)
        result = _handle_again(delivery, provider, cause=cause, at=at)
        _store(delivery, result, at=at)
    log.info("delivery_replayed", delivery=str(delivery.pk), event_id=delivery.event_id, result=result.text)
    return result


def _handle_again(
    delivery: WebhookDelivery, provider: WebhookProvider, *, cause: Cause, at: datetime
) -> HandlingResult:
    assert delivery.signature_valid, "only a delivery with a valid signature is handled"
    try:
        event = replace(provider.parse_event(delivery.payload.encode()), received_at=delivery.received_at)
    except (NotAnEvent, UnreadableEvent) as error:
        return explain_failure(error, delivery, None, at=at)
    was_final = delivery.processing_result in FINAL
    lock_event(delivery.provider, event)
    delivery.refresh_from_db()  # Another process may have handled it while we waited for the lock.
    earlier = WebhookDelivery.objects.filter(
        provider=delivery.provider, event_id=event.event_id, processing_result__in=FINAL
    )
    if was_final:
        earlier = earlier.exclude(pk=delivery.pk)
    for correlation_id in earlier.values_list("correlation_id", flat=True)[:1]:
        return HandlingResult(Result.DUPLICATE, correlation_id=correlation_id)
    try:
        with transaction.atomic():  # A failure is stored in this commit, without what it had done.
            return apply(delivery, event, provider.handlers.get(event.event_type), cause=cause, at=at)
    except Exception as error:
        return explain_failure(error, delivery, event, at=at)


def _is_authentic(delivery: WebhookDelivery) -> bool:
    """Whether the stored text is what was signed: bytes that are not UTF-8 were replaced in it."""
    sha256 = hashlib.sha256(delivery.payload.encode()).hexdigest()
    return delivery.signature_valid and sha256 == delivery.payload_sha256


def _store(delivery: WebhookDelivery, result: HandlingResult, *, at: datetime) -> None:
    no_change = (Result.DUPLICATE, Result.STALE, delivery.processing_result)
    if delivery.processing_result in FINAL and result.text in no_change:
        return
    if delivery.processing_result == result.text and not result.is_retried:
        return
    is_due_again = result.is_retried and at - delivery.received_at < REPLAY_FOR
    delivery.attempts += 1
    delivery.processing_result = result.text[:300]
    delivery.processed_at = at
    delivery.next_attempt_at = at + replay_after(delivery.attempts) if is_due_again else None
    delivery.correlation_id = result.correlation_id or delivery.correlation_id
    delivery.save(update_fields=["attempts", "processing_result", "processed_at", "next_attempt_at", "correlation_id"])
    if result.is_retried and not is_due_again:
        _open_review_of_failure(delivery)
    elif not result.is_retried:
        close_review(UNSETTLED, delivery, note=f"Replayed: {result.text}.")
        if result.text != Result.IGNORED:
            close_review(UNKNOWN_PROFILE, delivery, note=f"Replayed: {result.text}. It is about our own profile.")
    if result.text == Result.OK:
        close_review_of_event(delivery, note=f"Replayed: {result.text}.")


def _open_review_of_failure(delivery: WebhookDelivery) -> None:
    log.error("delivery_unsettled", delivery=str(delivery.pk), event_id=delivery.event_id)
    hours = REPLAY_FOR // timedelta(hours=1)
    open_review(
        UNSETTLED,
        delivery,
        why=f"{delivery.provider.capitalize()}'s {delivery.event_type} ({delivery.event_id}) was retried for "
        f"{hours} hours and has no final result: {delivery.processing_result}.",
        what_to_do="Ops: fix the error shown, or look the object up in the provider's dashboard; then replay the "
        "webhook.",
    )
