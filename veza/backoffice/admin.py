from django.contrib import admin

from veza.backoffice.models import StaffAction
from veza.core.admin_base import ReadOnlyAdmin
from veza.core.admin_columns import badge, column, moment, person


@column("outcome")
def outcome(row: StaffAction) -> object:
    return badge(row.outcome or "unfinished")


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnlyAdmin):
    ordering = ("-at", "-pk")
    list_display = (moment("at", "when"), person("person"), "label", outcome, "sentence", "reason")
    list_filter = ()
    list_select_related = ("person",)
    search_keys = ("id", "correlation_id", "subject_id", "person__email")
    facts = (person("person"), moment("at", "when"), outcome)
    exports = False
    empty = "No action has been performed yet."
