"""Returns the database to what the migrations made, after a test that commits.

Django's flush truncates every table and makes content types, permissions and groups again: 0.3 s of processor time,
when the test has written to ten tables. This empties the ten.
"""

from collections.abc import Iterable

from django.core.management import call_command
from django.db import connection, transaction

from tests.database_roles import as_owner

# The schema with a copy of each table that the migrations have put rows into.
COPIES = "as_migrated"


def may_skip_triggers() -> bool:
    """Tell whether this user of the database may delete rows that are final, as only tests do: a superuser, mostly."""
    return bool(_rows("SELECT has_parameter_privilege('session_replication_role', 'SET')")[0][0])


class FreshDatabase:
    """The tables of the tests' database, with the rows that they have now."""

    def __init__(self) -> None:
        """Copy the rows. In a database that is reused, a killed test may have left its own: it is flushed first."""
        if _rows("SELECT to_regnamespace(%s)", COPIES) != [(None,)]:
            call_command("flush", verbosity=0, interactive=False)
            _execute([f"DROP SCHEMA {COPIES} CASCADE"])
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self._differences = {table: f"EXISTS (TABLE {table})" for table in tables}
        self._filled = self._changed_tables()
        _execute(
            [f"CREATE SCHEMA {COPIES}", *(f"CREATE TABLE {COPIES}.{name} AS TABLE {name}" for name in self._filled)]
        )
        self._differences |= {table: _difference(table) for table in self._filled}

    def restore(self) -> None:
        """Delete every row that was added since, and bring back those that were changed or deleted.

        A transaction that has written is waited for, as TRUNCATE does, so that nothing appears in the next test.
        """
        with as_owner(), transaction.atomic():
            _execute(
                [
                    "SET LOCAL statement_timeout = 0",
                    "SET LOCAL lock_timeout = '60s'",
                    f"LOCK TABLE {', '.join(self._differences)} IN EXCLUSIVE MODE",
                ]
            )
            changed = self._changed_tables()
            # Without triggers: neither those that keep rows from being deleted nor those of foreign keys.
            _execute(
                [
                    "SET LOCAL session_replication_role = replica",
                    *(f"DELETE FROM {table}" for table in changed),
                    *(f"INSERT INTO {table} TABLE {COPIES}.{table}" for table in changed if table in self._filled),
                ]
            )

    def _changed_tables(self) -> list[str]:
        (found,) = _rows(f"SELECT {', '.join(self._differences.values())}")
        return [table for table, is_changed in zip(self._differences, found, strict=True) if is_changed]


def _difference(table: str) -> str:
    """An expression that is true when the table has other rows than its copy."""
    copy = f"{COPIES}.{table}"
    return f"EXISTS ((TABLE {table} EXCEPT ALL TABLE {copy}) UNION ALL (TABLE {copy} EXCEPT ALL TABLE {table}))"


def _rows(statement: str, *parameters: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _execute(statements: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("; ".join(statements))
