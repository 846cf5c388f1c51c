"""Statements of constant text: prepared once a connection, sent together, and seen by everything that watches Django's.

Values are bound by PostgreSQL, not written into the text as Django's own cursor does. The text must depend on nothing
but its kind, because a connection keeps what it has prepared.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, models
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor
from psycopg.pq import TransactionStatus

# The types of our columns as a JSON record is read into them. A text's length is checked where it is stored.
_TEXT_TYPES = ("varchar", "char")


@dataclass(frozen=True)
class Columns:
    """A table's columns: `names` by attribute of the model, `types` by column, and the model's `defaults`."""

    table: str
    key: str
    names: Mapping[str, str]
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    factories: Mapping[str, Any]


@cache
def columns_of(model: type[models.Model]) -> Columns:
    """What a statement has to know of a model's table."""
    fields = model._meta.concrete_fields
    required = [field for field in fields if not field.has_db_default() and (field.has_default() or not field.null)]
    factories = {field.attname: field.default for field in required if field.has_default() and callable(field.default)}
    return Columns(
        table=model._meta.db_table,
        key=_column_of(model._meta.pk),
        names={name: _column_of(field) for field in fields for name in (field.attname, field.name)},
        types={_column_of(field): _type_of(field) for field in fields},
        constants={field.attname: field.get_default() for field in required if field.attname not in factories},
        factories=factories,
    )


def _column_of(field: "models.Field[Any, Any]") -> str:
    assert field.column is not None, "a concrete field has a column"
    return field.column


def _type_of(field: "models.Field[Any, Any]") -> str:
    db_type = field.db_type(connection) or ""
    return "text" if db_type.startswith(_TEXT_TYPES) else db_type


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as the JSON that `json_to_recordset` reads back without loss."""
    return _encode(rows)


def _of_other_type(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        assert value.tzinfo is not None, "a time is stored with its zone"
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no column of ours holds a {type(value).__name__}")


_encode = json.JSONEncoder(default=_of_other_type, separators=(",", ":")).encode


class PreparedCursor(Cursor[Any]):
    """A cursor whose statements are prepared the first time that its connection sends them."""

    def execute(self, query: Any, params: Any = None, **_options: Any) -> "PreparedCursor":
        super().execute(query, params, prepare=True)
        return self

    def _convert_query(self, query: Any, params: Any = None) -> Any:
        # Django's log of queries looks here; psycopg forgets the text of a statement that is prepared already.
        self._query = super()._convert_query(query, params)
        return self._query


def send(sql: str, params: Sequence[Any]) -> CursorWrapper:
    """Send a statement. Inside `sent_together` its result can be read afterwards only."""
    connection.ensure_connection()
    cursor = connection._prepare_cursor(PreparedCursor(connection.connection))  # type: ignore[attr-defined]
    cursor.execute(sql, params)
    return cursor  # type: ignore[no-any-return]


def send_first(sql: str, params: Sequence[Any]) -> CursorWrapper:
    """Send a read outside of any transaction, the first statement of its request: it is the health check, too.

    On a connection that was kept open and has died it is sent again on a new one. So no request pays for a check.
    """
    was_open = connection.connection is not None
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return send(sql, params)
    except (OperationalError, InterfaceError):
        has_died = was_open and connection.connection is not None and connection.connection.closed
        if connection.in_atomic_block or not has_died:
            raise
        connection.close()
        return send(sql, params)


@contextmanager
def sent_together() -> Iterator[None]:
    """Everything that is sent inside is one round trip, the BEGIN of a transaction that has not sent any included.

    PostgreSQL runs it in order, each statement on what it finds after the one before. An error is raised at the end.
    """
    connection.ensure_connection()
    raw = connection.connection
    has_to_begin = connection.in_atomic_block and raw.info.transaction_status == TransactionStatus.IDLE
    if has_to_begin:
        # psycopg would send a BEGIN of its own, and wait for it. Its `commit` and `rollback` end ours as well, and
        # Django turns autocommit on after either.
        raw.autocommit = True
    with connection.wrap_database_errors, raw.pipeline():
        if has_to_begin:
            raw.execute("BEGIN")
        yield
