"""Stripe's webhooks as a test delivers them: signed bytes to our endpoint."""

import hashlib
import hmac
import json
import time
from typing import Any

from django.test import Client

from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from veza.core.ids import new_id

SECRET = "whsec_of_the_tests"
WEBHOOK = "/api/v1/webhooks/stripe"


def event(event_type: str, payload: dict[str, Any], **envelope: Any) -> bytes:
    """An event's bytes as Stripe writes them."""
    usual = {
        "id": f"evt_{new_id().hex}",
        "object": "event",
        "created": int(time.time()),
        "data": {"object": payload},
        "livemode": False,
        "type": event_type,
    }
    return json.dumps({**usual, **envelope}).encode()


def signature(raw: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    seconds = int(time.time() if at is None else at)
    return f"t={seconds},v1={hmac.new(secret.encode(), f'{seconds}.'.encode() + raw, hashlib.sha256).hexdigest()}"


def deliver(raw: bytes, *, header: str | None = None) -> Any:
    """Post the bytes to our endpoint, signed unless another header is given."""
    headers = {"Stripe-Signature": signature(raw) if header is None else header}
    return Client().post(WEBHOOK, data=raw, content_type="application/json", headers=headers)


def account_payload(account: ConnectedAccount, *, transfers: str = "active", **fields: Any) -> dict[str, Any]:
    return {
        "id": account.stripe_account_id,
        "object": "account",
        "capabilities": {"transfers": transfers},
        "payouts_enabled": transfers == "active",
        "details_submitted": True,
        "country": "DE",
        "requirements": {"currently_due": []},
        **fields,
    }


def transfer_payload(transfer: SellerTransfer, *, reversed_minor: int) -> dict[str, Any]:
    return {
        "id": transfer.stripe_transfer_id,
        "object": "transfer",
        "amount": transfer.sent_minor,
        "amount_reversed": reversed_minor,
        "currency": "eur",
        "metadata": {"transfer_id": str(transfer.pk), "order_id": str(transfer.order_id)},
        "reversals": {"object": "list", "data": []},
    }


def payout_payload(payout: SellerPayout, status: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": payout.external_payout_id or "po_1",
        "object": "payout",
        "amount": payout.amount_minor,
        "currency": "eur",
        "status": status,
        "metadata": {"payout_id": str(payout.pk)},
        "failure_code": None,
        "failure_message": None,
        **fields,
    }
