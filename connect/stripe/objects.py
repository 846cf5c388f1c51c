"""What Stripe says about a transfer, a reversal, an account or a payout, read strictly from its JSON.

Amounts must be integers (a bool is none) and ids text; anything else is an Unreadable, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from veza.core.money import MAX_MINOR


class Unreadable(ValueError):
    """The object lacks something we need, or it is of the wrong kind."""


@dataclass(frozen=True)
class ReversalSeen:
    """One reversal as Stripe sees it. `our_id` is the intent it was made for, "" when it is not ours."""

    reversal_id: str
    transfer_id: str
    amount_minor: int
    our_id: str


@dataclass(frozen=True)
class TransferSeen:
    """A transfer as Stripe sees it. `our_id` is our row, "" when it is not ours.

    `reversals` are the newest ten. Stripe's own field `reversed` stays false after a partial reversal: only
    the amount tells.
    """

    transfer_id: str
    amount_minor: int
    reversed_minor: int
    currency: str
    destination: str
    transfer_group: str
    our_id: str
    order_id: str
    reversals: tuple[ReversalSeen, ...]


@dataclass(frozen=True)
class AccountSeen:
    """A connected account as Stripe sees it. Only an active `transfers` capability lets money in."""

    account_id: str
    transfers_active: bool
    payouts_enabled: bool
    details_submitted: bool
    country: str
    currently_due: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkSeen:
    """Where a seller goes to finish their account. `expires_at` is in Unix seconds."""

    url: str
    expires_at: int


@dataclass(frozen=True)
class PayoutSeen:
    """A payout as Stripe sees it. `our_id` is our row, "" when it is not ours; `status` is Stripe's word."""

    payout_id: str
    amount_minor: int
    currency: str
    status: str
    our_id: str
    failure_code: str
    failure_message: str


@dataclass(frozen=True)
class Page:
    """Some of the transfers asked for, newest first."""

    transfers: tuple[TransferSeen, ...]
    has_more: bool


def read_transfer_object(said: Mapping[str, Any]) -> TransferSeen:
    """Read a `transfer`. Raises Unreadable, naming the field."""
    transfer_id = _text(said, "id")
    embedded = said.get("reversals")
    reversals = embedded.get("data") if isinstance(embedded, Mapping) else []
    return TransferSeen(
        transfer_id=transfer_id,
        amount_minor=_minor(said, "amount"),
        reversed_minor=_minor(said, "amount_reversed"),
        currency=_text(said, "currency").upper(),
        destination=_optional(said, "destination"),
        transfer_group=_optional(said, "transfer_group"),
        our_id=_metadata(said, "transfer_id"),
        order_id=_metadata(said, "order_id"),
        reversals=tuple(read_reversal_object(one) for one in reversals or ()),
    )


def read_reversal_object(said: Mapping[str, Any]) -> ReversalSeen:
    """Read a `transfer_reversal`. Raises Unreadable, naming the field."""
    return ReversalSeen(
        reversal_id=_text(said, "id"),
        transfer_id=_text(said, "transfer"),
        amount_minor=_minor(said, "amount"),
        our_id=_metadata(said, "reversal_id"),
    )


def read_account_object(said: Mapping[str, Any]) -> AccountSeen:
    """Read an `account`. Raises Unreadable, naming the field."""
    capabilities = said.get("capabilities")
    active = isinstance(capabilities, Mapping) and capabilities.get("transfers") == "active"
    return AccountSeen(
        account_id=_text(said, "id"),
        transfers_active=active,
        payouts_enabled=said.get("payouts_enabled") is True,
        details_submitted=said.get("details_submitted") is True,
        country=_optional(said, "country")[:2],
        currently_due=_currently_due(said),
    )


def read_link_object(said: Mapping[str, Any]) -> LinkSeen:
    """Read an `account_link`. Raises Unreadable, naming the field."""
    url = said.get("url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Unreadable("url should be an address")
    return LinkSeen(url, _minor(said, "expires_at"))


def read_balance_object(said: Mapping[str, Any]) -> dict[str, int]:
    """Read what a `balance` has available, by currency. It may be below zero. Raises Unreadable."""
    available = said.get("available")
    if not isinstance(available, list):
        raise Unreadable("available should be a list")
    return {_text(one, "currency").upper(): _signed(one, "amount") for one in available}


def read_payout_object(said: Mapping[str, Any]) -> PayoutSeen:
    """Read a `payout`. Raises Unreadable, naming the field."""
    return PayoutSeen(
        payout_id=_text(said, "id"),
        amount_minor=_signed(said, "amount"),
        currency=_text(said, "currency").upper(),
        status=_text(said, "status"),
        our_id=_metadata(said, "payout_id"),
        failure_code=_optional(said, "failure_code")[:100],
        failure_message=_optional(said, "failure_message")[:500],
    )


def read_payout_page(said: Mapping[str, Any]) -> tuple[list[PayoutSeen], bool]:
    """Read a list of payouts, and whether there are more. Raises Unreadable."""
    data, has_more = said.get("data"), said.get("has_more")
    if not isinstance(data, list) or not isinstance(has_more, bool):
        raise Unreadable("the list has no data or does not say whether there is more")
    return [read_payout_object(one) for one in data], has_more


def read_page(said: Mapping[str, Any]) -> Page:
    """Read a list of transfers. Raises Unreadable."""
    data, has_more = said.get("data"), said.get("has_more")
    if not isinstance(data, list) or not isinstance(has_more, bool):
        raise Unreadable("the list has no data or does not say whether there is more")
    return Page(tuple(read_transfer_object(one) for one in data), has_more)


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name) if isinstance(said, Mapping) else None
    if not isinstance(value, str) or not value or len(value) > 255:
        raise Unreadable(f"{name} should be text and is {_shown(value)}")
    return value


def _optional(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else ""


def _metadata(said: Mapping[str, Any], name: str) -> str:
    metadata = said.get("metadata")
    return _optional(metadata, name) if isinstance(metadata, Mapping) else ""


def _currently_due(said: Mapping[str, Any]) -> tuple[str, ...]:
    requirements = said.get("requirements")
    due = requirements.get("currently_due") if isinstance(requirements, Mapping) else None
    return tuple(str(one)[:200] for one in due or ())[:50]


def _signed(said: Mapping[str, Any], name: str) -> int:
    """An amount that Stripe may write below zero: a debit of the bank, or a balance that is owed."""
    value = said.get(name)
    if type(value) is not int or abs(value) > MAX_MINOR:
        raise Unreadable(f"{name} should be an integer of minor units and is {_shown(value)}")
    return value


def _minor(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value <= MAX_MINOR:
        raise Unreadable(f"{name} should be an integer of minor units and is {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
