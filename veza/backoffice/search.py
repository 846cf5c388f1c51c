"""Finding a thing by whatever somebody was given: an id, its last characters, a provider's id, an e-mail."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.utils import lookup_field
from django.db import models
from django.http import HttpRequest

from veza.core.admin_columns import NOTHING, Column, Panel, column, panel
from veza.core.admin_lists import find

SHOWN = 10
# Where to look, what support asks for first coming first.
LOOKED_INTO = (
    "core.user",
    "marketplace.order",
    "payments.payment",
    "payments.refund",
    "connect.sellertransfer",
    "connect.transferreversal",
    "subscriptions.subscription",
    "subscriptions.subscriptioninvoice",
    "payments.dispute",
    "marketplace.license",
    "connect.sellerpayout",
    "connect.connectedaccount",
    "payments.webhookdelivery",
    "core.reviewitem",
)


def found(site: AdminSite, request: HttpRequest, payload: str) -> list[Panel]:
    """What `said` names and this person may look at, kind by kind."""
    return [each for each in _found(site, request, payload) if each.lines]


def _found(site: AdminSite, request: HttpRequest, payload: str) -> Iterator[Panel]:
    pages = {model._meta.label_lower: page for model, page in site._registry.items()}
    for label in LOOKED_INTO:
        page = pages[label]
        if not page.has_view_permission(request):
            continue
        by = tuple(getattr(page, "search_keys", ("id", "email")))
        rows = find(page.get_queryset(request), by, payload).order_by("-pk")
        if page.list_select_related and not isinstance(page.list_select_related, bool):
            rows = rows.select_related(*page.list_select_related)
        columns = [_column(page, name) for name in page.list_display]
        yield panel(str(page.opts.verbose_name_plural).capitalize(), rows[:SHOWN], columns)


def _column(page: "ModelAdmin[Any]", name: Any) -> Column:
    if callable(name):
        return name  # type: ignore[no-any-return]  # What a page lists is a column.

    @column(_heading(page.model, name))
    def value(row: models.Model) -> Any:
        payload = lookup_field(name, row, page)[2]
        if isinstance(payload, bool):
            return "yes" if payload else "no"
        return NOTHING if payload in (None, "") else payload

    return value


def _heading(model: type[models.Model], name: str) -> str:
    fields = {field.name: str(field.verbose_name) for field in model._meta.concrete_fields}
    return fields.get(name, name.replace("_", " "))
