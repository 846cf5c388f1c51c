"""A seller's statement as a file for a spreadsheet: streamed line by line, and no cell is a formula."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from connect.reporting.statement import InvalidPeriod, Line, statement_of
from veza.core.api.requests import user_id_of
from veza.core.money import exponent

COLUMNS = ("at", "kind", "order_id", "amount", "balance", "currency", "stripe_id", "cause", "note")
# A spreadsheet takes a cell that begins so for a formula, whatever follows.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Period(serializers.Serializer[Any]):
    """Both days are included, in UTC."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a keyword of Python and cannot be declared as an attribute.
        return {"from": serializers.DateField(), "to": serializers.DateField()}


class Csv(BaseRenderer):
    """Lets a caller say that they accept CSV. The view streams its own lines; only a problem is rendered here."""

    media_type, format, charset = "text/csv", "csv", "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return json.dumps(data, default=str).encode()


class Statement(APIView):
    renderer_classes = (JSONRenderer, Csv)

    @extend_schema(
        operation_id="get_statement",
        tags=["connect"],
        summary="Your statement as CSV",
        description="Every line of your account with us: sales, refunds, disputes, transfers and reversals, oldest "
        "first, with the balance after each. Amounts are in units of the currency. Both days are included, in UTC.",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATE, required=True),
            OpenApiParameter("to", OpenApiTypes.DATE, required=True),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The seller's own lines in a period."""
        params = Period(data=request.query_params)
        params.is_valid(raise_exception=True)
        first, last = params.validated_data["from"], params.validated_data["to"]
        if last == date.max:
            raise InvalidPeriod("The period ends on the last day there is. Ask for an earlier one.")
        lines = statement_of(user_id_of(request), since=_begin(first), until=_begin(last + timedelta(days=1)))
        response = StreamingHttpResponse(_csv_lines(lines), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="statement-{first}-{last}.csv"'
        return response


class _Echo:
    """A file that returns each line to its writer."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(lines: Iterable[Line]) -> Iterator[str]:
    write = csv.writer(_Echo()).writerow
    yield write(COLUMNS)
    for line in lines:
        yield write(_cells(line))


def _cells(line: Line) -> list[str]:
    texts = [safe(text) for text in (line.currency, line.stripe_id, line.reference, line.note)]
    amounts = [_plain(amount, line.currency) for amount in (line.amount_minor, line.balance_minor)]
    return [line.at.isoformat(timespec="seconds"), safe(line.kind), str(line.order_id), *amounts, *texts]


def safe(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(amount_minor: int, currency: str) -> str:
    """A number a spreadsheet can add up: `-12.50`. It is made of digits alone, so its minus is no formula."""
    digits = exponent(currency)
    sign, whole = "-" if amount_minor < 0 else "", str(abs(amount_minor)).rjust(digits + 1, "0")
    return f"{sign}{whole[:-digits]}.{whole[-digits:]}" if digits else f"{sign}{whole}"


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
