"""Hyperswitch's webhooks: the event type of each status, the envelope and the signature."""

from __future__ import annotations

import hashlib
import hmac

from sandbox.clock import now, stamp
from sandbox.deliveries import Event
from sandbox.exchange import Json, to_bytes
from sandbox.hyperswitch.objects import Dispute, Payment, Refund
from sandbox.ids import new_event_id
from sandbox.settings import MERCHANT_ID
from sandbox.world import World

PAYMENT_EVENTS = {
    "succeeded": "payment_succeeded",
    "failed": "payment_failed",
    "cancelled": "payment_cancelled",
    "cancelled_post_capture": "payment_cancelled_post_capture",
    "partially_captured": "payment_captured",
    "partially_captured_and_capturable": "payment_captured",
    "expired": "payment_expired",
    "processing": "payment_processing",
    "partially_captured_and_processing": "payment_processing",
    "requires_customer_action": "action_required",
    "requires_merchant_action": "action_required",
    "conflicted": "action_required",
    "review": "action_required",
    "requires_capture": "payment_authorized",
    "partially_authorized_and_requires_capture": "payment_partially_authorized",
    "requires_payment_method": None,
    "requires_confirmation": None,
}
REFUND_EVENTS = {"succeeded": "refund_succeeded", "failed": "refund_failed", "pending": None, "review": None}
MANDATE_EVENTS = {"active": "mandate_active", "revoked": "mandate_revoked"}


def sign_body(body: bytes, secret: str) -> str:
    """HMAC-SHA512 of the exact bytes, lower-case hex."""
    return hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()


def announce_payment(world: World, payment: Payment) -> None:
    _announce(world, payment.payment_id, PAYMENT_EVENTS[payment.status], "payment_details", payment.as_json())


def announce_refund(world: World, refund: Refund) -> None:
    _announce(world, refund.refund_id, REFUND_EVENTS[refund.status], "refund_details", refund.as_json())


def announce_dispute(world: World, dispute: Dispute) -> None:
    _announce(world, dispute.dispute_id, dispute.status, "dispute_details", dispute.as_json())


def announce_mandate(world: World, payment_method_id: str, status: str) -> Json:
    """The mandate of a saved payment method. It names no customer and has no time."""
    mandate_id = payment_method_id.replace("pm_", "man_", 1)
    mandate: Json = {
        "mandate_id": mandate_id,
        "status": status,
        "payment_method_id": payment_method_id,
        "payment_method": "card",
        "payment_method_type": None,
        "card": None,
        "customer_acceptance": None,
    }
    _announce(world, mandate_id, MANDATE_EVENTS[status], "mandate_details", mandate)
    return mandate


def _announce(world: World, object_id: str, event_type: str | None, content_type: str, payload: Json) -> None:
    """Send the event, unless this object already had one of this type."""
    if event_type is None or (object_id, event_type) in world.announcements:
        return
    world.announcements.add((object_id, event_type))
    at = stamp(now())
    event_id = new_event_id()
    envelope = {
        "merchant_id": MERCHANT_ID,
        "event_id": event_id,
        "event_type": event_type,
        "content": {"type": content_type, "object": payload},
        "timestamp": at,
        "processor_merchant_id": MERCHANT_ID,
    }
    body = to_bytes(envelope)
    headers = _build_headers(body, world.settings.hyperswitch_webhook_secret)
    world.deliveries.emit(
        Event(event_id, "hyperswitch", event_type, object_id, body, lambda _body: headers, created_at=at)
    )


def _build_headers(body: bytes, secret: str) -> dict[str, str]:
    """Built once: a retry sends the same headers, even after a change of secret."""
    headers = {
        "content-type": "application/json",
        "user-agent": "Hyperswitch-Backend-Server",
        "via": "HyperSwitch",
    }
    if secret:
        headers["x-webhook-signature-512"] = sign_body(body, secret)
    return headers
