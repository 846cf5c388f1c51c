"""Maintenance mode by command and by hand in the database; what goes on meanwhile."""

import json

import pytest
from django.core.management import call_command
from django.db import connection

from tests.buying import order_of, paid
from tests.factories import OfferFactory
from veza.core.models import PlatformSetting
from veza.core.platform import maintenance

pytestmark = pytest.mark.django_db
PRODUCTS = "/api/v1/marketplace/products"


@pytest.fixture(autouse=True)
def nothing_remembered():
    maintenance.forget()
    yield
    maintenance.forget()


def run(capsys, *arguments):
    call_command("maintenance", *arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_command_turns_buyers_away_and_lets_them_in_again(client):
    call_command("maintenance", "on", "--message", "Back at noon.", "--retry-after-seconds", "600")
    answer = client.get(PRODUCTS)

    call_command("maintenance", "off")

    assert (answer.status_code, answer["Retry-After"]) == (503, "600")
    assert answer.json()["detail"] == "Back at noon."
    assert client.get(PRODUCTS).status_code == 200


def test_webhooks_are_booked_and_staff_get_in_meanwhile(client, sandbox):
    order = order_of(OfferFactory())
    call_command("maintenance", "on")

    assert paid(order).status == "completed"
    assert client.get("/admin/login/").status_code == 200


def test_who_switched_it_and_why_is_kept():
    call_command("maintenance", "on", "--by", "Ada", "--reason", "Upgrade to 1.2")

    setting = PlatformSetting.objects.get(name="maintenance")
    assert (setting.changed_by, setting.reason) == ("Ada", "Upgrade to 1.2")


def test_the_status_changes_nothing(capsys):
    assert run(capsys, "status") == {"on": False, "changed": False, "would_change": False}
    assert not PlatformSetting.objects.exists()


@pytest.mark.parametrize(("before", "what", "would"), [("off", "on", True), ("on", "on", False), ("on", "off", True)])
def test_a_dry_run_says_whether_it_would_change_anything(capsys, before, what, would):
    call_command("maintenance", before)
    capsys.readouterr()

    assert run(capsys, what, "--dry-run") == {"on": before == "on", "changed": False, "would_change": would}


def test_the_row_can_be_written_by_hand_in_the_database(client):
    with connection.cursor() as cursor:
        cursor.execute("""INSERT INTO core_platformsetting (name, value, changed_by, reason)
                          VALUES ('maintenance', '{"on": true, "message": "By hand."}', 'dba', '')""")

    assert client.get(PRODUCTS).json()["detail"] == "By hand."
