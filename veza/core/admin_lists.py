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

# A person looks at the first pages of a list and then narrows it: nobody needs to know how many millions there are.
COUNTED_UP_TO = 10_000
_PEOPLE_LOOKED_AT = 100
_LAST_CHARACTERS = re.compile(r"[0-9a-f-]{4,36}")
_ENDING = "id__endswith"
_PROVIDER_PREFIXES = ("pay", "ref")


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # Django's class takes no parameter; its stub does.
    """Counts as far as a person pages, so that the count never reads a whole table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by()[:COUNTED_UP_TO].count()
        return counted


def find(rows: "models.QuerySet[Any]", by: Sequence[str], payload: str) -> "models.QuerySet[Any]":
    """The rows that `said` names: an id of ours or a provider's, an e-mail, or the last characters of an id.

    `by` are fields with an index; `id__endswith` stands for an index on the id written backwards. `title__icontains`
    is for tables that stay small.
    """
    payload = payload.strip()
    key = as_key(payload)
    if key is not None:
        return rows.filter(_any({name: key for name in by if _is(rows, name, models.UUIDField)}))
    if "@" in payload:
        return rows.filter(_any({way: value for name in by for way, value in _people(rows, name, payload)}))
    texts = {
        name: payload for name in by if _is(rows, name, models.CharField) and not _is(rows, name, models.EmailField)
    }
    wanted = _any(texts)
    if _ENDING in by and _LAST_CHARACTERS.fullmatch(payload.lower()):
        rows = rows.alias(backwards=Reverse(Cast("id", models.TextField())))
        wanted |= Q(backwards__startswith=payload.lower()[::-1])
    return rows.filter(wanted)


def as_key(payload: str) -> UUID | None:
    """The id of a row of ours inside what somebody typed: written out, or as a provider was given it."""
    for prefix in _PROVIDER_PREFIXES:
        if found := row_id(prefix, payload):
            return found
    try:
        return UUID(payload)
    except ValueError:
        return None


def _any(wanted: dict[str, Any]) -> Q:
    either = Q(pk__in=[])
    for name, value in wanted.items():
        either |= Q(**{name: value})
    return either


def _is(rows: "models.QuerySet[Any]", name: str, kind: "type[models.Field[Any, Any]]") -> bool:
    if name == _ENDING:
        return False
    last = get_fields_from_path(rows.model, name.removesuffix("__icontains"))[-1]
    return isinstance(last, kind)


def _people(rows: "models.QuerySet[Any]", name: str, payload: str) -> Iterator[tuple[str, Any]]:
    """The way to rows of a person with this e-mail: their ids are looked up first, so that an index finds the rows."""
    if not _is(rows, name, models.EmailField):
        return
    way, _, _ = name.rpartition("__")
    if not way:
        yield f"{name}__startswith", payload.lower()
        return
    people = User.objects.filter(email__startswith=payload.lower()).values_list("pk", flat=True)
    yield f"{way}__in", list(people[:_PEOPLE_LOOKED_AT])


class AgeFilter(admin.SimpleListFilter):
    """How long ago a row was made, by its id: the primary key is the index."""

    title, parameter_name = "age", "age"
    _young: ClassVar = {"1h": ("1 hour", 1), "24h": ("24 hours", 24), "7d": ("7 days", 168), "30d": ("30 days", 720)}
    _old: ClassVar = {"over30m": ("30 minutes", 0.5), "over24h": ("24 hours", 24), "over7d": ("7 days", 168)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        young = [(word, f"Within {label}") for word, (label, _) in self._young.items()]
        return young + [(word, f"Older than {label}") for word, (label, _) in self._old.items()]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        word = self.value()
        if word in self._young:
            return queryset.filter(pk__gte=first_id_since(timedelta(hours=self._young[word][1])))
        if word in self._old:
            return queryset.filter(pk__lt=first_id_since(timedelta(hours=self._old[word][1])))
        return queryset


class CurrencyFilter(admin.SimpleListFilter):
    title, parameter_name = "currency", "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code) for code in settings.CURRENCIES]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        return queryset.filter(currency=self.value()) if self.value() else queryset


class StuckFilter(admin.SimpleListFilter):
    """What should have gone on by now, as the page's own `stuck` says."""

    title, parameter_name = "stuck", "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Should have gone on by now")]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        return self.model_admin.stuck(queryset) if self.value() else queryset

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.model_admin = model_admin
        super().__init__(request, params, model, model_admin)


class TypedFilter(admin.ListFilter):
    """A filter into which a person types. `names` are its fields: the parameter and what stands before it."""

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

    def typed(self, name: str) -> str:
        return str(self.used_parameters.get(name) or "")

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        kept = changelist.get_filters_params()
        yield {
            "fields": [(name, label, self.typed(name)) for name, label in self.names.items()],
            "others": [(name, one) for name, several in kept.items() if name not in self.names for one in several]
            + ([("q", changelist.query)] if changelist.query else []),
        }


class AmountFilter(TypedFilter):
    """From and up to an amount in whole units, such as 12.50; of the first currency unless another is chosen."""

    title = "amount"
    names: ClassVar = {"amount_from": "From", "amount_to": "Up to"}
    field = "amount_minor"

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        digits = exponent(request.GET.get("currency") or settings.CURRENCIES[0])
        for name, lookup in (("amount_from", "gte"), ("amount_to", "lte")):
            minor = _minor(self.typed(name), digits)
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
        typed = self.typed("seller").lower()
        if not typed:
            return queryset
        people = User.objects.filter(email__startswith=typed).values_list("pk", flat=True)[:_PEOPLE_LOOKED_AT]
        return self.of(queryset, list(people))

    def of(self, queryset: "models.QuerySet[Any]", sellers: list[UUID]) -> "models.QuerySet[Any]":
        return queryset.filter(**{f"{self.way}__in": sellers})


def _minor(typed: str, digits: int) -> int | None:
    """An amount as a person types it, in minor units; None for anything else."""
    if not re.fullmatch(r"\d{1,12}([.,]\d{1,4})?", typed):
        return None
    whole, _, rest = typed.replace(",", ".").partition(".")
    units: int = 10**digits
    return int(whole) * units + int(f"{rest:0<{digits}}"[:digits] or 0)
