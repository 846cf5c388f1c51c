"""Reads of constant text: compiled once from a queryset, prepared, and sent together where one needs no other's answer.

For the flows that run with every webhook. Everywhere else a queryset is as good and shorter.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models import BooleanField, F, Func, Value
from django.db.models.query import ModelIterable
from psycopg import sql

from veza.core import writes
from veza.core.statements import send, send_first, sent_together

Row = TypeVar("Row")
# A tuple is one of keys, of any number: see `is_any_of`.
_Parameter = type[UUID] | type[str] | type[datetime] | type[tuple[UUID, ...]]


class _Compiled(NamedTuple):
    """A read's text, which of its parameters each placeholder takes, and what makes a row of a line of its result."""

    text: str
    positions: tuple[int, ...]
    make: Callable[[Sequence[Any]], Any]


class Statement:
    """SQL of constant text that is not made of a queryset, such as one that takes a lock."""

    is_kept = False

    def __init__(self, text: str) -> None:
        self._text = text

    def bind(self, parameters: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        """The text, and a value for each of its placeholders."""
        return self._text, parameters

    def rows_of(self, cursor: Any) -> list[Any]:
        """The result, as it is."""
        result: list[Any] = cursor.fetchall()
        return result

    def on(self, *parameters: Any) -> "Query":
        """The statement with its parameters, to be sent together with others."""
        return Query(self, parameters)


class Read(Statement, Generic[Row]):
    """The rows of a queryset that `build` makes of parameters of these types.

    Everything else in it is written into the text, so that PostgreSQL sees which partial index it may use. `is_kept`:
    no other transaction changes the rows meanwhile, because they are locked, or their owner is, or they never change. A
    write set reads them once, and again after it has written to one of their tables.
    """

    def __init__(
        self, build: "Callable[..., models.QuerySet[Any, Row]]", *types: _Parameter, is_kept: bool = False
    ) -> None:
        self._build, self._types, self.is_kept = build, types, is_kept

    def __call__(self, *parameters: Any) -> Sequence[Row]:
        """The rows; those that were read before, if they are kept."""
        return together(self.on(*parameters))[0]

    def get(self, *parameters: Any) -> Row:
        """The one row, such as one that is found by its key. Raises the model's DoesNotExist."""
        if rows := self(*parameters):
            return rows[0]
        raise self._build(*parameters).model.DoesNotExist

    def first(self, *parameters: Any) -> list[Row]:
        """The rows, read by the first statement of a request and outside of a transaction (`send_first`)."""
        return self.rows_of(send_first(*self.bind(parameters)))

    def bind(self, parameters: Sequence[Any]) -> tuple[str, Sequence[Any]]:
        compiled = self._compiled
        values = [list(value) if isinstance(value, tuple) else value for value in parameters]
        return compiled.text, [values[position] for position in compiled.positions]

    def rows_of(self, cursor: Any) -> list[Row]:
        make = self._compiled.make
        return [make(values) for values in cursor.fetchall()]

    @cached_property
    def _compiled(self) -> _Compiled:
        connection.ensure_connection()
        marks = [_mark(place, kind) for place, kind in enumerate(self._types)]
        queryset = self._build(*marks)
        compiler = queryset.query.get_compiler(using=connection.alias)
        template, values = compiler.as_sql()
        assert "%%" not in template, "a constant read has no percent sign of its own"
        pieces, positions = template.split("%s"), []
        text = pieces[0]
        for value, piece in zip(values, pieces[1:], strict=True):
            if value in marks:
                positions.append(marks.index(value))
                text += "%s" + piece
            else:
                text += sql.Literal(value).as_string(connection.connection).replace("%", "%%") + piece
        return _Compiled(text, tuple(positions), _maker(queryset, compiler))


class Query(NamedTuple):
    """A statement with its parameters."""

    statement: Statement
    parameters: tuple[Any, ...]


def is_any_of(column: str, keys: tuple[UUID, ...]) -> Func:
    """A condition for `filter`: `column IN keys`, in a text that is the same for any number of keys."""
    return Func(F(column), Value(keys), template="%(expressions)s)", arg_joiner=" = ANY(", output_field=BooleanField())


def _mark(place: int, kind: _Parameter) -> UUID | str | datetime | tuple[UUID, ...]:
    """A value that stands for a parameter while the text is compiled."""
    key = UUID(int=(1 << 128) - 1 - place)
    if kind is UUID:
        return key
    if kind is datetime:
        return datetime(9000 + place, 1, 1, tzinfo=UTC)
    return f"\ue000{place}" if kind is str else (key,)


def _maker(queryset: Any, compiler: Any) -> Callable[[Sequence[Any]], Any]:
    converters = compiler.get_converters([column[0] for column in compiler.select])

    def converted(values: Sequence[Any]) -> list[Any]:
        row = list(values)
        for position, (functions, expression) in converters.items():
            for convert in functions:
                row[position] = convert(row[position], expression, connection)
        return row

    if not issubclass(queryset._iterable_class, ModelIterable):
        return lambda values: tuple(converted(values))
    names = [compiler.select[place][0].target.attname for place in compiler.klass_info["select_fields"]]
    assert len(names) == len(compiler.select), "a constant read of instances reads their own columns only"
    alias, model = connection.alias, queryset.model
    return lambda values: model.from_db(alias, names, converted(values))


def together(*queries: Query) -> list[Sequence[Any]]:
    """The rows of each query, in one round trip for all that were not read before and kept.

    What a write set has recorded is written first, if one of them reads its table.
    """
    results: dict[Query, Sequence[Any]] = {}
    for query in queries:
        if query.statement.is_kept and (rows := writes.recall(query)) is not None:
            results[query] = rows
    missing = [query for query in queries if query not in results]
    if missing:
        statements = [query.statement.bind(query.parameters) for query in missing]
        writes.flush(*(text for text, _ in statements))
        with sent_together():
            cursors = [send(text, parameters) for text, parameters in statements]
        for query, (text, _), cursor in zip(missing, statements, cursors, strict=True):
            results[query] = query.statement.rows_of(cursor)
            if query.statement.is_kept:
                writes.remember(query, text, results[query])
    return [results[query] for query in queries]
