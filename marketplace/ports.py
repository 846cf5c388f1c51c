"""What the marketplace asks of the floor above: what follows for an order's sellers when its money moves."""

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


_assigned: list[Sellers] = []


def assign_sellers(sellers: Sellers) -> None:
    """Take the answers, once, when the process starts."""
    _assigned[:] = [sellers]


def sellers() -> Sellers:
    """What follows for the sellers of an order."""
    return _assigned[0]
