"""What the server checks before it creates or changes a payment, in its order."""

from __future__ import annotations

import re

from sandbox.exchange import Json
from sandbox.hyperswitch.errors import HyperswitchError, invalid_format, invalid_value, missing
from sandbox.hyperswitch.objects import Payment
from sandbox.world import World

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SESSION_SECONDS = 900
_SESSION_LIMITS = range(60, 7_890_001)


def check_id(field: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise invalid_format(field, "1 to 64 characters of A-Za-z0-9_-")


def check_create(asked: Json) -> None:
    if "payment_id" in asked:
        check_id("payment_id", asked["payment_id"])
    if asked["amount"] < 0:
        raise invalid_format("amount", "a non-negative integer")
    if asked.get("capture_method") == "scheduled":
        raise HyperswitchError(501, "IR_00", "Scheduled capture is not implemented")
    if asked.get("payment_link"):
        _check_link(asked)
    if asked.get("session_expiry", SESSION_SECONDS) not in _SESSION_LIMITS:
        raise invalid_format("session_expiry", "60 to 7890000 seconds")
    check_amount_to_capture(asked)
    split = (asked.get("split_payments") or {}).get("stripe_split_payment") or {}
    if isinstance(split.get("application_fees"), int) and split["application_fees"] > asked["amount"]:
        raise invalid_value("application_fees")


def check_amount_to_capture(asked: Json) -> None:
    automatic = asked.get("capture_method", "automatic") == "automatic"
    if automatic and asked.get("amount_to_capture", asked.get("amount")) != asked.get("amount"):
        raise HyperswitchError(400, "IR_16", "amount_to_capture must be equal to the amount with automatic capture")


def check_saved_method(world: World, asked: Json) -> str | None:
    """The saved payment method this call wants charged. None: it names none."""
    details = asked.get("recurring_details")
    if details is None and "mandate_id" not in asked:
        return None
    if details is not None and details.get("type") not in ("payment_method_id", "mandate_id"):
        raise HyperswitchError(400, "IR_20", "The sandbox charges only a saved payment_method_id")
    method = details.get("data") if details is not None else asked["mandate_id"]
    customer_id = customer_of(asked)
    if customer_id is None:
        raise missing("customer_id")
    customer = world.customers.get(customer_id)
    if customer is None or method not in customer.payment_methods:
        raise HyperswitchError(404, "HE_02", "Payment method does not exist in our records")
    if not asked.get("off_session"):
        raise HyperswitchError(422, "IR_06", "off_session should be true to charge a saved payment method")
    return str(method)


def check_confirmable(payment: Payment, statuses: tuple[str, ...]) -> None:
    if payment.status not in statuses:
        message = f"You cannot confirm this payment because it has status {payment.status}"
        raise HyperswitchError(400, "IR_16", message)


def customer_of(asked: Json) -> str | None:
    named = asked.get("customer_id") or (asked.get("customer") or {}).get("id")
    return str(named) if named else None


def _check_link(asked: Json) -> None:
    if asked.get("confirm"):
        raise HyperswitchError(422, "IR_06", "cannot confirm a payment while creating a payment link")
    if "return_url" not in asked:
        raise missing("return_url")
    if len(asked["return_url"]) > 2048:
        raise invalid_format("return_url", "at most 2048 characters")
