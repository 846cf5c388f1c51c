"""What Stripe says about a transfer, a reversal or an account, read strictly from its JSON.

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
    )


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


def _minor(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value <= MAX_MINOR:
        raise Unreadable(f"{name} should be an integer of minor units and is {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return "missing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
