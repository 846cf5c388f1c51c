"""The ports of payments: what follows on the floors above when the money of an order or an invoice moves.

This floor defines the ports and imports no implementation; `veza/wiring.py` assigns them, one set for each purpose of a
payment. Everything runs in the transaction of the event: an error rolls the event back, and nothing here calls a
provider.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from payments.ledger.allocations import Allocation
from payments.models import Dispute, Payment, Refund
from veza.core.causes import Cause


class LockPurchase(Protocol):
    def __call__(self, payment: Payment, /) -> object: ...


class MayCollect(Protocol):
    def __call__(self, payment: Payment, /) -> bool: ...


class FollowPayment(Protocol):
    def __call__(self, payment: Payment, /, *, cause: Cause, at: datetime) -> None: ...


class FollowRefund(Protocol):
    def __call__(self, refund: Refund, /, *, cause: Cause, at: datetime) -> None: ...


class FollowOpening(Protocol):
    def __call__(self, refund: Refund, /) -> None: ...


class FollowDispute(Protocol):
    def __call__(self, dispute: Dispute, /, *, cause: Cause, at: datetime) -> None: ...


class AllocateRefund(Protocol):
    def __call__(self, refund: Refund, /) -> Allocation: ...


class FollowRevocation(Protocol):
    def __call__(self, payment_method_id: str, /, *, cause: Cause, at: datetime) -> UUID | None: ...


class FollowSetup(Protocol):
    def __call__(
        self, correlation_id: UUID, payment_method_id: str, card_expires_on: date | None, /, *, at: datetime
    ) -> bool: ...


@dataclass(frozen=True)
class Purchase:
    """What follows for the order or invoice that a payment pays for.

    `lock` locks and reads it before anything is written; the others find it read. `may_collect` locks it too, and says
    whether its money is still wanted: it is asked before every call that could collect it.
    `allocate_external_refund` says whose money an external refund is; `reallocate_refund` says it again for a refund
    about to be booked after others took from the same payment. Both return
    {ledger account: minor units of the refund's currency}, which add up to the refund. `doubt_ended` follows a payment
    that is not in doubt any more: what waited for that may proceed.
    """

    lock: LockPurchase
    may_collect: MayCollect
    payment_succeeded: FollowPayment
    payment_failed: FollowPayment
    doubt_ended: FollowPayment
    refund_opened: FollowOpening
    refund_succeeded: FollowRefund
    refund_failed: FollowRefund
    refund_returned: FollowRefund
    dispute_changed: FollowDispute
    allocate_external_refund: AllocateRefund
    reallocate_refund: AllocateRefund


_purchases: dict[str, Purchase] = {}


def assign_purchases(purchases: Mapping[Payment.Purpose, Purchase]) -> None:
    """Set the implementations, once, when the process starts. Every purpose needs a set."""
    assert set(purchases) == set(Payment.Purpose), "every purpose of a payment has its implementations"
    _purchases.update({purpose.value: purchase for purpose, purchase in purchases.items()})


def purchase_of(payment: Payment) -> Purchase:
    """The implementations for the order or invoice that `payment` pays for."""
    return _purchases[payment.purpose]


@dataclass(frozen=True)
class SavedMethods:
    """What follows when a payer revokes a saved method, which is not charged again, or saves one without paying.

    `method_revoked` returns the correlation id of what the method was charged for, None if it was not in use.
    `method_saved` returns whether the method will be charged.
    """

    method_revoked: FollowRevocation
    method_saved: FollowSetup


_saved_methods: list[SavedMethods] = []


def assign_saved_methods(implementation: SavedMethods) -> None:
    """Set the implementation, once, when the process starts."""
    _saved_methods[:] = [implementation]


def saved_methods() -> SavedMethods:
    """The implementation of what follows for saved methods."""
    return _saved_methods[0]
