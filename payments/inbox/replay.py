"""Handling stored deliveries again: those that failed or matched nothing, by the clock; any others, by hand.

A replay goes through the same handler as the delivery did, and writes its result in the commit of its effects. One
that finds everything done already leaves a settled row as it is, to the last byte.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import models, transaction
from django.utils import timezone

from payments.inbox.intake import (
    FINAL,
    KEEP_TRYING_FOR,
    TRY_AGAIN_AFTER,
    Event,
    Handler,
    HandlingResult,
    NotAnEvent,
    Result,
    apply_once,
    lock_event,
)
from payments.models import WebhookDelivery
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.reviews import close_review, open_review

log = structlog.get_logger(__name__)
UNSETTLED = "delivery_unsettled"


class ReplayForbidden(NotAllowed):
    code = "replay_forbidden"


@dataclass(frozen=True)
class WebhookProvider:
    """How a provider's deliveries are read, and which handler applies each type of event."""

    read: Callable[[bytes], Event]
    handlers: Mapping[str, Handler]


_providers: dict[str, WebhookProvider] = {}


def assign_providers(providers: Mapping[str, WebhookProvider]) -> None:
    """Take the providers whose deliveries can be replayed, once, when the process starts."""
    _providers.update(providers)


def due() -> models.QuerySet[WebhookDelivery]:
    """Deliveries that are to be tried again at some time: no handler has finished them yet."""
    return WebhookDelivery.objects.filter(signature_valid=True, next_attempt_at__isnull=False)


def replay(delivery_id: UUID, *, cause: Cause | None = None) -> HandlingResult:
    """Hand one stored delivery to its handler again and keep what comes of it, in one commit.

    Without a `cause` the delivery itself is the cause of what follows, as it was the first time. Raises
    ReplayForbidden for a delivery whose signature was bad: what it says was never to be believed.
    """
    at = timezone.now()
    with transaction.atomic(durable=True):
        delivery = WebhookDelivery.objects.get(pk=delivery_id)
        provider = _providers.get(delivery.provider)
        if provider is None or not _is_what_was_signed(delivery):
            raise ReplayForbidden("Only what a provider really sent is handled again.")
        cause = cause or Cause("webhook", id=delivery.pk, actor=delivery.provider, request_id=delivery.request_id)
        try:
            event = provider.read(delivery.payload.encode())
        except NotAnEvent as error:
            result = HandlingResult(f"error: {error}", http_status=400)
        else:
            was_final = delivery.processing_result in FINAL
            lock_event(delivery.provider, event)
            delivery.refresh_from_db()  # Somebody may have settled it while we waited for the lock.
            own = delivery.pk if was_final else None
            result = apply_once(delivery.provider, event, provider.handlers, cause=cause, at=at, besides=own)
        _keep(delivery, result, at=at)
    log.info("delivery_replayed", delivery=str(delivery.pk), event_id=delivery.event_id, result=result.text)
    return result


def _is_what_was_signed(delivery: WebhookDelivery) -> bool:
    """Whether the stored text is what the signature stood under: bytes that are no UTF-8 were replaced in it."""
    stored = hashlib.sha256(delivery.payload.encode()).hexdigest()
    return delivery.signature_valid and stored == delivery.payload_sha256


def _keep(delivery: WebhookDelivery, result: HandlingResult, *, at: datetime) -> None:
    nothing_new = (Result.DUPLICATE, Result.STALE, delivery.processing_result)
    if delivery.processing_result in FINAL and result.text in nothing_new:
        return
    if delivery.processing_result == result.text and not result.is_retried:
        return
    again = result.is_retried and at - delivery.received_at < KEEP_TRYING_FOR
    delivery.attempts += 1
    delivery.processing_result = result.text[:300]
    delivery.processed_at = at
    delivery.next_attempt_at = at + _pause(delivery.attempts) if again else None
    delivery.correlation_id = result.correlation_id or delivery.correlation_id
    delivery.save(update_fields=["attempts", "processing_result", "processed_at", "next_attempt_at", "correlation_id"])
    if result.is_retried and not again:
        _give_up(delivery)
    elif not result.is_retried:
        close_review(UNSETTLED, delivery, note=f"Replayed: {result.text}.")


def _pause(attempts: int) -> timedelta:
    return TRY_AGAIN_AFTER[min(attempts, len(TRY_AGAIN_AFTER)) - 1]


def _give_up(delivery: WebhookDelivery) -> None:
    log.error("delivery_unsettled", delivery=str(delivery.pk), event_id=delivery.event_id)
    hours = KEEP_TRYING_FOR // timedelta(hours=1)
    open_review(
        UNSETTLED,
        delivery,
        why=f"{delivery.provider.capitalize()}'s {delivery.event_type} ({delivery.event_id}) was tried for {hours} "
        f"hours and is still not settled: {delivery.processing_result}.",
        what_to_do="Mend what the result names, or find the object at the provider; then replay the delivery.",
    )
