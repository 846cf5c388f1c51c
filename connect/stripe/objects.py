"""Snapshots of Stripe's transfers, reversals, accounts and payouts, parsed strictly from its JSON.

Amounts must be integers (a bool is none), ids text and lists lists; anything else is an Unreadable, never a guess, and
never a value that our columns cannot hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connect.stripe.currencies import STRIPE_AMOUNTS
from connect.stripe.restrictions import may_receive
from veza.core.money import MAX_MINOR
from veza.core.wire_amounts import Inexpressible

# Longer ids than Stripe's, which are about 30 characters: what our columns hold.
_ID_LENGTH = 64
_STATUS_LENGTH = 40
_REASON_LENGTH = 100
_LAST_SECOND = 253_402_300_799  # Of the year 9999.


class Unreadable(ValueError):
    """The object lacks a field we need, the field is of the wrong kind, or it contradicts what we have."""


@dataclass(frozen=True)
class RemoteReversal:
    """One reversal at Stripe. `our_id` is the intent it was made for, "" when it is not ours."""

    reversal_id: str
    transfer_id: str
    amount_minor: int
    our_id: str


@dataclass(frozen=True)
class RemoteTransfer:
    """A transfer at Stripe. `our_id` is our row, "" when it is not ours.

    `reversals` are the newest ten, or all of them (`has_more_reversals` is false). Stripe's own field `reversed` stays
    false after a partial reversal: only the amount tells.
    """

    transfer_id: str
    amount_minor: int
    reversed_minor: int
    currency: str
    destination: str
    transfer_group: str
    our_id: str
    order_id: str
    reversals: tuple[RemoteReversal, ...]
    has_more_reversals: bool = False


@dataclass(frozen=True)
class RemoteAccount:
    """A connected account at Stripe. Only an active `transfers` capability lets money in, and never a barred account.

    `disabled_reason` and `transfers_status` are Stripe's words; `transfers_active` follows from both.
    """

    account_id: str
    transfers_active: bool
    payouts_enabled: bool
    details_submitted: bool
    country: str
    currently_due: tuple[str, ...] = ()
    disabled_reason: str = ""
    transfers_status: str = ""


@dataclass(frozen=True)
class RemoteCapability:
    """The capability of an account to do one thing, such as `transfers`. `account_id` is "" when it is not named."""

    name: str
    account_id: str
    status: str
    disabled_reason: str


@dataclass(frozen=True)
class OnboardingLink:
    """Where a seller goes to finish their account. `expires_at` is in Unix seconds."""

    url: str
    expires_at: int


@dataclass(frozen=True)
class RemotePayout:
    """A payout at Stripe. `our_id` is our row, "" when it is not ours; `status` is Stripe's."""

    payout_id: str
    amount_minor: int
    currency: str
    status: str
    our_id: str
    failure_code: str
    failure_message: str


@dataclass(frozen=True)
class Page:
    """One page of a list of transfers, newest first."""

    transfers: tuple[RemoteTransfer, ...]
    has_more: bool


def parse_transfer(payload: Mapping[str, Any]) -> RemoteTransfer:
    """Read a `transfer`. Raises Unreadable, naming the field."""
    reversals, currency = _mapping(payload, "reversals"), _currency(payload)
    return RemoteTransfer(
        transfer_id=_id(payload, "id"),
        amount_minor=_minor(payload, "amount", currency),
        reversed_minor=_minor(payload, "amount_reversed", currency),
        currency=currency,
        destination=_optional(payload, "destination"),
        transfer_group=_optional(payload, "transfer_group"),
        our_id=_metadata(payload, "transfer_id"),
        order_id=_metadata(payload, "order_id"),
        reversals=tuple(parse_reversal(one) for one in _list(reversals, "data")),
        has_more_reversals=bool(reversals.get("data")) and reversals.get("has_more") is True,
    )


def parse_reversal(payload: Mapping[str, Any]) -> RemoteReversal:
    """Read a `transfer_reversal`. Raises Unreadable, naming the field."""
    return RemoteReversal(
        reversal_id=_id(payload, "id"),
        transfer_id=_id(payload, "transfer"),
        amount_minor=_minor(payload, "amount", _currency(payload)),
        our_id=_metadata(payload, "reversal_id"),
    )


def parse_account(payload: Mapping[str, Any]) -> RemoteAccount:
    """Read an `account`. Raises Unreadable, naming the field."""
    transfers_status = _optional(_mapping(payload, "capabilities"), "transfers")[:_STATUS_LENGTH]
    requirements = _mapping(payload, "requirements")
    disabled_reason = _optional(requirements, "disabled_reason")[:_REASON_LENGTH]
    return RemoteAccount(
        account_id=_id(payload, "id"),
        transfers_active=may_receive(transfers_status, disabled_reason),
        payouts_enabled=payload.get("payouts_enabled") is True,
        details_submitted=payload.get("details_submitted") is True,
        country=_optional(payload, "country")[:2],
        currently_due=_texts(requirements, "currently_due"),
        disabled_reason=disabled_reason,
        transfers_status=transfers_status,
    )


def parse_capability(payload: Mapping[str, Any]) -> RemoteCapability:
    """Read a `capability`. Raises Unreadable, naming the field."""
    return RemoteCapability(
        name=_text(payload, "id"),
        account_id=_optional(payload, "account"),
        status=_text(payload, "status")[:_STATUS_LENGTH],
        disabled_reason=_optional(_mapping(payload, "requirements"), "disabled_reason")[:_REASON_LENGTH],
    )


def parse_link(payload: Mapping[str, Any]) -> OnboardingLink:
    """Read an `account_link`. Raises Unreadable, naming the field."""
    url = payload.get("url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Unreadable("url should be an address")
    return OnboardingLink(url, _seconds(payload, "expires_at"))


def parse_balance(payload: Mapping[str, Any]) -> dict[str, int]:
    """Read what a `balance` has available, by currency. It may be below zero. Raises Unreadable."""
    if payload.get("available") is None:
        raise Unreadable("available is missing")
    available = _list(payload, "available")
    return {(currency := _currency(one)): _signed_minor(one, "amount", currency) for one in available}


def parse_payout(payload: Mapping[str, Any]) -> RemotePayout:
    """Read a `payout`. Raises Unreadable, naming the field."""
    currency = _currency(payload)
    return RemotePayout(
        payout_id=_id(payload, "id"),
        amount_minor=_signed_minor(payload, "amount", currency),
        currency=currency,
        status=_text(payload, "status"),
        our_id=_metadata(payload, "payout_id"),
        failure_code=_optional(payload, "failure_code")[:100],
        failure_message=_optional(payload, "failure_message")[:500],
    )


def parse_payout_page(payload: Mapping[str, Any]) -> tuple[list[RemotePayout], bool]:
    """Read a list of payouts, and whether there are more. Raises Unreadable."""
    data, has_more = _page(payload)
    return [parse_payout(one) for one in data], has_more


def parse_reversal_page(payload: Mapping[str, Any]) -> tuple[list[RemoteReversal], bool]:
    """Read a list of reversals, and whether there are more. Raises Unreadable."""
    data, has_more = _page(payload)
    return [parse_reversal(one) for one in data], has_more


def parse_transfer_page(payload: Mapping[str, Any]) -> Page:
    """Read a list of transfers. Raises Unreadable."""
    data, has_more = _page(payload)
    return Page(tuple(parse_transfer(one) for one in data), has_more)


def _page(payload: Mapping[str, Any]) -> tuple[list[Any], bool]:
    data, has_more = payload.get("data"), payload.get("has_more")
    if not isinstance(data, list) or not isinstance(has_more, bool):
        raise Unreadable("the list has no data, or no has_more")
    return data, has_more


def _id(payload: Mapping[str, Any], name: str) -> str:
    value = _text(payload, name)
    if len(value) > _ID_LENGTH:
        raise Unreadable(f"{name} should be an id of at most {_ID_LENGTH} characters and has {len(value)}")
    return value


def _currency(payload: Mapping[str, Any]) -> str:
    currency = _text(payload, "currency").upper()
    if currency not in STRIPE_AMOUNTS.decimals:
        raise Unreadable(f"currency should be a code of ISO 4217 and is {_describe(currency)}")
    return currency


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name) if isinstance(payload, Mapping) else None
    if not isinstance(value, str) or not value or len(value) > 255:
        raise Unreadable(f"{name} should be text and is {_describe(value)}")
    return value


def _optional(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else ""


def _metadata(payload: Mapping[str, Any], name: str) -> str:
    metadata = payload.get("metadata")
    return _optional(metadata, name) if isinstance(metadata, Mapping) else ""


def _mapping(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that may be absent: then it is empty."""
    value = payload.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise Unreadable(f"{name} should be an object and is {_describe(value)}")
    return value or {}


def _list(payload: Mapping[str, Any], name: str) -> list[Any]:
    """A list that may be absent: then it is empty."""
    value = payload.get(name)
    if value is not None and not isinstance(value, list):
        raise Unreadable(f"{name} should be a list and is {_describe(value)}")
    return value or []


def _texts(payload: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = _list(payload, name)
    if not all(isinstance(text, str) for text in texts):
        raise Unreadable(f"{name} should be a list of texts")
    return tuple(text.replace("\0", "\ufffd")[:200] for text in texts[:50])


def _signed_minor(payload: Mapping[str, Any], name: str, currency: str) -> int:
    """An amount that may be below zero at Stripe: a debit of the bank, or a negative balance."""
    value = payload.get(name)
    if type(value) is not int or abs(value) > MAX_MINOR:
        raise Unreadable(f"{name} should be an integer of minor units and is {_describe(value)}")
    try:
        amount_minor = STRIPE_AMOUNTS.from_wire(value, currency)
    except Inexpressible as error:
        raise Unreadable(f"{name}: {error}") from None
    if abs(amount_minor) > MAX_MINOR:
        raise Unreadable(f"{name} is too large for {currency}: {_describe(value)}")
    return amount_minor


def _minor(payload: Mapping[str, Any], name: str, currency: str) -> int:
    amount_minor = _signed_minor(payload, name, currency)
    if amount_minor < 0:
        raise Unreadable(f"{name} should not be negative and is {amount_minor}")
    return amount_minor


def _seconds(payload: Mapping[str, Any], name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:
        raise Unreadable(f"{name} should be a time in Unix seconds and is {_describe(value)}")
    return value


def _describe(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!a}"
