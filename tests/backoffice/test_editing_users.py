"""Who may edit users edits those who may do no more than they, and gives nothing that they lack."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from tests.backoffice.conftest import browser, staff
from tests.factories import PersonFactory
from veza.core.models import User

pytestmark = pytest.mark.django_db
EVERY_PERMISSION = {"is_staff": "on", "is_superuser": "on"}


@pytest.fixture
def manager() -> User:
    """A member of support who may edit users."""
    person = staff("support", email="manager@staff.example")
    person.user_permissions.add(*Permission.objects.filter(codename__in=["change_user", "add_user"]))
    return person


def edit(editor: User, user: User, **fields: object):
    form = {"email": user.email, "name": user.name, "language": user.language, "time_zone": user.time_zone}
    answer = browser(editor).post(reverse("admin:core_user_change", args=[user.pk]), {**form, **fields})
    user.refresh_from_db()
    return answer


def test_a_manager_edits_a_buyer(manager):
    buyer = PersonFactory()

    assert edit(manager, buyer, name="Another name").status_code == 302
    assert buyer.name == "Another name"


def test_a_manager_makes_nobody_a_superuser_not_even_themselves(manager):
    buyer = PersonFactory()

    for user in (manager, buyer):
        edit(manager, user, **EVERY_PERMISSION)

    assert not User.objects.filter(is_superuser=True).exists()


def test_a_manager_gives_no_permission_to_themselves(manager):
    finance = Group.objects.get(name="finance")

    edit(manager, manager, name="Me", groups=[finance.pk], user_permissions=[Permission.objects.first().pk])

    assert manager.name == "Me"
    assert list(manager.groups.values_list("name", flat=True)) == ["support"]
    assert manager.user_permissions.count() == 2


@pytest.mark.parametrize(("group", "is_given"), [("support", True), ("finance", False)])
def test_a_manager_gives_groups_that_may_do_no_more_than_they(manager, group, is_given):
    colleague = staff(email="colleague@staff.example")

    edit(manager, colleague, is_staff="on", groups=[Group.objects.get(name=group).pk])

    assert colleague.groups.filter(name=group).exists() is is_given


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("rank", ["superuser", "finance"])
def test_whoever_may_do_more_is_not_edited(manager, rank, closed):
    above = staff("finance", email="above@staff.example")
    User.objects.filter(pk=above.pk).update(is_superuser=rank == "superuser", is_active=not closed)

    assert edit(manager, above, name="Taken over").status_code == 403
    password = browser(manager).get(reverse("admin:auth_user_password_change", args=[above.pk]))
    assert password.status_code == 403


def test_a_superuser_edits_everybody(boss):
    above = staff("finance", email="above@staff.example")

    boss.post(
        reverse("admin:core_user_change", args=[above.pk]),
        {"email": above.email, "name": "New name", "language": "en", "time_zone": "UTC"},
    )

    assert User.objects.get(pk=above.pk).name == "New name"


def test_groups_are_read_only_and_say_why(boss):
    group = Group.objects.get(name="support")

    page = boss.get(reverse("admin:auth_group_change", args=[group.pk])).content.decode()

    assert "a table in the code" in page
    assert boss.get("/admin/auth/group/add/").status_code == 403
