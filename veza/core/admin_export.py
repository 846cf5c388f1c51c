"""A list as a file for a spreadsheet: streamed, in bounded memory, and with nothing in it that a spreadsheet runs."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

from veza.core.money import exponent

CHUNK = 1_000
# What makes a spreadsheet read a cell as a formula, their full-width twins included.
_FORMULA = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001  # These four are meant.
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class _Line:
    """What the csv writer writes to: each line is handed on at once."""

    def write(self, line: str) -> str:
        return line


def lines_of(rows: "models.QuerySet[Any]", fields: list["models.Field[Any, Any]"]) -> Iterator[str]:
    """The rows, newest first, one line each under a line of names. Amounts are in whole units beside their currency.

    Every thousand rows are a query of their own that goes on behind the last id, so that a large file neither holds a
    transaction open nor runs into the end of a statement's time.
    """
    writer = csv.writer(_Line())
    yield writer.writerow([_name(field) for field in fields])
    waiting = rows.order_by("-pk")
    while chunk := list(waiting[:CHUNK]):
        for row in chunk:
            yield writer.writerow([harmless(_written(row, field)) for field in fields])
        waiting = rows.order_by("-pk").filter(pk__lt=chunk[-1].pk)


def harmless(text: str) -> str:
    """`text` so that no spreadsheet takes it for a formula. A plain negative number stays a number."""
    begins = text.lstrip(" ")[:1]
    return f"'{text}" if begins and begins in _FORMULA and not _NUMBER.fullmatch(text) else text


def _name(field: "models.Field[Any, Any]") -> str:
    return field.attname.removesuffix("_minor")


def _written(row: Any, field: "models.Field[Any, Any]") -> str:
    value = getattr(row, field.attname)
    if value is None:
        return ""
    currency = getattr(row, "currency", None)
    if field.name.endswith("_minor") and currency:
        return str(Decimal(value).scaleb(-exponent(currency)))
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return str(value)
