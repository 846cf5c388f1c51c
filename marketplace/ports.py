"""The port to the floor above: an order's sellers, who are paid or charged back when its money moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from marketplace.models import Order
from veza.core.causes import Cause


class FollowOrder(Protocol):
    def __call__(self, order: Order, /, *, cause: Cause, at: datetime) -> None: ...


class FollowSeller(Protocol):
    def __call__(self, seller_id: UUID, /) -> None: ...


class SumOfSeller(Protocol):
    def __call__(self, seller_id: UUID, /) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class Sellers:
    """`order_completed` plans what each seller is paid; `order_money_changed` follows refunds and disputes.

    `money_released` follows the end of a restriction: what waited for it is due. `unsent_minor` is what is still to be
    sent to a seller: {currency: minor units}.
    """

    order_completed: FollowOrder
    order_money_changed: FollowOrder
    money_released: FollowSeller
    unsent_minor: SumOfSeller


_implementations: list[Sellers] = []


def assign_sellers(sellers: Sellers) -> None:
    """Register the implementation, once, when the process starts."""
    _implementations[:] = [sellers]


def sellers() -> Sellers:
    """The registered implementation."""
    return _implementations[0]
