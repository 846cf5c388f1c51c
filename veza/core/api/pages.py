"""Cursor pagination, newest first."""

import re
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import APIException, NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

_WHOLE_NUMBER = re.compile(r"[0-9]{1,4}")


class BadPage(APIException):
    status_code = 400
    default_code = "bad_page"
    default_detail = "This cursor was not made by this list. Leave it out to start at the newest."


class NewestFirst(CursorPagination):
    """Pages by cursor: the millionth row costs what the first does, and rows that arrive move nothing.

    A view with another order sets `newest_by`, the id last:
    `newest_by = ("-completed_at", "-id")`.
    """

    ordering = ("-created_at", "-id")
    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        if ordering := getattr(view, "newest_by", None):
            return tuple(ordering)
        return super().get_ordering(request, queryset, view)

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if _WHOLE_NUMBER.fullmatch(text) and 1 <= int(text) <= self.max_page_size:
            return int(text)
        raise BadPage(f"page_size is a whole number from 1 to {self.max_page_size}.")

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            return super().decode_cursor(request)
        except NotFound:
            raise BadPage from None

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError):
            # The position inside the cursor is no value of the column: it belongs to another list, or is invented.
            raise BadPage from None
