"""Rows damaged behind the application's back, and what `verify_ledger` says about them."""

import io

from django.core.management import CommandError, call_command
from django.db import connection

from tests.database_roles import as_owner


def verify() -> tuple[int, str]:
    """The status that `verify_ledger` ends with, and its report."""
    err = io.StringIO()
    try:
        call_command("verify_ledger", stdout=io.StringIO(), stderr=err)
    except CommandError as error:
        return error.returncode, err.getvalue()
    return 0, err.getvalue()


def damage(sql: str, **values: object) -> None:
    """Run SQL as somebody would who has the database's password: no trigger and no foreign key stops it."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)
        assert cursor.rowcount > 0, "the damage was done"
        cursor.execute("SET LOCAL session_replication_role = origin")
