"""What happens around Veza in a test: a buyer orders and pays, and Hyperswitch sends webhooks."""

import hashlib
import hmac
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import requests
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.utils import timezone

from marketplace.models import CartItem, LicenseOffer, Order, RefundApplication
from marketplace.offers import OrderLine
from marketplace.orders import request_order
from marketplace.refunds import RefundRequest, request_refund
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch.objects import parse_dispute
from payments.models import Payment, Refund
from tests.factories import OfferFactory, PersonFactory
from veza.core.causes import Cause, by_sweep
from veza.core.ids import new_id
from veza.core.models import User

SECRET = "webhook-secret-of-the-tests"
BY_BUYER = Cause("user", actor="a buyer")
WEBHOOK = "/api/v1/webhooks/hyperswitch"


def order_of(*offers: LicenseOffer, buyer: User | None = None) -> Order:
    """An order whose payment page exists at Hyperswitch."""
    lines = [OrderLine(offer.product_id, offer.license) for offer in offers]
    buyer = buyer or PersonFactory()
    return request_order(order_id=new_id(), buyer=buyer, lines=lines, cause=BY_BUYER).order


def fill_cart(owner: User, *offers: LicenseOffer) -> list[CartItem]:
    """The offers in the cart of `owner`, on their terms of now."""
    return CartItem.objects.bulk_create(CartItem(owner=owner, offer=offer, **asdict(offer.terms)) for offer in offers)


def two_sellers_order() -> Order:
    """10.00 and 5.00 before 20 % tax, from two sellers; our fee is a tenth."""
    return order_of(OfferFactory(price_minor=10_00), OfferFactory(price_minor=5_00))


def paid(order: Order) -> Order:
    """The order after its payment's webhook."""
    assert deliver_payment(payment_of(order)).status_code == 200
    order.refresh_from_db()
    return order


def payment_of(order: Order) -> Payment:
    return Payment.objects.get(purpose="order", purpose_id=order.pk)


def refund_of(
    order: Order, *, requested_by: User | None = None, refund_id: UUID | None = None, **refund_request: Any
) -> Refund:
    """A refund requested by the buyer of `order`, of an amount by support, or by `requested_by`."""
    is_by_amount = refund_request.get("amount_minor") is not None
    requested_by = requested_by or (support() if is_by_amount else order.buyer)
    refund = ask_refund(order, requested_by=requested_by, refund_id=refund_id, **refund_request)
    assert isinstance(refund, Refund), "support does not have to decide"
    return refund


def application_of(order: Order, **refund_request: Any) -> RefundApplication:
    """A refund requested by the buyer of `order`, which support has to decide."""
    application = ask_refund(order, requested_by=order.buyer, **refund_request)
    assert isinstance(application, RefundApplication), "support has to decide"
    return application


def ask_refund(
    order: Order, *, requested_by: User, refund_id: UUID | None = None, **refund_request: Any
) -> Refund | RefundApplication:
    return request_refund(
        refund_id=refund_id or new_id(),
        order_id=order.pk,
        requested_by=requested_by,
        refund_request=RefundRequest(reason="It does not open.", **refund_request),
        cause=BY_BUYER,
    )


def support() -> User:
    """A member of staff who may refund for buyers."""
    user = PersonFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="refund_for_buyer"))
    return user


def envelope(event_type: str, payload: dict[str, Any], *, event_id: str = "") -> bytes:
    """A delivery's bytes as Hyperswitch writes them: compact, raw UTF-8."""
    kind = event_type.partition("_")[0]
    body = {
        "merchant_id": "merchant_sandbox",
        "event_id": event_id or f"evt_{new_id().hex}",
        "event_type": event_type,
        "content": {"type": f"{kind}_details", "object": payload},
        "timestamp": _time(timezone.now()),
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def signed(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha512).hexdigest()


def deliver(raw: bytes, *, signature: str | None = None, **headers: str) -> Any:
    """Post the bytes to our webhook endpoint, with a valid signature unless `signature` is set."""
    headers = {"x-webhook-signature-512": signature if signature is not None else signed(raw), **headers}
    return Client().post(WEBHOOK, data=raw, content_type="application/json", headers=headers)


def deliver_over_http(address: str, raw: bytes) -> requests.Response:
    """Post the signed bytes to the web server at `address`."""
    headers = {"x-webhook-signature-512": signed(raw), "Content-Type": "application/json"}
    return requests.post(address + WEBHOOK, data=raw, headers=headers, timeout=60)


def deliver_payment(payment: Payment, *, status: str = "succeeded", event_id: str = "", **payload: Any) -> Any:
    return deliver(envelope(f"payment_{status}", payment_object(payment, status=status, **payload), event_id=event_id))


def deliver_refund(refund: Refund, *, status: str = "succeeded", event_id: str = "", **payload: Any) -> Any:
    return deliver(envelope(f"refund_{status}", refund_object(refund, status=status, **payload), event_id=event_id))


def payment_object(payment: Payment, **payload: Any) -> dict[str, Any]:
    snapshot = {
        "payment_id": payment.provider_key,
        "status": "succeeded",
        "amount": payment.amount_minor,
        "amount_received": payment.amount_minor,
        "currency": payment.currency,
        "profile_id": "pro_sandbox",
        "error_code": None,
        "error_message": None,
        "updated": _time(timezone.now()),
    }
    return snapshot | payload


def refund_object(refund: Refund, **payload: Any) -> dict[str, Any]:
    snapshot = {
        "refund_id": refund.provider_key,
        "payment_id": refund.payment.provider_key,
        "status": "succeeded",
        "amount": refund.amount_minor,
        "currency": refund.currency,
        "profile_id": "pro_sandbox",
        "error_code": None,
        "error_message": None,
        "updated_at": _time(timezone.now()),
    }
    return snapshot | payload


def dispute_object(
    *, payment: Payment, amount_minor: int, status: str, dispute_id: str = "dp_1", **payload: Any
) -> Any:
    snapshot = {
        "dispute_id": dispute_id,
        "payment_id": payment.provider_key,
        "amount": str(amount_minor),
        "currency": payment.currency,
        "dispute_stage": "dispute",
        "dispute_status": status,
        "connector_reason": "Not as described",
        "connector_reason_code": "13.3",
        "challenge_required_by": "2026-10-20T11:12:53.000Z",
        "profile_id": "pro_sandbox",
    }
    return snapshot | payload


def deliver_dispute(payment: Payment, status: str, *, amount_minor: int | None = None, **payload: Any) -> Any:
    """A webhook about a dispute, of the whole payment unless `amount_minor` is set."""
    amount = payment.amount_minor if amount_minor is None else amount_minor
    snapshot = dispute_object(payment=payment, amount_minor=amount, status=f"dispute_{status}", **payload)
    return deliver(envelope(f"dispute_{status}", snapshot))


def answer_dispute(payment: Payment, status: str, *, amount_minor: int | None = None, **payload: Any) -> None:
    """Hyperswitch's answer to a refresh of a dispute, which may contradict what it had reported."""
    amount = payment.amount_minor if amount_minor is None else amount_minor
    snapshot = dispute_object(payment=payment, amount_minor=amount, status=f"dispute_{status}", **payload)
    with transaction.atomic():
        apply_dispute(parse_dispute(snapshot), cause=by_sweep("a test"), at=timezone.now(), is_answer=True)


def ago(**time: float) -> str:
    return _time(timezone.now() - timedelta(**time))


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
