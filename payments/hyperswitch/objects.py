"""What Hyperswitch says about a payment, a refund or a dispute, read strictly from its JSON.

The same object arrives as the answer to a call and inside a webhook, so it is read in one place. Amounts must be
integers (a bool is none; a dispute's amount is text), currencies known, ids and statuses text; anything else is an
Unreadable, never a guess. `said` keeps the object as it was written, for whoever hands it on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from veza.core.money import MAX_MINOR, exponent


class Unreadable(ValueError):
    """The object lacks something we need, or it is of the wrong kind."""


@dataclass(frozen=True)
class PaymentSeen:
    """A payment as Hyperswitch sees it. `received_minor` is None when it did not say."""

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
    said: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class RefundSeen:
    refund_id: str
    payment_id: str
    status: str
    amount_minor: int
    currency: str
    updated_at: datetime | None
    profile_id: str
    error_code: str
    error_message: str
    said: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class DisputeSeen:
    """A dispute as Hyperswitch sees it. `status` is its own word, such as `dispute_opened`."""

    dispute_id: str
    payment_id: str
    status: str
    stage: str
    amount_minor: int
    currency: str
    profile_id: str
    reason: str
    answer_by: datetime | None
    said: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def read_payment_object(said: Mapping[str, Any]) -> PaymentSeen:
    """Read a `PaymentsResponse`. Raises Unreadable, naming the field."""
    link = said.get("payment_link")
    return PaymentSeen(
        payment_id=_text(said, "payment_id"),
        status=_text(said, "status"),
        amount_minor=_minor(said, "amount"),
        received_minor=None if said.get("amount_received") is None else _minor(said, "amount_received"),
        currency=_currency(said),
        updated_at=_time(said, "updated"),
        profile_id=_optional(said, "profile_id"),
        payment_url=_optional(link, "link") if isinstance(link, Mapping) else "",
        client_secret=_optional(said, "client_secret"),
        payment_method_id=_optional(said, "payment_method_id")[:64],
        error_code=_optional(said, "error_code")[:100],
        error_message=_optional(said, "error_message")[:500],
        said=said,
    )


def read_refund_object(said: Mapping[str, Any]) -> RefundSeen:
    """Read a `RefundResponse`. Raises Unreadable, naming the field."""
    return RefundSeen(
        refund_id=_text(said, "refund_id"),
        payment_id=_text(said, "payment_id"),
        status=_text(said, "status"),
        amount_minor=_minor(said, "amount"),
        currency=_currency(said),
        updated_at=_time(said, "updated_at"),
        profile_id=_optional(said, "profile_id"),
        error_code=_optional(said, "error_code")[:100],
        error_message=_optional(said, "error_message")[:500],
        said=said,
    )


def read_dispute_object(said: Mapping[str, Any]) -> DisputeSeen:
    """Read a `DisputeResponse`, whose amount is a text of minor units. Raises Unreadable, naming the field."""
    reason = " ".join(part for part in (_optional(said, "connector_reason_code"), _optional(said, "connector_reason")))
    return DisputeSeen(
        dispute_id=_text(said, "dispute_id")[:64],
        payment_id=_text(said, "payment_id"),
        status=_text(said, "dispute_status"),
        stage=_text(said, "dispute_stage"),
        amount_minor=_written_minor(said, "amount"),
        currency=_currency(said),
        profile_id=_optional(said, "profile_id"),
        reason=reason.strip()[:300],
        answer_by=_time(said, "challenge_required_by"),
        said=said,
    )


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or len(value) > 255 or not value.isprintable():
        raise Unreadable(f"{name} should be text and is {_shown(value)}")
    return value


def _optional(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _currency(said: Mapping[str, Any]) -> str:
    currency = _text(said, "currency").upper()
    try:
        exponent(currency)
    except ValueError:
        raise Unreadable(f"currency should be a code of ISO 4217 and is {_shown(currency)}") from None
    return currency


def _written_minor(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        return _minor({name: int(value)}, name)
    return _minor(said, name)


def _minor(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value <= MAX_MINOR:
        raise Unreadable(f"{name} should be an integer of minor units and is {_shown(value)}")
    return value


def _time(said: Mapping[str, Any], name: str) -> datetime | None:
    value = said.get(name)
    if value is None:
        return None
    try:
        read = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise Unreadable(f"{name} should be a time with a zone and is {_shown(value)}")
    return read


def _shown(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!a}"
