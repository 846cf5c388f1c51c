"""Reads JSON bodies as strictly as the server: unknown keys and wrong types are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from sandbox.exchange import Json, Request
from sandbox.hyperswitch.errors import UnreadableBody

_TYPES: Mapping[str, tuple[type, ...]] = {
    "i64": (int,),
    "bool": (bool,),
    "string": (str,),
    "map": (dict,),
    "sequence": (list,),
    "a value": (dict, list, str),
}


def _fields(names: str, kind: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


PAYMENT_CREATE = {
    **_fields(
        "amount order_tax_amount amount_to_capture shipping_cost session_expiry discount_amount"
        " shipping_amount_tax duty_amount",
        "i64",
    ),
    **_fields(
        "currency payment_id capture_method authentication_type customer_id description return_url email name"
        " phone phone_country_code setup_future_usage payment_method payment_token statement_descriptor_name"
        " statement_descriptor_suffix mandate_id payment_experience payment_method_type business_country"
        " business_label payment_link_config_id profile_id payment_type merchant_order_reference_id"
        " psd2_sca_exemption_type threeds_method_comp_ind tax_status order_date mit_category tokenization"
        " profile_acquirer_id external_surcharge_strategy",
        "string",
    ),
    **_fields(
        "routing billing customer payment_method_data shipping mandate_data customer_acceptance browser_info"
        " merchant_connector_details metadata connector_metadata payment_link_config surcharge_details"
        " offer_details frm_metadata three_ds_data recurring_details split_payments ctp_service_details"
        " billing_descriptor partner_merchant_identifier_details installment_data",
        "map",
    ),
    **_fields("connector order_details allowed_payment_method_types installment_options", "sequence"),
    **_fields(
        "confirm off_session payment_link request_incremental_authorization"
        " request_external_three_ds_authentication request_extended_authorization"
        " skip_external_tax_calculation force_3ds_challenge is_iframe_redirection_enabled all_keys_required"
        " enable_partial_authorization enable_overcapture is_stored_credential",
        "bool",
    ),
    "payment_channel": "a value",
}
_UPDATE_LACKS = {"business_country", "business_label", "mandate_id", "profile_id"}
PAYMENT_UPDATE = {
    **{name: kind for name, kind in PAYMENT_CREATE.items() if name not in _UPDATE_LACKS},
    "retry_action": "string",
}
_CONFIRM_LACKS = {
    "business_country",
    "business_label",
    "profile_id",
    "surcharge_details",
    "enable_overcapture",
}
PAYMENT_CONFIRM = {
    **{name: kind for name, kind in PAYMENT_CREATE.items() if name not in _CONFIRM_LACKS},
    "retry_action": "string",
    "client_secret": "string",
}
PAYMENT_CANCEL = {
    "cancellation_reason": "string",
    "merchant_connector_details": "map",
    "all_keys_required": "bool",
}
PAYMENT_CAPTURE = {
    "merchant_id": "string",
    "amount_to_capture": "i64",
    "refund_uncaptured_amount": "bool",
    "statement_descriptor_suffix": "string",
    "statement_descriptor_prefix": "string",
    "merchant_connector_details": "map",
    "all_keys_required": "bool",
}
REFUND_CREATE = {
    **_fields("payment_id refund_id merchant_id reason refund_type", "string"),
    **_fields("metadata merchant_connector_details split_refunds", "map"),
    "amount": "i64",
    "all_keys_required": "bool",
}
REFUND_UPDATE = {"reason": "string", "metadata": "map"}
REFUND_SYNC = {"refund_id": "string", "force_sync": "bool", "merchant_connector_details": "map"}
REFUND_LIST = {
    **_fields("payment_id refund_id profile_id start_time end_time", "string"),
    **_fields("limit offset", "i64"),
    **_fields("connector merchant_connector_id currency refund_status", "sequence"),
    "amount_filter": "map",
}

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "capture_method": ("automatic", "manual", "manual_multiple", "scheduled", "sequential_automatic"),
    "setup_future_usage": ("off_session", "on_session"),
    "authentication_type": ("three_ds", "no_three_ds"),
    "refund_type": ("instant", "scheduled"),
    "external_surcharge_strategy": ("apply", "waive"),
}
_CURRENCY = re.compile(r"[A-Z]{3}")


def read_body(request: Request, fields: Mapping[str, str], mandatory: Iterable[str] = ()) -> Json:
    """The body's keys that are not null. Raises UnreadableBody."""
    body = _parse(request.body)
    for name, value in body.items():
        if name not in fields:
            names = ", ".join(f"`{field}`" for field in sorted(fields))
            raise UnreadableBody(f"unknown field `{name}`, expected one of {names}")
        _check_value(name, value, fields[name])
    for name in mandatory:
        if body.get(name) is None:
            raise UnreadableBody(f"missing field `{name}`")
    _check_order_details(body.get("order_details") or [])
    return {name: value for name, value in body.items() if value is not None}


def _parse(raw: bytes) -> Json:
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise UnreadableBody("expected value at line 1 column 1") from None
    if not isinstance(body, dict):
        raise UnreadableBody("invalid type: expected a map")
    return body


def _check_value(name: str, value: object, kind: str) -> None:
    if value is None:
        return
    right_type = isinstance(value, _TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))
    if not right_type or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise UnreadableBody(f"{name}: invalid type: {type(value).__name__}, expected {kind}")
    if name in VARIANTS and value not in VARIANTS[name]:
        raise UnreadableBody(f"unknown variant `{value}`, expected one of {', '.join(VARIANTS[name])}")
    if name == "currency" and isinstance(value, str) and not _CURRENCY.fullmatch(value):
        raise UnreadableBody(f"unknown variant `{value}`, expected one of the ISO 4217 codes")
    if name == "return_url" and not str(value).startswith(("http://", "https://")):
        raise UnreadableBody("relative URL without a base")


def _check_order_details(lines: list[object]) -> None:
    for line in lines:
        if not isinstance(line, dict):
            raise UnreadableBody("order_details: invalid type, expected struct OrderDetailsWithAmount")
        for name, kind in {"product_name": "string", "quantity": "i64", "amount": "i64"}.items():
            if line.get(name) is None:
                raise UnreadableBody(f"order_details: missing field `{name}`")
            _check_value(name, line[name], kind)
