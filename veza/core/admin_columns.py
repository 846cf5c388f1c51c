"""How the back-office shows a row: amounts in whole units, times with their age, ids shortened."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.utils import quote
from django.db import models
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from veza.core.money import format_amount
from veza.core.words import format_status

Column = Callable[[Any], Any]
NOTHING = "-"
_STEPS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def column(label: str) -> Callable[[Callable[[Any], Any]], Column]:
    """Make a function of a row a column labelled `label`."""

    def add_label(write: Callable[[Any], Any]) -> Column:
        write.short_description = label  # type: ignore[attr-defined]  # Where Django's lists and our pages look for it.
        return write

    return add_label


def money(name: str, label: str = "", *, currency: str = "currency") -> Column:
    """The column of `<name>_minor`; `currency` is the path to its currency, such as `order.currency`."""

    @column(label or name.replace("_", " "))
    def amount(row: Any) -> str | SafeString:
        minor, code = getattr(row, f"{name}_minor"), _follow(row, currency)
        return format_html('<span class="amount">{}</span>', format_amount(minor, code)) if code else NOTHING

    amount.__name__ = name
    return amount


amount = money("amount")


def moment(name: str, label: str = "") -> Column:
    """The column of a time: the moment, and in its tooltip how long ago."""

    @column(label or name.removesuffix("_at").replace("_", " "))
    def at(row: Any) -> str | SafeString:
        return when(getattr(row, name))

    at.__name__ = name
    return at


def when(at: datetime | None) -> str | SafeString:
    """A time in UTC; its tooltip says how far away it is."""
    if at is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        _far(at),
        f"{at:%Y-%m-%d %H:%M}",
    )


def _far(at: datetime) -> str:
    away = at - timezone.now()
    return f"in {lasting(away)}" if away > timedelta(0) else f"{lasting(-away)} ago"


def lasting(time: timedelta) -> str:
    """A duration in one unit: `40 s`, `12 min`, `5 h`, `3 d`."""
    for unit, step in _STEPS:
        if time >= step:
            return f"{time // step} {unit}"
    return f"{max(int(time.total_seconds()), 0)} s"


@column("age")
def age(row: Any) -> str | SafeString:
    at = row.created_at
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(timespec="seconds"), at, _age(at))


def _age(at: datetime) -> str:
    return lasting(timezone.now() - at)


@column("status")
def status(row: Any) -> SafeString:
    return badge(str(row.status))


def badge(status: str) -> SafeString:
    """A status as a coloured word."""
    return format_html('<span class="badge badge-{}">{}</span>', status.replace(" ", "-"), format_status(status))


@column("e-mail")
def email_title(row: Any) -> str:
    """The subject of an e-mail that was sent, or the name of its message."""
    return str(row.subject_line or row.message.replace("_", " ").capitalize())


@column("to")
def email_recipient(row: Any) -> str:
    """Where an e-mail went, or will go as things are."""
    return row.address or (row.recipient.email if row.recipient else NOTHING)


@column("id")
def short_id(row: Any) -> SafeString:
    """The last eight characters: short enough to read out on the telephone."""
    return format_html('<code title="{}">{}</code>', row.pk, str(row.pk)[-8:])


def person(name: str, label: str = "") -> Column:
    """The column of a user: their e-mail."""

    @column(label or name.rpartition(".")[2])
    def email(row: Any) -> str:
        user = _follow(row, name)
        return user.email if user else NOTHING

    email.__name__ = name.replace(".", "_")
    return email


def link_to(row: models.Model | None) -> str | SafeString:
    """The row's name, as a link to its page where it has one."""
    if row is None:
        return NOTHING
    where = address_of(row)
    return format_html('<a href="{}">{}</a>', where, row) if where else str(row.pk)


def address_of(row: models.Model) -> str:
    """The address of a row's page; empty for a row that has none."""
    meta = row._meta
    try:
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote(row.pk)])
    except NoReverseMatch:
        return ""


@dataclass(frozen=True)
class Fact:
    label: str
    value: Any


@dataclass(frozen=True)
class Panel:
    """Rows that belong to the row of the page, each with a link. `empty` says what it means if there are none."""

    title: str
    heads: list[str]
    lines: list[tuple[str, list[Any]]]
    empty: str = "None."


def panel(title: str, rows: Iterable[models.Model], columns: Iterable[Column], *, empty: str = "None.") -> Panel:
    cells = list(columns)
    heads = [str(getattr(each, "short_description", "")) for each in cells]
    lines = [(address_of(row), [each(row) for each in cells]) for row in rows]
    return Panel(title, heads, lines, empty)


def all_facts(row: models.Model, *, besides: Iterable[str] = ()) -> list[Fact]:
    """Every field of the row in readable form, without those named in `besides`."""
    exclusions = set(besides)
    if any(field.name.endswith("_minor") for field in row._meta.concrete_fields):
        exclusions.add("currency")
    return [
        Fact(_label(field), _value(row, field)) for field in row._meta.concrete_fields if field.name not in exclusions
    ]


def _label(field: "models.Field[Any, Any]") -> str:
    name = str(field.verbose_name).removesuffix(" minor").removesuffix(" at")
    return "id" if field.primary_key and name == "id" else name


def _value(row: models.Model, field: "models.Field[Any, Any]") -> Any:
    value = getattr(row, field.name)
    match field:
        case models.ForeignKey():
            return link_to(value)
        case models.JSONField():
            return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False)) if value else NOTHING
        case models.DateTimeField():
            return when(value)
        case models.BooleanField():
            return "yes" if value else "no"
    if field.name.endswith("_minor") and value is not None and (currency := _currency_of(row, field.name)):
        return format_amount(value, currency)
    if field.name == "status" and isinstance(value, str):
        return badge(value)
    return NOTHING if value in (None, "") else value


def _currency_of(row: models.Model, name: str) -> Any:
    paths: Mapping[str, str] = getattr(row, "other_currencies", {})
    return _follow(row, paths.get(name, "currency"))


def _follow(row: Any, path: str) -> Any:
    for step in path.split("."):
        row = getattr(row, step, None)
    return row
