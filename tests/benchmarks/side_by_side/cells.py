"""What is delivered: the requests of each cell, as they go over the wire."""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

from tests.buying import WEBHOOK, envelope, signed
from veza.core.ids import provider_id

PEER_SECRET = "whsec_benchmark"
VEZA, PEER, PGBENCH = "veza", "dj-stripe", "pgbench"


@dataclass(frozen=True)
class Cell:
    """One kind of delivery. `status` is what every answer must have."""

    name: str
    server: str
    status: int = 200


CELLS = (
    Cell("dj-stripe, no handler", PEER),
    Cell("dj-stripe, payment_intent", PEER),
    Cell("dj-stripe, duplicate", PEER),
    Cell("dj-stripe, invalid signature", PEER, 400),
    Cell("Veza, payment succeeded", VEZA),
    Cell("Veza, two sellers sell everything", VEZA),
    Cell("Veza, duplicate", VEZA),
    Cell("Veza, invalid signature", VEZA, 401),
    Cell("PostgreSQL, the same rows", PGBENCH),
)


def requests_of(cell: Cell, payments: Iterator[object], peer_path: str, number: int) -> list[bytes]:
    """`number` requests; those that settle a payment take theirs from `payments`."""
    match cell.name.partition(", "):
        case "Veza", _, "payment succeeded" | "two sellers sell everything":
            return [veza_request(success(one)) for one in itertools.islice(payments, number)]
        case "Veza", _, "duplicate":
            return [veza_request(success(next(payments)))] * number
        case "Veza", _, "invalid signature":
            return [veza_request(success(uuid4()), signature="0" * 128)] * number
        case "dj-stripe", _, "no handler":
            return [peer_request(peer_path, balance()) for _ in range(number)]
        case "dj-stripe", _, "payment_intent":
            return [peer_request(peer_path, intent()) for _ in range(number)]
        case "dj-stripe", _, "duplicate":
            return [peer_request(peer_path, balance())] * number
        case "dj-stripe", _, "invalid signature":
            return [peer_request(peer_path, balance(), secret="whsec_another")] * number
    raise AssertionError(f"{cell.name} sends no requests")


def success(payment: object) -> bytes:
    """Hyperswitch's webhook about one of the copied payments: 18.00 EUR."""
    assert hasattr(payment, "hex")
    snapshot = {
        "payment_id": provider_id("pay", payment),  # type: ignore[arg-type]
        "status": "succeeded",
        "amount": 18_00,
        "amount_received": 18_00,
        "currency": "EUR",
        "profile_id": "pro_sandbox",
        "error_code": None,
        "error_message": None,
        "updated": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
    }
    return envelope("payment_succeeded", snapshot)


def balance() -> dict[str, object]:
    return event("balance.available", {"object": "balance", "available": [], "pending": [], "livemode": False})


def intent() -> dict[str, object]:
    key = f"pi_{uuid4().hex}"
    return event("payment_intent.succeeded", {"id": key, "object": "payment_intent", "livemode": False})


def event(kind: str, thing: dict[str, object]) -> dict[str, object]:
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "api_version": "2026-05-27.dahlia",
        "created": int(time.time()),
        "type": kind,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "data": {"object": thing},
    }


def veza_request(raw: bytes, signature: str | None = None) -> bytes:
    return wire(WEBHOOK, raw, f"x-webhook-signature-512: {signature or signed(raw)}")


def peer_request(path: str, body: dict[str, object], secret: str = PEER_SECRET) -> bytes:
    raw, at = json.dumps(body).encode(), int(time.time())
    signature = hmac.new(secret.encode(), f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
    return wire(path, raw, f"Stripe-Signature: t={at},v1={signature}")


def wire(path: str, raw: bytes, header: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}{header}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw
