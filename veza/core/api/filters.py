"""Filters and orderings by allow-list: an unknown one is refused by name, never silently ignored."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.views import APIView

_PAGING = ("cursor", "page_size", "ordering", "format")


class AllowedFilters(DjangoFilterBackend):  # type: ignore[misc]  # The library is not typed.
    """django-filter, with unknown names refused: a filter with a typing error must not list everything."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        choices = list(self.get_filterset_class(view, queryset).base_filters)
        unknown = sorted(set(request.query_params) - {*choices, *_PAGING})
        if unknown:
            raise ValidationError({unknown[0]: f"There is no such filter. Use {', '.join(choices)}."})
        rows: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return rows


class AllowedOrdering(OrderingFilter):
    """`?ordering=`, from the view's `ordering_fields` only. Rows that are equal in it are ordered by their id."""

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> Sequence[str] | None:
        value = request.query_params.get(self.ordering_param)
        if value is None:
            return None
        choices = [sign + name for name in view.ordering_fields for sign in ("", "-")]  # type: ignore[attr-defined]
        if value not in choices:
            raise ValidationError({"ordering": f"{value!r} is not one of {', '.join(choices)}."})
        return (value, "-id" if value.startswith("-") else "id")
