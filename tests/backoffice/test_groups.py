"""The table of permissions, cell by cell: every action for every group, the button and the direct POST."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse

from tests.backoffice.conftest import browser, staff
from veza.backoffice.groups import GROUPS, PERMISSIONS, VIEWABLE
from veza.core.ids import new_id
from veza.core.models import User

pytestmark = pytest.mark.django_db

ACTIONS = sorted(
    (model._meta.label_lower, action.name, action.permission)
    for model, page in admin.site._registry.items()
    for action in getattr(page, "row_actions", ())
)


def addresses(label: str, action: str) -> tuple[str, str]:
    """The addresses of an action: on a row that does not exist, and on an empty selection."""
    name = f"admin:{label.replace('.', '_')}"
    return reverse(f"{name}_action", args=[new_id(), action]), reverse(f"{name}_selection_action", args=[action])


def for_selection(label: str, name: str) -> bool:
    page = admin.site._registry[apps.get_model(label)]
    return next(action.for_selection for action in page.row_actions if action.name == name)


@pytest.mark.parametrize("group", [*GROUPS, ""])
@pytest.mark.parametrize(("label", "action", "permission"), ACTIONS)
def test_a_direct_post_is_answered_by_the_table(group, label, action, permission):
    client, may = browser(staff(*[group] if group else [])), permission in GROUPS.get(group, ())
    one, several = addresses(label, action)

    # With the permission the answer says that the row does not exist; without it not even that.
    assert client.post(one, {"reason": "x", "confirm": "yes"}).status_code == (404 if may else 403)
    is_allowed = may and for_selection(label, action)
    assert client.post(several, {"reason": "x", "confirm": "yes"}).status_code == (200 if is_allowed else 403)


@pytest.mark.parametrize("group", [*GROUPS, ""])
@pytest.mark.parametrize("label", ["marketplace.order", "payments.webhookdelivery", "core.reviewitem"])
def test_only_who_may_export_gets_the_file(group, label):
    answer = browser(staff(*[group] if group else [])).get(reverse(f"admin:{label.replace('.', '_')}_export"))

    assert answer.status_code == (200 if "backoffice.export_rows" in GROUPS.get(group, ()) else 403)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look_at_everything_and_change_nothing_by_hand(group):
    client = browser(staff(group))

    for label in VIEWABLE:
        name = f"admin:{label.replace('.', '_')}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 200
        create = admin.site._registry[apps.get_model(label)].create_action
        may_create = create is not None and create.permission in GROUPS[group]
        assert client.post(reverse(f"{name}_add"), {}).status_code == (200 if may_create else 403)


def test_staff_in_no_group_see_nothing_and_are_told_whom_to_ask():
    page = browser(staff()).get(reverse("admin:index"))

    assert "Ask an administrator to add you to a group" in page.content.decode()


def test_every_action_asks_for_a_permission_of_the_table():
    assert {permission for _, _, permission in ACTIONS} <= set(PERMISSIONS)


def test_applying_the_groups_again_changes_nothing_and_keeps_the_members():
    person = staff("support")
    before = set(Group.objects.get(name="support").permissions.values_list("pk", flat=True))

    call_command("migrate", verbosity=0)

    assert set(Group.objects.get(name="support").permissions.values_list("pk", flat=True)) == before
    assert person.groups.get().name == "support"


def test_a_permission_added_to_a_group_by_hand_is_removed():
    auditor = Group.objects.get(name="auditor")
    auditor.permissions.add(Permission.objects.get(codename="refund_for_buyer"))

    call_command("migrate", verbosity=0)

    assert not auditor.permissions.filter(codename="refund_for_buyer").exists()


def test_log_in_is_locked_after_too_many_tries_with_any_password(client):
    User.objects.create_superuser("boss@staff.example", "a-long-password")
    payload = {"username": "boss@staff.example", "password": "wrong"}
    for _ in range(10):
        client.post(reverse("admin:login"), payload)

    page = client.post(reverse("admin:login"), payload | {"password": "a-long-password"})

    assert "Too many tries to log in." in page.content.decode()


def test_the_right_password_forgets_earlier_slips(client):
    User.objects.create_superuser("boss@staff.example", "a-long-password")
    payload = {"username": "boss@staff.example", "password": "wrong"}
    for _ in range(8):
        client.post(reverse("admin:login"), payload)
    client.post(reverse("admin:login"), payload | {"password": "a-long-password"})
    client.post(reverse("admin:logout"))
    for _ in range(8):
        page = client.post(reverse("admin:login"), payload)

    assert "Too many tries" not in page.content.decode()
