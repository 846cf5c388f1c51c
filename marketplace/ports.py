"""The port to the floor above: an order's sellers, who are paid or charged back when its money moves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from marketplace.models import Order
from veza.core.causes import Cause


class FollowOrder(Protocol):
    def __call__(self, order: Order, /, *, cause: Cause, at: datetime) -> None: ...


@dataclass(frozen=True)
class Sellers:
    """`order_completed` plans what each seller is paid; `order_money_changed` follows refunds and disputes."""

    order_completed: FollowOrder
    order_money_changed: FollowOrder


_implementations: list[Sellers] = []


def assign_sellers(sellers: Sellers) -> None:
    """Register the implementation, once, when the process starts."""
    _implementations[:] = [sellers]


def sellers() -> Sellers:
    """The registered implementation."""
    return _implementations[0]
