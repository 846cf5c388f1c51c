"""Hyperswitch's webhooks: is it really from them, what does it say, and which verb books it."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from payments import captures, refunds
from payments.hyperswitch_objects import Unreadable, read_payment_object, read_refund_object
from payments.inbox import Event, Handled, Handler, NotAnEvent
from veza.core.causes import Cause
from veza.core.strict_json import strict_json

Seen = TypeVar("Seen")


def is_signed_by_hyperswitch(raw: bytes, signature: str | None, *, secrets: Sequence[str]) -> bool:
    """Whether `signature` is the hex HMAC-SHA512 of exactly these bytes under one of `secrets`.

    Two secrets may be in force while one is being replaced. No secret means no: never an open door.
    """
    try:
        given = bytes.fromhex(signature or "")
    except ValueError:
        return False
    right = (hmac.digest(secret.encode(), raw, hashlib.sha512) for secret in secrets if secret)
    return any(hmac.compare_digest(digest, given) for digest in right)


def read_event(raw: bytes) -> Event:
    """Read Hyperswitch's envelope. Raises NotAnEvent with a sentence that says what is missing."""
    try:
        envelope = strict_json(raw)
    except ValueError as error:
        raise NotAnEvent(str(error)) from error
    if not isinstance(envelope, Mapping):
        raise NotAnEvent("the body is not an object")
    event_id, event_type = envelope.get("event_id"), envelope.get("event_type")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= 100:
        raise NotAnEvent("the body has no event_id")
    if not isinstance(event_type, str) or not event_type:
        raise NotAnEvent("the body has no event_type")
    return Event(event_id, event_type, _object_of(envelope))


def _object_of(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object the event is about: `content.object`, or the flatter forms of older servers."""
    content = envelope.get("content")
    for said in (
        content.get("object") if isinstance(content, Mapping) else None,
        envelope.get("object"),
        envelope,
    ):
        if isinstance(said, Mapping):
            return said
    return {}


def _read(event: Event, read: Callable[[Mapping[str, Any]], Seen]) -> Seen:
    try:
        return read(event.said)
    except Unreadable as error:
        raise NotAnEvent(str(error)) from error


def _payment(event: Event, *, cause: Cause, at: datetime) -> Handled:
    return captures.note_payment(_read(event, read_payment_object), cause=cause, at=at)


def _refund(event: Event, *, cause: Cause, at: datetime) -> Handled:
    return refunds.note_refund(_read(event, read_refund_object), cause=cause, at=at)


_PAYMENT_EVENTS = (
    "payment_succeeded",
    "payment_failed",
    "payment_processing",
    "payment_cancelled",
    "payment_cancelled_post_capture",
    "payment_authorized",
    "payment_partially_authorized",
    "payment_captured",
    "payment_expired",
    "action_required",
)
HANDLERS: Mapping[str, Handler] = dict.fromkeys(_PAYMENT_EVENTS, _payment) | dict.fromkeys(
    ("refund_succeeded", "refund_failed"), _refund
)
