"""The lines of an order history and of a proof. Each app writes its own; the back-office merges them."""

from dataclasses import dataclass
from datetime import datetime

from veza.core.money import format_amount


@dataclass(frozen=True)
class TimelineLine:
    """`text` is a plain sentence; `kind` is one of action, open, move, posting, call, delivery, email, review."""

    at: datetime
    text: str
    kind: str


@dataclass(frozen=True)
class ProofLine:
    """One term of a proof: the amount in the ledger and whether the rows agree with it."""

    label: str
    booked_minor: int
    currency: str
    holds: bool

    @property
    def amount(self) -> str:
        return format_amount(self.booked_minor, self.currency)
