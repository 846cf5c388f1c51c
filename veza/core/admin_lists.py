"""Lists that stay fast on millions of rows: capped counts, filters that use an index, search by exact names and ids."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast, Reverse
from django.http import HttpRequest
from django.utils.functional import cached_property

from veza.core.ids import first_id_since, row_id
from veza.core.models import User
from veza.core.money import exponent

# Staff read the first pages of a list and then narrow it: the exact number of millions does not matter.
COUNTED_UP_TO = 10_000
_MAX_USERS = 100
_LAST_CHARACTERS = re.compile(r"[0-9a-f-]{4,36}")
_ENDING = "id__endswith"
_PROVIDER_PREFIXES = ("pay", "ref")


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # Django's class takes no parameter; its stub does.
    """Counts up to a limit, so that the count never reads a whole table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        count: int = rows.order_by()[:COUNTED_UP_TO].count()
        return count


def find(rows: "models.QuerySet[Any]", by: Sequence[str], term: str) -> "models.QuerySet[Any]":
    """The rows that `term` names: an id of ours or a provider's, an e-mail, or the last characters of an id.

    `by` are fields with an index; `id__endswith` means an index on the reversed id. `title__icontains`
    is for tables that stay small.
    """
    term = term.strip()
    key = as_key(term)
    if key is not None:
        return rows.filter(_any({name: key for name in by if _is(rows, name, models.UUIDField)}))
    if "@" in term:
        return rows.filter(_any({way: value for name in by for way, value in _people(rows, name, term)}))
    texts = {name: term for name in by if _is(rows, name, models.CharField) and not _is(rows, name, models.EmailField)}
    query = _any(texts)
    if _ENDING in by and _LAST_CHARACTERS.fullmatch(term.lower()):
        rows = rows.alias(backwards=Reverse(Cast("id", models.TextField())))
        query |= Q(backwards__startswith=term.lower()[::-1])
    return rows.filter(query)


def as_key(term: str) -> UUID | None:
    """The id of one of our rows in a search term: as a UUID, or in the form that a provider has it."""
    for prefix in _PROVIDER_PREFIXES:
        if key := row_id(prefix, term):
            return key
    try:
        return UUID(term)
    except ValueError:
        return None


def _any(lookups: dict[str, Any]) -> Q:
    either = Q(pk__in=[])
    for name, value in lookups.items():
        either |= Q(**{name: value})
    return either


def _is(rows: "models.QuerySet[Any]", name: str, kind: "type[models.Field[Any, Any]]") -> bool:
    if name == _ENDING:
        return False
    last = get_fields_from_path(rows.model, name.removesuffix("__icontains"))[-1]
    return isinstance(last, kind)


def _people(rows: "models.QuerySet[Any]", name: str, term: str) -> Iterator[tuple[str, Any]]:
    """Lookups of rows by a user's e-mail: the user ids are read first, so that an index finds the rows."""
    if not _is(rows, name, models.EmailField):
        return
    way, _, _ = name.rpartition("__")
    if not way:
        yield f"{name}__startswith", term.lower()
        return
    people = User.objects.filter(email__startswith=term.lower()).values_list("pk", flat=True)
    yield f"{way}__in", list(people[:_MAX_USERS])


class AgeFilter(admin.SimpleListFilter):
    """How long ago a row was made, by its id: the primary key is the index."""

    title, parameter_name = "age", "age"
    _young: ClassVar = {"1h": ("1 hour", 1), "24h": ("24 hours", 24), "7d": ("7 days", 168), "30d": ("30 days", 720)}
    _old: ClassVar = {"over30m": ("30 minutes", 0.5), "over24h": ("24 hours", 24), "over7d": ("7 days", 168)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        young = [(name, f"Within {label}") for name, (label, _) in self._young.items()]
        return young + [(name, f"Older than {label}") for name, (label, _) in self._old.items()]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        age = self.value()
        if age in self._young:
            return queryset.filter(pk__gte=first_id_since(timedelta(hours=self._young[age][1])))
        if age in self._old:
            return queryset.filter(pk__lt=first_id_since(timedelta(hours=self._old[age][1])))
        return queryset


class CurrencyFilter(admin.SimpleListFilter):
    title, parameter_name = "currency", "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code) for code in settings.CURRENCIES]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        return queryset.filter(currency=self.value()) if self.value() else queryset


class StuckFilter(admin.SimpleListFilter):
    """Rows that should have moved on by now, as the page's own `stuck` says."""

    title, parameter_name = "stuck", "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Overdue")]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        return self.model_admin.stuck(queryset) if self.value() else queryset

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.model_admin = model_admin
        super().__init__(request, params, model, model_admin)


class TypedFilter(admin.ListFilter):
    """A filter with text fields. `names` are its fields: the parameter and its label."""

    template = "admin/filter_typed.html"
    names: ClassVar[dict[str, str]] = {}

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.names:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1].strip()

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def text_of(self, name: str) -> str:
        return str(self.used_parameters.get(name) or "")

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        filters = changelist.get_filters_params()
        yield {
            "fields": [(name, label, self.text_of(name)) for name, label in self.names.items()],
            "others": [(name, one) for name, several in filters.items() if name not in self.names for one in several]
            + ([("q", changelist.query)] if changelist.query else []),
        }


class AmountFilter(TypedFilter):
    """From and up to an amount in whole units, such as 12.50; of the first currency unless another is chosen."""

    title = "amount"
    names: ClassVar = {"amount_from": "From", "amount_to": "Up to"}
    field = "amount_minor"

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        currency = request.GET.get("currency", "")
        digits = exponent(currency if currency in settings.CURRENCIES else settings.CURRENCIES[0])
        for name, lookup in (("amount_from", "gte"), ("amount_to", "lte")):
            minor = _minor(self.text_of(name), digits)
            if minor is not None:
                queryset = queryset.filter(**{f"{self.field}__{lookup}": minor})
        return queryset


class TotalFilter(AmountFilter):
    field = "total_minor"


class SellerFilter(TypedFilter):
    """A seller by the beginning of their e-mail."""

    title = "seller"
    names: ClassVar = {"seller": "E-mail"}
    way = "seller"

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        text = self.text_of("seller").lower()
        if not text:
            return queryset
        people = User.objects.filter(email__startswith=text).values_list("pk", flat=True)[:_MAX_USERS]
        return self.of(queryset, list(people))

    def of(self, queryset: "models.QuerySet[Any]", sellers: list[UUID]) -> "models.QuerySet[Any]":
        return queryset.filter(**{f"{self.way}__in": sellers})


def offered_lookups(filters: "Sequence[Any]") -> frozenset[str]:
    """The parameters that a list's own filters have. Others, though Django would take them, let staff guess what the
    page masks, character by character."""
    names: set[str] = set()
    for one in filters:
        if isinstance(one, str):
            names |= {f"{one}__exact", f"{one}__id__exact", f"{one}__isnull"}
        else:
            names |= set(getattr(one, "names", ())) or {one.parameter_name}
    return frozenset(names)


def _minor(text: str, digits: int) -> int | None:
    """An amount in whole units, such as 12.50, in minor units; None for anything else."""
    if not re.fullmatch(r"\d{1,12}([.,]\d{1,4})?", text):
        return None
    whole, _, rest = text.replace(",", ".").partition(".")
    units: int = 10**digits
    return int(whole) * units + int(f"{rest:0<{digits}}"[:digits] or 0)
