"""How a provider writes amounts. Each provider's client has a table of its own and converts with it, and nothing else
does: everywhere between the two clients an amount is in minor units by ISO 4217 (`veza.core.money`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from veza.core.money import exponent, format_amount


class Inexpressible(ValueError):
    """An amount, or a currency, that one of the two sides cannot write."""


@dataclass(frozen=True)
class WireTable:
    """One provider's currencies: how many decimals its integers have, and of what they must be a multiple."""

    provider: str
    decimals: Mapping[str, int]
    multiples: Mapping[str, int] = field(default_factory=dict)

    def knows(self, currency: str) -> bool:
        """Whether the provider moves amounts of `currency`."""
        try:
            self._ratio(currency)
        except Inexpressible:
            return False
        return True

    def to_wire(self, amount_minor: int, currency: str) -> int:
        """The provider's integer for `amount_minor` minor units of `currency`, exactly. Raises Inexpressible."""
        numerator, denominator = self._ratio(currency)
        amount, rest = divmod(amount_minor * numerator, denominator)
        if rest or amount % self.multiples.get(currency, 1):
            step = format_amount(self.step_minor(currency), currency)
            raise Inexpressible(
                f"{format_amount(amount_minor, currency)} is not a multiple of {step}, the smallest amount that "
                f"{self.provider} moves"
            )
        return amount

    def from_wire(self, amount: int, currency: str) -> int:
        """The minor units of `currency` that the provider's integer stands for, exactly. Raises Inexpressible."""
        numerator, denominator = self._ratio(currency)
        amount_minor, rest = divmod(amount * denominator, numerator)
        if rest:
            raise Inexpressible(f"{amount} of {self.provider} is no whole number of minor units of {currency}")
        return amount_minor

    def step_minor(self, currency: str) -> int:
        """The smallest amount that the provider moves, in minor units of `currency`. Raises Inexpressible."""
        numerator, denominator = self._ratio(currency)
        return max(1, self.multiples.get(currency, 1) * denominator // numerator)

    def _ratio(self, currency: str) -> tuple[int, int]:
        """Wire units for so many minor units, as powers of ten of which one is 1."""
        if currency not in self.decimals:
            raise Inexpressible(f"{self.provider} does not know the currency {currency}")
        try:
            difference = self.decimals[currency] - exponent(currency)
        except ValueError:  # Withdrawn, such as HRK: a provider may list it still.
            raise Inexpressible(f"{currency} is no currency of ISO 4217 any more") from None
        return 10 ** max(0, difference), 10 ** max(0, -difference)
