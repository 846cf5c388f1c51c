"""Hyperswitch's payments, refunds and disputes, parsed strictly from its JSON.

The same object arrives as the answer to a call and inside a webhook, so it is parsed in one place. Amounts must be
integers (a bool is not; a dispute's amount is text), currencies those of ISO 4217, ids and statuses text, times of this
century; anything else is an Unreadable, never a guess, and never a value that our columns cannot hold.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from payments.hyperswitch.currencies import HYPERSWITCH_AMOUNTS
from veza.core.money import MAX_MINOR
from veza.core.wire_amounts import Inexpressible

# Hyperswitch's ids are at most this long, and so are our columns.
_ID_LENGTH = 64
# PostgreSQL and Python disagree about the years at either end of the calendar.
_YEARS = range(2000, 2100)
# The longest that `decline_details` may be; a word that does not fit is left out.
_DETAILS_LENGTH = 200
# How far Hyperswitch's clock may be ahead of ours.
_AHEAD = timedelta(minutes=5)


class Unreadable(ValueError):
    """The object lacks a field that we need, the field has the wrong type, or it contradicts what we have."""


@dataclass(frozen=True)
class RemotePayment:
    """A payment at Hyperswitch. `received_minor` is None when the object does not contain it.

    `read_at` is when we asked Hyperswitch for it; None for a delivery, which may be of any age.
    """

    payment_id: str
    status: str
    amount_minor: int
    received_minor: int | None
    currency: str
    updated_at: datetime | None
    profile_id: str
    payment_url: str
    client_secret: str
    payment_method_id: str
    error_code: str
    error_message: str
    read_at: datetime | None = None
    # What is reported about a decline besides its code, and until when the card is valid.
    decline_details: str = ""
    card_expires_on: date | None = None


@dataclass(frozen=True)
class RemoteRefund:
    """A refund at Hyperswitch. `refund_id` is ours, unless the refund is external; `read_at` as of a payment."""

    refund_id: str
    payment_id: str
    status: str
    amount_minor: int
    currency: str
    updated_at: datetime | None
    profile_id: str
    error_code: str
    error_message: str
    read_at: datetime | None = None


@dataclass(frozen=True)
class RemoteDispute:
    """A dispute at Hyperswitch. `status` is Hyperswitch's own, such as `dispute_opened`."""

    dispute_id: str
    payment_id: str
    status: str
    stage: str
    amount_minor: int
    currency: str
    profile_id: str
    reason: str
    evidence_due_at: datetime | None


@dataclass(frozen=True)
class RemoteMandate:
    """A payer's consent at Hyperswitch to be charged by a saved method without them. It names no customer."""

    mandate_id: str
    payment_method_id: str
    status: str
    profile_id: str


def parse_payment(payload: Mapping[str, Any], *, heard_at: datetime | None = None) -> RemotePayment:
    """Parse a `PaymentsResponse` that reached us at `heard_at`, or now. Raises Unreadable, naming the field."""
    link, currency = payload.get("payment_link"), _currency(payload)
    return RemotePayment(
        payment_id=_id(payload, "payment_id"),
        status=_text(payload, "status"),
        amount_minor=_minor(payload, "amount", currency),
        received_minor=None if payload.get("amount_received") is None else _minor(payload, "amount_received", currency),
        currency=currency,
        updated_at=_clock(payload, "updated", heard_at),
        profile_id=_optional(payload, "profile_id"),
        payment_url=_optional(link, "link") if isinstance(link, Mapping) else "",
        client_secret=_optional(payload, "client_secret"),
        payment_method_id=_optional(payload, "payment_method_id")[:_ID_LENGTH],
        error_code=_optional(payload, "error_code")[:100],
        error_message=_optional(payload, "error_message")[:500],
        decline_details=_decline_details(payload),
        card_expires_on=_card_expires_on(payload),
    )


def parse_refund(payload: Mapping[str, Any], *, heard_at: datetime | None = None) -> RemoteRefund:
    """Parse a `RefundResponse` that reached us at `heard_at`, or now. Raises Unreadable, naming the field."""
    currency = _currency(payload)
    return RemoteRefund(
        refund_id=_id(payload, "refund_id"),
        payment_id=_id(payload, "payment_id"),
        status=_text(payload, "status"),
        amount_minor=_minor(payload, "amount", currency),
        currency=currency,
        updated_at=_clock(payload, "updated_at", heard_at),
        profile_id=_optional(payload, "profile_id"),
        error_code=_optional(payload, "error_code")[:100],
        error_message=_optional(payload, "error_message")[:500],
    )


def parse_dispute(payload: Mapping[str, Any]) -> RemoteDispute:
    """Parse a `DisputeResponse`, whose amount is text in minor units. Raises Unreadable, naming the field."""
    currency = _currency(payload)
    reason = " ".join(
        part for part in (_optional(payload, "connector_reason_code"), _optional(payload, "connector_reason"))
    )
    return RemoteDispute(
        dispute_id=_id(payload, "dispute_id"),
        payment_id=_id(payload, "payment_id"),
        status=_text(payload, "dispute_status"),
        stage=_text(payload, "dispute_stage"),
        amount_minor=_minor_as_text(payload, "amount", currency),
        currency=currency,
        profile_id=_optional(payload, "profile_id"),
        reason=reason.strip()[:300],
        evidence_due_at=_time(payload, "challenge_required_by"),
    )


def parse_mandate(payload: Mapping[str, Any]) -> RemoteMandate:
    """Parse a `MandateResponse`. Raises Unreadable, naming the field."""
    return RemoteMandate(
        mandate_id=_id(payload, "mandate_id"),
        payment_method_id=_id(payload, "payment_method_id"),
        status=_text(payload, "status"),
        profile_id=_optional(payload, "profile_id"),
    )


def _id(payload: Mapping[str, Any], name: str) -> str:
    value = _text(payload, name)
    if len(value) > _ID_LENGTH:
        raise Unreadable(f"{name} should be an id of at most {_ID_LENGTH} characters and has {len(value)}")
    return value


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value or len(value) > 255 or not value.isprintable():
        raise Unreadable(f"{name} should be text and is {_describe(value)}")
    return value


def _optional(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _currency(payload: Mapping[str, Any]) -> str:
    currency = _text(payload, "currency").upper()
    if currency not in HYPERSWITCH_AMOUNTS.decimals:
        raise Unreadable(f"currency should be a code of ISO 4217 and is {_describe(currency)}")
    return currency


def _minor_as_text(payload: Mapping[str, Any], name: str, currency: str) -> int:
    value = payload.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        return _minor({name: int(value)}, name, currency)
    return _minor(payload, name, currency)


def _minor(payload: Mapping[str, Any], name: str, currency: str) -> int:
    value = payload.get(name)
    if type(value) is not int or not 0 <= value <= MAX_MINOR:
        raise Unreadable(f"{name} should be an integer of minor units and is {_describe(value)}")
    try:
        amount_minor = HYPERSWITCH_AMOUNTS.from_wire(value, currency)
    except Inexpressible as error:
        raise Unreadable(f"{name}: {error}") from None
    if amount_minor > MAX_MINOR:
        raise Unreadable(f"{name} is too large for {currency}: {_describe(value)}")
    return amount_minor


def _time(payload: Mapping[str, Any], name: str) -> datetime | None:
    value = payload.get(name)
    if value is None:
        return None
    try:
        at = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.year not in _YEARS:
        raise Unreadable(f"{name} should be a time with a zone and is {_describe(value)}")
    return at


def _clock(payload: Mapping[str, Any], name: str, heard_at: datetime | None) -> datetime | None:
    """When Hyperswitch last changed the object: not after we heard of it, or everything later would be outdated."""
    at, heard_at = _time(payload, name), heard_at or timezone.now()
    return heard_at if at is not None and at > heard_at + _AHEAD else at


def _describe(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!a}"


def _decline_details(payload: Mapping[str, Any]) -> str:
    """The codes of a decline, each with who reports it: `reason:card_lost_or_stolen advice:do_not_retry issuer:41`.

    Beside the connector's own `error_code` there is what the issuer, the network and Hyperswitch's own comparison of
    connectors say (`error_details` of a `PaymentsResponse`), as words that the floors above can look up.
    """
    details = _inner(payload, "error_details")
    unified, issuer = _inner(details, "unified_details"), _inner(details, "issuer_details")
    words = {
        "reason": unified.get("standardised_code"),
        "advice": unified.get("recommended_action"),
        "issuer": issuer.get("code") or payload.get("issuer_error_code"),
        "network": _inner(issuer, "network_details").get("advice_code"),
    }
    text = " ".join(f"{source}:{word}" for source, word in words.items() if _is_word(word))
    return text[:_DETAILS_LENGTH]


def _card_expires_on(payload: Mapping[str, Any]) -> date | None:
    """The last day on which the payment's card is valid; None if it is no card, or Hyperswitch does not say."""
    card = _inner(_inner(payload, "payment_method_data"), "card")
    month, year = _number(card.get("card_exp_month")), _number(card.get("card_exp_year"))
    year += 2000 if year < 100 else 0
    if not (1 <= month <= 12 and 2000 < year < 2100):
        return None
    return date(year, month, monthrange(year, month)[1])


def _inner(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    return value if isinstance(value, Mapping) else {}


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 45 and value.isascii() and value.replace("_", "").isalnum()


def _number(value: object) -> int:
    """The number that a text of up to four digits writes; 0 for anything else."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 4 else 0
