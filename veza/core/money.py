"""Money is an integer number of minor units and a currency. Nothing here ever makes a float."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from iso4217 import Currency

_AMOUNT_OF_CURRENCY = re.compile(r"([A-Za-z]{3}):([0-9]{1,15})")
MAX_MINOR = 2**53 - 1  # Above this a JavaScript reader loses units.


def exponent(currency: str) -> int:
    """How many decimals `currency` has by ISO 4217. Raises ValueError for a code that is not a currency."""
    digits = Currency(currency).exponent
    if digits is None:
        raise ValueError(f"{currency} has no minor unit, so it cannot be charged")
    return int(digits)


# The smallest amount that every party moves, in minor units, where it is not one: Stripe wants 0 as the last of three
# decimals, and an ariary has no hundredths at either.
_SMALLEST_MINOR = {"BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10, "MGA": 100}


def smallest_minor(currency: str) -> int:
    """The smallest amount of `currency` that can be collected, transferred and refunded, in its minor units."""
    return _SMALLEST_MINOR.get(currency, 1)


def format_amount(amount_minor: int, currency: str) -> str:
    """The amount in whole units: `format_amount(123450, "EUR")` is `1,234.50 EUR`."""
    digits = exponent(currency)
    return f"{Decimal(amount_minor).scaleb(-digits):,.{digits}f} {currency}"


def format_amounts(by_currency: Mapping[str, int]) -> str:
    """Sums in words: `12.00 EUR, 3.00 USD`; empty for none."""
    return ", ".join(format_amount(amount_minor, currency) for currency, amount_minor in by_currency.items())


def parse_amounts(text: str) -> dict[str, int]:
    """Read minor units by currency, such as `EUR:50,USD:50`; `off` is none. Raises ValueError, naming the text."""
    amounts: dict[str, int] = {}
    for entry in [] if text.strip() == "off" else text.split(","):
        match = _AMOUNT_OF_CURRENCY.fullmatch(entry.strip())
        if match is None:
            raise ValueError(
                f"{entry.strip()!r} is not an amount of a currency: write minor units after its code, such as "
                "EUR:50,USD:50, or off"
            )
        currency = match[1].upper()
        if not _is_currency(currency):
            raise ValueError(f"{currency} is not a currency of ISO 4217")
        if currency in amounts:
            raise ValueError(f"{currency} has two amounts: write one")
        amounts[currency] = int(match[2])
    return amounts


def _is_currency(code: str) -> bool:
    try:
        return exponent(code) >= 0
    except ValueError:
        return False


def only_amount(by_currency: Mapping[str, int]) -> tuple[int, str]:
    """The sum and its currency if there is one alone, else `(0, "")`: sums of two currencies have no total."""
    if len(by_currency) != 1:
        return 0, ""
    ((currency, amount_minor),) = by_currency.items()
    return amount_minor, currency


def basis_points_of(amount_minor: int, basis_points: int, currency: str) -> int:
    """`basis_points` hundredths of a percent of `amount_minor` minor units of `currency`, in the same units.

    Rounded half up to the smallest amount that can be moved, if `amount_minor` is a multiple of it.
    """
    if amount_minor < 0 or basis_points < 0:
        raise ValueError("neither the amount nor the share may be negative")
    step = _step_of([amount_minor], currency)
    return (amount_minor * basis_points + 5_000 * step) // (10_000 * step) * step


def allocate(amount_minor: int, weights: Sequence[int], currency: str) -> list[int]:
    """Split `amount_minor` minor units of `currency` over `weights` by largest remainder.

    The parts add up to `amount_minor` exactly, none is negative, and none exceeds its weight as long as
    `amount_minor` does not exceed the sum of the weights. Equal remainders go to the earlier part. Each can be moved:
    it is a multiple of the smallest amount of `currency`, if `amount_minor` and the weights are.
    Raises ValueError when there is nothing to allocate over.
    """
    total = sum(weights)
    if amount_minor < 0 or any(weight < 0 for weight in weights):
        raise ValueError("neither the amount nor a weight may be negative")
    if total == 0:
        if amount_minor:
            raise ValueError(f"{amount_minor} cannot be spread over weights that are all zero")
        return [0] * len(weights)
    step = _step_of([amount_minor, *weights], currency)
    steps = amount_minor // step
    parts = [steps * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(steps * weights[i] % total), i))
    for i in by_remainder[: steps - sum(parts)]:
        parts[i] += 1
    return [part * step for part in parts]


def _step_of(amounts_minor: Sequence[int], currency: str) -> int:
    """The smallest amount of `currency`; a single minor unit if one of the amounts cannot be moved anyway."""
    step = smallest_minor(currency)
    return step if step == 1 or not any(amount_minor % step for amount_minor in amounts_minor) else 1
