"""What all admin pages of Veza share: nothing is added, changed or deleted by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

import structlog
from django.contrib.admin import AdminSite, ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from veza.core.admin_action_pages import ActionPages
from veza.core.admin_actions import AdminAction
from veza.core.admin_columns import Column, Fact, Panel, address_of, all_facts, badge
from veza.core.admin_export import lines_of
from veza.core.admin_lists import CappedPaginator, find, offered_lookups
from veza.core.causes import Cause
from veza.core.models import User, correlation_id_of
from veza.core.timeline import ProofLine, TimelineLine

log = structlog.get_logger(__name__)


class MoneySite(AdminSite):
    """The admin site as the floors below know it: it can show the whole history of an order."""

    def timeline_of(self, correlation_id: UUID) -> Sequence[TimelineLine]:
        raise NotImplementedError

    def next_steps_of(self, correlation_id: UUID) -> Sequence[str]:
        raise NotImplementedError

    def proof_of(self, correlation_id: UUID) -> Sequence[ProofLine]:
        raise NotImplementedError

    def panels_of(self, correlation_id: UUID) -> Sequence[Panel]:
        """Every row of an order or a subscription, floor by floor."""
        raise NotImplementedError

    def panels_of_person(self, person: User) -> Sequence[Panel]:
        """The user's orders, subscriptions, sales and payouts."""
        raise NotImplementedError

    def timeline_of_person(self, person: User) -> Sequence[TimelineLine]:
        """A seller's recent postings and status changes."""
        raise NotImplementedError

    def begin_action(self, action_id: UUID, action: AdminAction[Any], row: Any, *, cause: Cause) -> str:
        raise NotImplementedError

    def end_action(self, action_id: UUID, *, outcome: str, sentence: str) -> None:
        raise NotImplementedError

    def may_export(self, request: HttpRequest) -> bool:
        raise NotImplementedError


if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _ModelAdmin = ModelAdmin[Any]
else:
    _ModelAdmin = object


def others(panels: Sequence[Panel], row: Model) -> list[Panel]:
    """The panels without the row that the page itself shows."""
    here = address_of(row)
    remaining = [replace(each, lines=[line for line in each.lines if line[0] != here]) for each in panels]
    return [each for each in remaining if each.lines]


class LookOnly(_ModelAdmin):
    """Read-only rows. Staff change them through actions with a reason, never by editing a field."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in offered_lookups(self.list_filter)


class ReadOnlyAdmin(LookOnly, ActionPages):
    """A list of rows and a page for each.

    `search_keys` are the indexed fields that the search reads. `facts` are the columns shown first on a row's page;
    the fields of `exclude` are neither shown nor exported.
    """

    row_template = "admin/row.html"
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by = ()  # Newest first is an index; any other order would read the table.
    list_per_page = 50
    list_max_show_all = 50
    ordering: ClassVar[Any] = ("-pk",)
    actions_selection_counter = True
    search_keys: ClassVar[tuple[str, ...]] = ()
    facts: ClassVar[Sequence[Column]] = ()
    exports: ClassVar[bool] = True
    # What an empty list means, and what to do about it.
    empty: ClassVar[str] = "Nothing here yet."

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are made by an action, where the page has one for that."""
        return self.create_action is not None and super().has_add_permission(request)

    def get_urls(self) -> list[Any]:
        export = self.admin_site.admin_view(self.export)
        return [
            path("export/", export, name=f"{self.opts.app_label}_{self.opts.model_name}_export"),
            *super().get_urls(),
        ]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.search_keys

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        return (find(queryset, self.search_keys, search_term) if search_term.strip() else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"may_export": self._may_export(request), "empty": self.empty, "title": self._plural()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return HttpResponseRedirect(self._list_page())
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"{str(row)[:1].upper()}{str(row)[1:]}",
            "opts": self.opts,
            "row": row,
            "status_badge": badge(row.status) if isinstance(getattr(row, "status", None), str) else "",
            "back": self._list_page(),
            "facts": [Fact(str(getattr(each, "short_description", "")), each(row)) for each in self.facts],
            "details": all_facts(row, besides=self.exclude or ()),
            "panels": self.panels(row),
            "row_actions": [(action, self.address_for(action, row)) for action in self.row_actions_for(request, row)],
            **self.page_context(row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.row_template, context)

    def panels(self, row: Any) -> Sequence[Panel]:
        """The rows that belong to this one."""
        return []

    def page_context(self, row: Any) -> dict[str, Any]:
        """What the row's page shows besides the row itself."""
        return {}

    def export(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """The list as it is filtered, as a file."""
        if not self.has_view_permission(request) or not self._may_export(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{self._list_page()}?e=1")
        hidden_fields = set(self.exclude or ())
        fields = [field for field in self.model._meta.concrete_fields if field.name not in hidden_fields]
        log.info("rows_exported", model=self.model._meta.label_lower, by=request.user.get_username())
        name = self._plural().lower().replace(" ", "-")
        return StreamingHttpResponse(
            lines_of(rows, fields),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )

    def _may_export(self, request: HttpRequest) -> bool:
        return self.exports and cast(MoneySite, self.admin_site).may_export(request)

    def _plural(self) -> str:
        return str(self.opts.verbose_name_plural).capitalize()


class HistoryAdmin(ReadOnlyAdmin):
    """A row of an order or a subscription: its page shows the order history and the ledger's proof."""

    def page_context(self, row: Any) -> dict[str, Any]:
        site, correlation_id = cast(MoneySite, self.admin_site), correlation_id_of(row)
        return {
            "correlation_id": correlation_id,
            "timeline": site.timeline_of(correlation_id),
            "next_steps": site.next_steps_of(correlation_id),
            "proof": site.proof_of(correlation_id),
            "history_panels": others(site.panels_of(correlation_id), row),
        }
