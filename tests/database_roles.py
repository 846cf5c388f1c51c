"""The tests run as the application's role, which owns nothing; what only the owner may do is done `as_owner`.

The role is made in the cluster of the tests' database, and may do nothing elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.backends.signals import connection_created

from veza.core.database_rights import grant_to

APPLICATION, PASSWORD = "veza_tests_application", "protects-nothing"
# Several test processes make it at once, in one cluster.
_CREATE = f"""
DO $$ BEGIN CREATE ROLE {APPLICATION} LOGIN PASSWORD '{PASSWORD}';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""


def become_application() -> None:
    """Make the role, give it its rights, and take it on in every connection from now on."""
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)
    grant_to(connection, APPLICATION)
    connection_created.connect(_set_role)
    _set_role(connection=connection)


def _set_role(*, connection: Any, **_others: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {APPLICATION}")


@contextmanager
def as_owner() -> Iterator[None]:
    """The rights of whoever made the database, for what no process of Veza does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user = %s", [APPLICATION])
        (was_application,) = cursor.fetchone()
        cursor.execute("RESET ROLE")
    try:
        yield
    finally:
        # A transaction that fails meanwhile takes the change of role back by itself.
        if was_application and not connection.needs_rollback:
            _set_role(connection=connection)
