"""A list as a file for a spreadsheet: streamed, in bounded memory, without anything that a spreadsheet would run."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models

from veza.core.money import exponent

CHUNK = 1_000
# A cell that begins with one of these is read as a formula; their full-width twins are included.
_FORMULA = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001  # These four are meant.
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class _Line:
    """The csv writer writes to this: each line is passed on at once."""

    def write(self, line: str) -> str:
        return line


def lines_of(rows: "models.QuerySet[Any]", fields: list["models.Field[Any, Any]"]) -> Iterator[str]:
    """The rows, newest first, one line each under a line of names. Amounts are in whole units beside their currency.

    Every thousand rows are a query of their own that continues after the last id, so that a large file neither keeps a
    transaction open nor runs into the statement timeout.
    """
    writer = csv.writer(_Line())
    yield writer.writerow([_name(field) for field in fields])
    rest = rows.order_by("-pk")
    while chunk := list(rest[:CHUNK]):
        for row in chunk:
            yield writer.writerow([harmless(_cell(row, field)) for field in fields])
        rest = rows.order_by("-pk").filter(pk__lt=chunk[-1].pk)


def harmless(text: str) -> str:
    """`text` so that no spreadsheet takes it for a formula. A plain negative number stays a number."""
    begins = text.lstrip(" ")[:1]
    return f"'{text}" if begins and begins in _FORMULA and not _NUMBER.fullmatch(text) else text


def _name(field: "models.Field[Any, Any]") -> str:
    return field.attname.removesuffix("_minor")


def _cell(row: Any, field: "models.Field[Any, Any]") -> str:
    value = getattr(row, field.attname)
    if value is None:
        return ""
    currency = getattr(row, "currency", None)
    if field.name.endswith("_minor") and currency:
        return str(Decimal(value).scaleb(-exponent(currency)))
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return str(value)
