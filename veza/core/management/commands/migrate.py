"""Django's migrate, as the role that owns the tables, if the application's own role does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import environ
from django.conf import settings
from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from veza.core.database_rights import grant_to


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if not settings.DATABASE_OWNER_URL:
            super().handle(*args, **options)
            return
        application = connection.settings_dict["USER"]
        with _as_owner(connection):
            super().handle(*args, **options)
            grant_to(connection, application)


@contextmanager
def _as_owner(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Connect as the owner meanwhile. Server and role are those of DATABASE_OWNER_URL, the database stays the same."""
    owner = environ.Env.db_url_config(settings.DATABASE_OWNER_URL)
    before = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD", "HOST", "PORT")}
    connection.close()
    connection.settings_dict.update({name: owner[name] for name in before})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
