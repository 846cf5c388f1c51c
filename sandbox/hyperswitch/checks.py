"""The server's checks before it creates or changes a payment, in the server's order."""

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


def check_create(params: Json) -> None:
    if "payment_id" in params:
        check_id("payment_id", params["payment_id"])
    if params["amount"] < 0:
        raise invalid_format("amount", "a non-negative integer")
    _check_zero(params)
    if params.get("capture_method") == "scheduled":
        raise HyperswitchError(501, "IR_00", "Scheduled capture is not implemented")
    if params.get("payment_link"):
        _check_link(params)
    if params.get("session_expiry", SESSION_SECONDS) not in _SESSION_LIMITS:
        raise invalid_format("session_expiry", "60 to 7890000 seconds")
    check_amount_to_capture(params)
    split = (params.get("split_payments") or {}).get("stripe_split_payment") or {}
    if isinstance(split.get("application_fees"), int) and split["application_fees"] > params["amount"]:
        raise invalid_value("application_fees")


def _check_zero(params: Json) -> None:
    """An amount of zero only saves the method of a customer; a set-up has no other amount."""
    is_setup = params.get("payment_type") == "setup_mandate"
    if is_setup and params["amount"]:
        raise HyperswitchError(422, "IR_06", "amount should be 0 for payment_type setup_mandate")
    if params["amount"] == 0 and params.get("setup_future_usage") != "off_session":
        raise HyperswitchError(422, "IR_06", "amount 0 needs setup_future_usage off_session")
    if params["amount"] == 0 and customer_of(params) is None:
        raise missing("customer_id")


def check_amount_to_capture(params: Json) -> None:
    automatic = params.get("capture_method", "automatic") == "automatic"
    if automatic and params.get("amount_to_capture", params.get("amount")) != params.get("amount"):
        raise HyperswitchError(400, "IR_16", "amount_to_capture must be equal to the amount with automatic capture")


def check_saved_method(world: World, params: Json) -> str | None:
    """The saved payment method to charge. None: the call names none."""
    details = params.get("recurring_details")
    if details is None and "mandate_id" not in params:
        return None
    if details is not None and details.get("type") not in ("payment_method_id", "mandate_id"):
        raise HyperswitchError(400, "IR_20", "The sandbox charges only a saved payment_method_id")
    method = details.get("data") if details is not None else params["mandate_id"]
    customer_id = customer_of(params)
    if customer_id is None:
        raise missing("customer_id")
    customer = world.customers.get(customer_id)
    if customer is None or method not in customer.payment_methods:
        raise HyperswitchError(404, "HE_02", "Payment method does not exist in our records")
    if not params.get("off_session"):
        raise HyperswitchError(422, "IR_06", "off_session should be true to charge a saved payment method")
    return str(method)


def check_confirmable(payment: Payment, statuses: tuple[str, ...]) -> None:
    if payment.status not in statuses:
        message = f"You cannot confirm this payment because it has status {payment.status}"
        raise HyperswitchError(400, "IR_16", message)


def customer_of(params: Json) -> str | None:
    customer_id = params.get("customer_id") or (params.get("customer") or {}).get("id")
    return str(customer_id) if customer_id else None


def _check_link(params: Json) -> None:
    if params.get("confirm"):
        raise HyperswitchError(422, "IR_06", "cannot confirm a payment while creating a payment link")
    if "return_url" not in params:
        raise missing("return_url")
    if len(params["return_url"]) > 2048:
        raise invalid_format("return_url", "at most 2048 characters")
