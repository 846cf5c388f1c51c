"""The lines of a money timeline and of a proof. Each app writes its own; the back-office lays them side by side."""

from dataclasses import dataclass
from datetime import datetime

from veza.core.money import format_amount


@dataclass(frozen=True)
class TimelineLine:
    """`text` is a plain sentence; `kind` is one of act, open, move, posting, call, delivery, case."""

    at: datetime
    text: str
    kind: str


@dataclass(frozen=True)
class ProofLine:
    """One term of a proof: what the ledger says and, where a row knows it, whether the row agrees."""

    label: str
    booked_minor: int
    currency: str
    holds: bool

    @property
    def amount(self) -> str:
        return format_amount(self.booked_minor, self.currency)
