"""A token for staff whom an operator vouches for, since a password alone opens no API to them in production."""

from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db
LICENSES = "/api/v1/licenses/mine"


@pytest.fixture
def staff(settings):
    settings.VEZA_ENVIRONMENT = "sandbox"
    return PersonFactory(is_staff=True)


def begin(email, capsys, *options) -> APIClient:
    call_command("begin_staff_session", email, *options)
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {capsys.readouterr().out.strip()}")
    return api


def test_the_printed_token_opens_the_api_for_an_hour(staff, capsys):
    api = begin(staff.email.upper(), capsys)

    with time_machine.travel(timedelta(minutes=59), tick=False):
        assert api.get(LICENSES).status_code == 200
    with time_machine.travel(timedelta(minutes=61), tick=False):
        assert api.get(LICENSES).status_code == 401


def test_the_token_ends_when_all_sessions_of_its_owner_end(staff, capsys):
    api = begin(staff.email, capsys, "--for", "2h")

    assert api.post("/api/v1/auth/logout", {"everywhere": True}, format="json").status_code == 204

    assert api.get(LICENSES).status_code == 401


@pytest.mark.parametrize("lifetime", ["0s", "9h", "soon"])
def test_a_token_lasts_eight_hours_at_most(staff, lifetime):
    with pytest.raises(CommandError, match="--for"):
        call_command("begin_staff_session", staff.email, "--for", lifetime)


@pytest.mark.parametrize("changes", [{"is_staff": False}, {"is_staff": True, "is_active": False}])
def test_only_staff_with_an_open_account_get_one(db, changes):
    with pytest.raises(CommandError, match="not the log-in"):
        call_command("begin_staff_session", PersonFactory(**changes).email)
