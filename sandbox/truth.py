"""The ground truth: every movement of money, and every call."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.clock import now, stamp

MAX_CALLS = 20_000


@dataclass(frozen=True)
class Movement:
    """Money that moved. A negative amount undoes an earlier movement of the same object."""

    kind: str  # payment | refund | dispute | transfer | reversal | payout
    id: str
    amount: int
    currency: str
    parent: str | None
    at: str


@dataclass
class Call:
    method: str
    path: str
    route: str
    id: str | None
    idempotency_key: str | None
    at: str
    executed: bool = False
    status: int | None = None  # as sent; None: the caller got no complete answer
    fault: str | None = None


class Truth:
    def __init__(self) -> None:
        self.movements: list[Movement] = []
        self.calls: deque[Call] = deque(maxlen=MAX_CALLS)
        self.counts: Counter[str] = Counter()

    def record_movement(self, kind: str, object_id: str, amount: int, currency: str, parent: str | None = None) -> None:
        if amount:
            self.movements.append(Movement(kind, object_id, amount, currency.upper(), parent, stamp(now())))

    def record_call(self, call: Call) -> None:
        self.calls.append(call)
        self.counts[f"{call.method} {call.route}"] += 1

    def totals(self) -> dict[str, dict[str, int]]:
        """Per kind and currency: the sum of its movements."""
        totals: dict[str, dict[str, int]] = {}
        for movement in self.movements:
            sums = totals.setdefault(movement.kind, {})
            sums[movement.currency] = sums.get(movement.currency, 0) + movement.amount
        return totals

    def movements_as_json(self) -> list[dict[str, Any]]:
        return [asdict(movement) for movement in self.movements]

    def calls_as_json(self) -> list[dict[str, Any]]:
        return [asdict(call) for call in self.calls]
