"""The port to the floor above: an order's sellers, who are paid or charged back when its money moves,
and whom Stripe may refuse."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.db.models import QuerySet

from marketplace.models import Order
from veza.core.causes import Cause


class FollowOrder(Protocol):
    def __call__(self, order: Order, /, *, cause: Cause, at: datetime) -> None: ...


class SellersInQuestion(Protocol):
    def __call__(self) -> QuerySet[Any, Any]: ...


class FollowSeller(Protocol):
    def __call__(self, seller_id: UUID, /) -> None: ...


class SumOfSeller(Protocol):
    def __call__(self, seller_id: UUID, /) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class Sellers:
    """`order_completed` plans what each seller is paid; `order_money_changed` follows refunds and disputes.

    `refused_by_stripe` is a question: the ids of the sellers whose account Stripe rejected, or to which it gives us no
    access, as a query that becomes a part of another.
    `money_released` follows the end of a restriction: what waited for it is due. `unsent_minor` is what is still to be
    sent to a seller: {currency: minor units}.
    """

    order_completed: FollowOrder
    order_money_changed: FollowOrder
    refused_by_stripe: SellersInQuestion
    money_released: FollowSeller
    unsent_minor: SumOfSeller


_implementations: list[Sellers] = []


def assign_sellers(sellers: Sellers) -> None:
    """Register the implementation, once, when the process starts."""
    _implementations[:] = [sellers]


def sellers() -> Sellers:
    """The registered implementation."""
    return _implementations[0]
