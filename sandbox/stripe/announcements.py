"""Stripe's webhooks. Every attempt has a new signature with its own time."""

from __future__ import annotations

import hashlib
import hmac
import time

from sandbox.clock import now, stamp
from sandbox.deliveries import Event
from sandbox.exchange import Json, Request, to_bytes
from sandbox.ids import new_id
from sandbox.world import World

API_VERSION = "2026-10-28.endive"


def build_signature_header(body: bytes, secret: str, at: int) -> str:
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def announce(
    world: World,
    event_type: str,
    payload: Json,
    *,
    cause: Request | None,
    account: str | None = None,
    previous: Json | None = None,
) -> None:
    """Send an event. `account` makes it a Connect event; without a `cause` no API call led to it."""
    event = _build_event(event_type, payload, cause=cause, account=account, previous=previous)

    def sign(body: bytes) -> dict[str, str]:
        return _build_headers(body, world.settings.stripe_webhook_secret)

    world.deliveries.emit(
        Event(event["id"], "stripe", event_type, payload["id"], to_bytes(event), sign, created_at=stamp(now()))
    )


def _build_event(
    event_type: str, payload: Json, *, cause: Request | None, account: str | None, previous: Json | None
) -> Json:
    event: Json = {
        "id": new_id("evt_", 24),
        "object": "event",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "data": {"object": payload, **({} if previous is None else {"previous_attributes": previous})},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {
            "id": cause.request_id if cause else None,
            "idempotency_key": cause.headers.get("idempotency-key") if cause else None,
        },
        "type": event_type,
    }
    if account:
        event["account"] = account
    return event


def _build_headers(body: bytes, secret: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": build_signature_header(body, secret, int(time.time())),
    }
