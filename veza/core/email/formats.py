"""Amounts, days and moments as a reader of the active language writes them, in the active time zone."""

from datetime import date, datetime
from decimal import Decimal

from babel import Locale, dates, numbers
from django.utils import timezone
from django.utils.translation import get_language

from veza.core.money import exponent

_LOCALES = {"en": Locale("en", "GB"), "fr": Locale("fr", "FR")}


def money(amount_minor: int, currency: str) -> str:
    """The amount in whole units: `€1,234.50` or `1 234,50 €`. Never rounded."""
    amount = Decimal(amount_minor).scaleb(-exponent(currency))
    return numbers.format_currency(amount, currency, locale=_locale(), decimal_quantization=False)


def percent(basis_points: int) -> str:
    """A rate in hundredths of a percent: `20%` or `5.5%`."""
    return numbers.format_percent(Decimal(basis_points).scaleb(-4), locale=_locale(), decimal_quantization=False)


def day(at: date) -> str:
    """A day: `29 November 2026`. A time is given as its day in the reader's time zone."""
    if isinstance(at, datetime):
        at = at.astimezone(timezone.get_current_timezone())
    text = dates.format_date(at, format="long", locale=_locale())
    # The locale data has no ordinal, and French writes the first of a month as one.
    return text.replace("1 ", "1er ", 1) if _locale().language == "fr" and at.day == 1 else text


def moment(at: datetime) -> str:
    """A moment: `29 November 2026, 14:05 (UTC)`."""
    zone = timezone.get_current_timezone()
    time = dates.format_time(at, format="HH:mm", tzinfo=zone, locale=_locale())
    return f"{day(at)}, {time} ({timezone.get_current_timezone_name()})"


def _locale() -> Locale:
    return _LOCALES[(get_language() or "en")[:2]]
