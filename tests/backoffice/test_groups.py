"""Who may do what, cell by cell: every action for every group, the button and the direct POST."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse

from tests.backoffice.conftest import browser, staff
from veza.backoffice.groups import GROUPS, LOOK_AT, PERMISSIONS
from veza.core.ids import new_id
from veza.core.models import User

pytestmark = pytest.mark.django_db

ACTS = sorted(
    (model._meta.label_lower, act.name, act.permission)
    for model, page in admin.site._registry.items()
    for act in getattr(page, "row_actions", ())
)


def addresses(label: str, act: str) -> tuple[str, str]:
    """Where the action is asked for: about a row that does not exist, and about a selection of none."""
    name = f"admin:{label.replace('.', '_')}_act"
    return reverse(name, args=[new_id(), act]), reverse(f"{name}_on_several", args=[act])


def for_selection(label: str, name: str) -> bool:
    page = admin.site._registry[apps.get_model(label)]
    return next(act.for_selection for act in page.row_actions if act.name == name)


@pytest.mark.parametrize("group", [*GROUPS, ""])
@pytest.mark.parametrize(("label", "act", "permission"), ACTS)
def test_a_direct_post_is_answered_by_the_table(group, label, act, permission):
    client, may = browser(staff(*[group] if group else [])), permission in GROUPS.get(group, ())
    one, several = addresses(label, act)

    # Whoever may do it is told that this row does not exist; whoever may not is not told even that.
    assert client.post(one, {"reason": "x", "confirm": "yes"}).status_code == (404 if may else 403)
    allowed = may and for_selection(label, act)
    assert client.post(several, {"reason": "x", "confirm": "yes"}).status_code == (200 if allowed else 403)


@pytest.mark.parametrize("group", [*GROUPS, ""])
@pytest.mark.parametrize("label", ["marketplace.order", "payments.webhookdelivery", "core.reviewitem"])
def test_only_who_may_export_gets_the_file(group, label):
    answer = browser(staff(*[group] if group else [])).get(reverse(f"admin:{label.replace('.', '_')}_export"))

    assert answer.status_code == (200 if "backoffice.export_rows" in GROUPS.get(group, ()) else 403)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look_at_everything_and_change_nothing_by_hand(group):
    client = browser(staff(group))

    for label in LOOK_AT:
        name = f"admin:{label.replace('.', '_')}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 200
        assert client.post(reverse(f"{name}_add"), {}).status_code == 403


def test_somebody_in_no_group_sees_nothing_and_is_told_whom_to_ask():
    page = browser(staff()).get(reverse("admin:index"))

    assert "Ask an administrator to put you into a group" in page.content.decode()


def test_every_action_asks_for_a_permission_of_the_table():
    assert {permission for _, _, permission in ACTS} <= set(PERMISSIONS)


def test_applying_the_groups_again_changes_nothing_and_keeps_the_people():
    person = staff("support")
    before = set(Group.objects.get(name="support").permissions.values_list("pk", flat=True))

    call_command("migrate", verbosity=0)

    assert set(Group.objects.get(name="support").permissions.values_list("pk", flat=True)) == before
    assert person.groups.get().name == "support"


def test_what_somebody_gave_a_group_by_hand_is_taken_back():
    auditor = Group.objects.get(name="auditor")
    auditor.permissions.add(Permission.objects.get(codename="refund_for_buyer"))

    call_command("migrate", verbosity=0)

    assert not auditor.permissions.filter(codename="refund_for_buyer").exists()


def test_logging_in_is_locked_after_too_many_tries_even_with_the_right_password(client):
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
