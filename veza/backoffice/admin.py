from django.contrib import admin

from veza.backoffice.models import StaffAction
from veza.core.admin_base import ReadOnlyAdmin
from veza.core.admin_columns import badge, column, moment, person


@column("came to")
def came_to(row: StaffAction) -> object:
    return badge(row.word or "unfinished")


@admin.register(StaffAction)
class StaffActAdmin(ReadOnlyAdmin):
    ordering = ("-at", "-pk")
    list_display = (moment("at", "when"), person("person"), "label", came_to, "sentence", "reason")
    list_filter = ()
    list_select_related = ("person",)
    search_keys = ("id", "correlation_id", "subject_id", "person__email")
    facts = (person("person"), moment("at", "when"), came_to)
    exports = False
    empty = "Nobody has pressed a button yet."
