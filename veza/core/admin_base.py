"""What every admin page of Veza has in common: nothing is added, changed or deleted by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin import AdminSite, ModelAdmin, TabularInline
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from veza.core.models import story_of
from veza.core.money import written
from veza.core.timeline import ProofLine, TimelineLine


class MoneySite(AdminSite):
    """The admin site as the floors below know it: it can tell the whole story of an order's money."""

    def timeline_of(self, story_id: UUID) -> Sequence[TimelineLine]:
        raise NotImplementedError

    def next_steps_of(self, story_id: UUID) -> Sequence[str]:
        raise NotImplementedError

    def proof_of(self, story_id: UUID) -> Sequence[ProofLine]:
        raise NotImplementedError


if TYPE_CHECKING:  # Django's own classes take no parameter; their stubs do.
    _ModelAdmin = ModelAdmin[Any]
    _TabularInline = TabularInline[Any, Any]
else:
    _ModelAdmin, _TabularInline = ModelAdmin, TabularInline


class LookOnly:
    """Rows to look at. What may be done about them is an action with a reason, never an edited field."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyLines(LookOnly, _TabularInline):
    """The rows that belong to the one on the page."""

    extra = 0


class ReadOnlyAdmin(LookOnly, _ModelAdmin):
    """A list of rows and a page for each."""

    show_full_result_count = False
    list_per_page = 50


class StoryAdmin(ReadOnlyAdmin):
    """A row that belongs to a story: its page shows the money timeline and the ledger's proof."""

    change_form_template = "admin/story.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        told: dict[str, Any] = {}
        row = self.get_object(request, object_id)
        site = self.admin_site
        if row is not None and isinstance(site, MoneySite):
            story = story_of(row)
            told = {
                "timeline": site.timeline_of(story),
                "next_steps": site.next_steps_of(story),
                "proof": site.proof_of(story),
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **told})


@admin.display(description="amount")
def amount(row: Any) -> str:
    """The amount as a person writes it, for a list's column."""
    return written(row.amount_minor, row.currency)
