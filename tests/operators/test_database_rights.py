"""The application's role reads and writes rows; what the proof rests on is the owner's."""

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from tests.database_roles import APPLICATION, as_owner
from tests.operators.production import SANDBOX, database_url, owner_url, run
from veza import checks
from veza.core.database_rights import excessive_rights, missing_timeouts

pytestmark = pytest.mark.django_db
# What would let the application change the past.
ATTEMPTS = [
    "TRUNCATE payments_posting",
    "ALTER TABLE payments_posting DISABLE TRIGGER USER",
    "SET LOCAL session_replication_role = replica",
    "DROP TABLE core_statuschange",
    "ALTER TABLE payments_posting OWNER TO CURRENT_USER",
    "CREATE TABLE public.mine (id int)",
    "CREATE OR REPLACE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
]


@pytest.mark.parametrize("statement", ATTEMPTS)
def test_the_application_cannot_change_what_guards_the_books(statement):
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), transaction.atomic():
        connection.cursor().execute(statement)


TIMEOUTS = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]


def set_timeout(name: str, value: str) -> None:
    """In the connection that the migrations were made on, which take what time they need."""
    connection.cursor().execute(f"SET LOCAL {name} = '{value}'")


def test_the_application_has_no_right_too_many():
    assert excessive_rights(connection) == []


def test_each_right_too_many_of_a_superuser_is_named():
    with as_owner():
        assert len(excessive_rights(connection)) == 5


@pytest.mark.parametrize("grant", ["TRUNCATE ON core_email", "UPDATE, TRUNCATE ON payments_posting"])
def test_one_table_that_may_be_truncated_is_enough(grant):
    with as_owner():
        connection.cursor().execute(f"GRANT {grant} TO {APPLICATION}")

    assert excessive_rights(connection) == ["It may TRUNCATE tables."]


@pytest.mark.parametrize("missing", TIMEOUTS)
def test_a_timeout_that_is_not_in_force_is_named(missing):
    for name in TIMEOUTS:
        set_timeout(name, "0" if name == missing else "5s")

    assert missing_timeouts(connection) == [missing]


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_has_all_timeouts():
    connection.close()

    assert missing_timeouts(connection) == []


@pytest.mark.parametrize("environment", ["sandbox", "live"])
def test_production_does_not_start_as_the_owner(settings, monkeypatch, environment, capsys):
    settings.VEZA_ENVIRONMENT = environment
    monkeypatch.setattr(checks, "broken_by", lambda _config: [])
    monkeypatch.setattr(connection, "close", lambda: None)

    with as_owner(), pytest.raises(SystemExit):
        checks.stop_if_broken()

    assert "veza.E036" in capsys.readouterr().err


def test_development_may_have_one_role(settings):
    with as_owner():
        assert checks.measured() == []


@pytest.mark.django_db(transaction=True)
def test_migrate_gives_the_application_its_rights_again():
    with as_owner():
        connection.cursor().execute(f"REVOKE ALL ON core_email FROM {APPLICATION}")

    migrated = run(
        "manage.py",
        "migrate",
        "--noinput",
        environ=SANDBOX | {"DATABASE_URL": database_url(), "DATABASE_OWNER_URL": owner_url()},
    )

    assert migrated.returncode == 0, migrated.stderr
    connection.cursor().execute("SELECT count(*) FROM core_email")


def test_migrate_without_an_owner_is_djangos():
    call_command("migrate", verbosity=0)
