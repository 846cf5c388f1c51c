"""Hyperswitch's webhooks: checking the signature, parsing the event, and the verb that applies each type.

A body that is no JSON, or JSON that two parsers could read differently, is answered 400: its bytes may have been
damaged on the way, and the next attempt brings them whole. JSON of a shape that we do not know would be the same each
time: it is answered 200, ignored, and opens a review item. An event about a refund without the refund's id stays 400:
money may have gone back, and Hyperswitch keeps such an event alive until its sender is repaired.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from django.conf import settings

from payments.collection.method_setups import apply_setup, is_setup
from payments.collection.payment_updates import apply_payment
from payments.collection.saved_methods import apply_mandate
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch.objects import (
    RemotePayment,
    Unreadable,
    parse_dispute,
    parse_mandate,
    parse_payment,
    parse_refund,
)
from payments.inbox.intake import Event, Handler, HandlingResult, NotAnEvent, Result, ignore_event, read_envelope
from payments.inbox.replay import UNKNOWN_PROFILE
from payments.inbox.unknown_events import UnreadableEvent
from payments.models import LOCKED_PAYMENT, WebhookDelivery
from payments.refunds import refund_updates
from payments.refunds.refund_updates import apply_refund
from payments.states import DisputeStatus
from veza.core import reads
from veza.core.causes import Cause
from veza.core.ids import new_id, row_id
from veza.core.models import ReviewItem
from veza.core.reviews import open_review


class Remote(Protocol):
    """An object of Hyperswitch that names the profile it belongs to."""

    @property
    def profile_id(self) -> str: ...


Snapshot = TypeVar("Snapshot", bound=Remote)
Remote_contra = TypeVar("Remote_contra", bound=Remote, contravariant=True)


class Apply(Protocol[Remote_contra]):
    """The verb that brings a row of ours to its status at Hyperswitch."""

    def __call__(self, snapshot: Remote_contra, /, *, cause: Cause, at: datetime) -> HandlingResult: ...


def is_signed_by_hyperswitch(raw: bytes, signature: str | None, *, secrets: Sequence[str]) -> bool:
    """Whether `signature` is the hex HMAC-SHA512 of exactly these bytes under one of `secrets`.

    Two secrets may be valid while one is being replaced. Without a secret no signature is valid.
    """
    try:
        digest = bytes.fromhex(signature or "")
    except ValueError:
        return False
    candidates = (hmac.digest(secret.encode(), raw, hashlib.sha512) for secret in secrets if secret)
    return any(hmac.compare_digest(candidate, digest) for candidate in candidates)


def read_event(raw: bytes) -> Event:
    """Parse Hyperswitch's envelope.

    Raises NotAnEvent for what is no JSON, UnreadableEvent with a sentence that says what the envelope lacks.
    """
    envelope = read_envelope(raw)
    event_id, event_type = envelope.get("event_id"), envelope.get("event_type")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= 100:
        raise UnreadableEvent("the body has no event_id", event_type=event_type)
    if not isinstance(event_type, str) or not event_type:
        raise UnreadableEvent("the body has no event_type", event_id=event_id)
    merchant_id = envelope.get("merchant_id")
    payload = _object_of(envelope)
    return Event(event_id, event_type, payload, merchant_id if isinstance(merchant_id, str) else "")


def _object_of(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object the event is about: `content.object`, or the flatter forms of older servers."""
    content = envelope.get("content")
    for payload in (
        content.get("object") if isinstance(content, Mapping) else None,
        envelope.get("object"),
        envelope,
    ):
        if isinstance(payload, Mapping):
            return payload
    return {}


def apply_ours(
    apply: Apply[Snapshot], snapshot: Snapshot, /, *, merchant_id: str = "", cause: Cause, at: datetime
) -> HandlingResult:
    """Apply an object from a webhook or a list, if it belongs to our merchant and profile."""
    if owner := _other_owner(snapshot.profile_id, merchant_id):
        _open_review_of_unknown_profile(WebhookDelivery(pk=cause.id or new_id()), owner)
        return HandlingResult(Result.IGNORED)
    return apply(snapshot, cause=cause, at=at)


def first_reads(event: Event) -> Sequence[reads.Query]:
    """What the event's handler locks first."""
    if event.event_type in _REFUND_EVENTS:
        return refund_updates.first_reads(event.payload.get("payment_id"), event.payload.get("refund_id"))
    key = row_id("pay", event.payload.get("payment_id"))
    return (LOCKED_PAYMENT.on(key),) if key is not None else ()


def _handler(parse: Callable[[Event], Snapshot], apply: Apply[Snapshot]) -> Handler:
    """Parse the object, check that it is ours, apply it: the same for every type of event."""

    def handle(event: Event, /, *, cause: Cause, at: datetime) -> HandlingResult:
        try:
            snapshot = parse(event)
            return apply_ours(apply, snapshot, merchant_id=event.merchant_id, cause=cause, at=at)
        except Unreadable as error:
            raise UnreadableEvent(str(error)) from error

    return handle


def _apply_refund_event(event: Event, /, *, cause: Cause, at: datetime) -> HandlingResult:
    if not event.payload.get("refund_id"):
        raise NotAnEvent("refund_id is missing")
    return _apply_refund(event, cause=cause, at=at)


def _other_owner(profile_id: str, merchant_id: str) -> str:
    """Whose object it is, if not ours: Hyperswitch does not guarantee that a secret signs for one profile only."""
    if merchant_id and settings.HYPERSWITCH_MERCHANT_ID not in ("", merchant_id):
        return f"merchant {merchant_id}"
    if profile_id and settings.HYPERSWITCH_PROFILE_ID not in ("", profile_id):
        return f"profile {profile_id}"
    return ""


def _open_review_of_unknown_profile(delivery: WebhookDelivery, owner: str) -> None:
    """One review item stands for all such deliveries: Hyperswitch's configuration is wrong, not an event."""
    if ReviewItem.objects.filter(kind=UNKNOWN_PROFILE, closed_at__isnull=True).exists():
        return
    open_review(
        UNKNOWN_PROFILE,
        delivery,
        why=f"A delivery was signed with our secret and is about {owner[:200]}.",
        what_to_do="Ops: check at Hyperswitch which profiles send webhooks to Veza, and whether another one uses our "
        "secret. If the profile is ours, correct our setting and replay the webhook.",
    )


def _apply_payment_or_setup(snapshot: RemotePayment, /, *, cause: Cause, at: datetime) -> HandlingResult:
    apply = apply_setup if is_setup(snapshot.payment_id) else apply_payment
    return apply(snapshot, cause=cause, at=at)


_apply_payment = _handler(
    lambda event: parse_payment(event.payload, heard_at=event.received_at), _apply_payment_or_setup
)
_apply_refund = _handler(lambda event: parse_refund(event.payload, heard_at=event.received_at), apply_refund)
_apply_dispute = _handler(lambda event: parse_dispute(event.payload), apply_dispute)
_apply_mandate = _handler(lambda event: parse_mandate(event.payload), apply_mandate)
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
_REFUND_EVENTS = ("refund_succeeded", "refund_failed")
_DISPUTE_EVENTS = tuple(f"dispute_{status}" for status in DisputeStatus.values)
_MANDATE_EVENTS = ("mandate_active", "mandate_revoked")
_NOT_PAID_OUT_HERE = "Veza pays sellers out through Stripe, never through Hyperswitch."
_NO_SURCHARGES = "Veza adds no surcharge to a price."
# The types of which nothing of ours follows, each with the reason. Any other type is unknown: a review item.
IGNORED: Mapping[str, str] = {
    "payout_success": _NOT_PAID_OUT_HERE,
    "payout_failed": _NOT_PAID_OUT_HERE,
    "payout_initiated": _NOT_PAID_OUT_HERE,
    "payout_processing": _NOT_PAID_OUT_HERE,
    "payout_cancelled": _NOT_PAID_OUT_HERE,
    "payout_expired": _NOT_PAID_OUT_HERE,
    "payout_reversed": _NOT_PAID_OUT_HERE,
    "payout_not_permitted": _NOT_PAID_OUT_HERE,
    "invoice_paid": "Veza bills its subscriptions itself and opens none at Hyperswitch.",
    "surcharge_payment_succeeded": _NO_SURCHARGES,
    "surcharge_refund_succeeded": _NO_SURCHARGES,
}
HANDLERS: Mapping[str, Handler] = (
    dict.fromkeys(_PAYMENT_EVENTS, _apply_payment)
    | dict.fromkeys(_REFUND_EVENTS, _apply_refund_event)
    | dict.fromkeys(_DISPUTE_EVENTS, _apply_dispute)
    | dict.fromkeys(_MANDATE_EVENTS, _apply_mandate)
    | dict.fromkeys(IGNORED, ignore_event)
)
