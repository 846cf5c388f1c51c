from django.contrib import admin

from veza.backoffice.models import StaffAct
from veza.core.admin_base import ReadOnlyAdmin
from veza.core.admin_columns import badge, column, moment, person


@column("came to")
def came_to(row: StaffAct) -> object:
    return badge(row.word or "unfinished")


@admin.register(StaffAct)
class StaffActAdmin(ReadOnlyAdmin):
    ordering = ("-at", "-pk")
    list_display = (moment("at", "when"), person("person"), "label", came_to, "sentence", "reason")
    list_filter = ()
    list_select_related = ("person",)
    found_by = ("id", "story_id", "subject_id", "person__email")
    facts = (person("person"), moment("at", "when"), came_to)
    exports = False
    empty = "Nobody has pressed a button yet."
