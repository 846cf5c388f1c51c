from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse

from marketplace.seller_actions import HoldMoney, SuspendSeller
from veza.backoffice.account_actions import CloseAccount, ReopenAccount
from veza.backoffice.models import StaffAction
from veza.core.admin_action_pages import ActionPages
from veza.core.admin_base import ReadOnlyAdmin
from veza.core.admin_columns import badge, column, moment, person
from veza.core.models import User
from veza.core.person_admin import PersonAdmin


@admin.register(User)
class UserPage(ActionPages, PersonAdmin):
    """Users, with what staff may do about them on every floor."""

    row_actions = (SuspendSeller(), HoldMoney(), CloseAccount(), ReopenAccount())

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        user = self.get_object(request, unquote(object_id))
        actions = self.row_actions_for(request, user) if user is not None else []
        buttons = [(action, self.address_for(action, user)) for action in actions]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "row_actions": buttons})


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


@column("permissions")
def permissions(group: Group) -> str:
    return ", ".join(group.permissions.order_by("name").values_list("name", flat=True))


@column("changed by")
def changed_by(_group: Group) -> str:
    return "A release: what each group may do is a table in the code, and every migrate restores it."


admin.site.unregister(Group)


@admin.register(Group)
class GroupPage(ReadOnlyAdmin):
    """The groups of staff, read-only: who is in which is edited on the user's page."""

    ordering = ("name",)
    list_display = ("name",)
    facts = (changed_by, permissions)
    exports = False
