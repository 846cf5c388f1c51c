"""Search over all kinds of rows: by id, its last characters, a provider's id, or an e-mail."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.utils import lookup_field
from django.db import models
from django.http import HttpRequest

from veza.core.admin_columns import NOTHING, Column, Panel, column, panel
from veza.core.admin_lists import find

SHOWN = 10
# The kinds of rows that are searched, the most frequent questions first.
SEARCHED = (
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


def find_panels(site: AdminSite, request: HttpRequest, term: str) -> list[Panel]:
    """The rows that `term` names and this user may see, kind by kind."""
    return [each for each in _search(site, request, term) if each.lines]


def _search(site: AdminSite, request: HttpRequest, term: str) -> Iterator[Panel]:
    pages = {model._meta.label_lower: page for model, page in site._registry.items()}
    for label in SEARCHED:
        page = pages[label]
        if not page.has_view_permission(request):
            continue
        by = tuple(getattr(page, "search_keys", ("id", "email")))
        rows = find(page.get_queryset(request), by, term).order_by("-pk")
        if page.list_select_related and not isinstance(page.list_select_related, bool):
            rows = rows.select_related(*page.list_select_related)
        columns = [_column(page, name) for name in page.list_display]
        yield panel(str(page.opts.verbose_name_plural).capitalize(), rows[:SHOWN], columns)


def _column(page: "ModelAdmin[Any]", name: Any) -> Column:
    if callable(name):
        return name  # type: ignore[no-any-return]  # What a page lists is a column.

    @column(_heading(page.model, name))
    def value(row: models.Model) -> Any:
        content = lookup_field(name, row, page)[2]
        if isinstance(content, bool):
            return "yes" if content else "no"
        return NOTHING if content in (None, "") else content

    return value


def _heading(model: type[models.Model], name: str) -> str:
    fields = {field.name: str(field.verbose_name) for field in model._meta.concrete_fields}
    return fields.get(name, name.replace("_", " "))
