"""Compute first, write once: what the verbs decide is collected in a write set, and written in one round trip.

A verb opens a write set with `@writes.atomic()`: a transaction that writes right before its COMMIT. `insert`, `update`
and `update_matching` change the rows in memory immediately and are recorded. Writing takes one statement for each kind
(a table and its columns), of constant text, all sent together. A query of a table to which something was recorded has
everything written first, as has every other statement, so that nothing reads an old state: a flow that reads between
its writes is right, and merely waits more often. What was recorded inside a savepoint that is rolled back is dropped
with it.

Outside of a write set each is executed immediately: the same statements, one by one.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.db.models.expressions import DatabaseDefault
from django.db.models.functions import Now

from veza.core.statements import as_json, columns_of, send, sent_together

Model = type[models.Model]


class StaleState(Exception):
    """Another process moved the row first."""


class Kind(NamedTuple):
    """What the text of a statement depends on: a table and its columns.

    Each row has a value for each of `columns`; those in `now` are set to the database's time. An update finds its rows
    by `match` (in a row's values these are called `was_…`) where all of `nulls` are NULL.
    """

    model: Model
    columns: tuple[str, ...]
    now: tuple[str, ...]
    match: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ()
    ignore_conflicts: bool = False


@dataclass(eq=False)
class Write:
    """The rows of one statement. `keys` are the rows it updates; `is_counted`: it has to touch each of them."""

    kind: Kind
    rows: list[dict[str, Any]]
    keys: set[Any] = field(default_factory=set)
    is_counted: bool = True


# What changes no row of a table, so that rows in memory stay as they were read.
_HARMLESS = ("SELECT", "SAVEPOINT", "RELEASE")


class WriteSet:
    """The writes of one transaction: those to one table in the order in which they were recorded."""

    def __init__(self) -> None:
        self._writes: list[Write] = []
        self._of_model: dict[Model, list[Write]] = {}
        self._is_flushing = False
        # The text and the rows of queries that need not be sent again: see `reads.Read`.
        self.memory: dict[Hashable, tuple[str, Sequence[Any]]] = {}

    def record(self, write: Write) -> None:
        """Add the rows to the last write to their table, if that is of the same kind, or changes the same rows."""
        table = columns_of(write.kind.model).table
        self.memory = {query: result for query, result in self.memory.items() if table not in result[0]}
        earlier = self._of_model.setdefault(write.kind.model, [])
        if earlier and (merged := _merged(earlier[-1], write)) is not None:
            write = merged
            self._writes.remove(earlier.pop())
        if earlier and _has_other_rows_of_kind(earlier[-1], write):
            earlier[-1].rows += write.rows
            earlier[-1].keys |= write.keys
        else:
            earlier.append(write)
            self._writes.append(write)

    def flush(self) -> None:
        """Write what was recorded, in one round trip."""
        writes = self._forget()
        self._is_flushing = True
        try:
            execute(writes)
        finally:
            self._is_flushing = False

    def must_precede(self, text: str) -> bool:
        """Whether a query reads a table to which something was recorded: its name is in the text."""
        return any(columns_of(model).table in text for model in self._of_model)

    def before_statement(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        """Have everything written before a statement that may depend on it: a wrapper of Django's `execute`."""
        if not self._is_flushing:
            text = sql if isinstance(sql, str) else ""
            if text.startswith("ROLLBACK TO"):
                self._forget()  # All of it was recorded after the SAVEPOINT, which had everything before it written.
            elif self._writes and text.startswith("RELEASE"):
                self._flush_before_release(text, execute, context)
            elif self._writes and (not text.startswith("SELECT") or self.must_precede(text)):
                self.flush()
            if not text.startswith(_HARMLESS):
                self.memory.clear()
        return execute(sql, params, many, context)

    def _flush_before_release(self, text: str, execute: Callable[..., Any], context: dict[str, Any]) -> None:
        """Write what a savepoint recorded last. Django rolls a savepoint back only for an error of the database."""
        try:
            self.flush()
        except (StaleState, AssertionError):
            self.memory.clear()
            connection.needs_rollback = False  # All that was written with it is undone here.
            execute(text.replace("RELEASE", "ROLLBACK TO", 1), None, False, context)
            execute(text, None, False, context)
            raise

    def _forget(self) -> list[Write]:
        writes = self._writes
        self._writes, self._of_model = [], {}
        return writes


def _has_other_rows_of_kind(first: Write, second: Write) -> bool:
    return first.kind == second.kind and first.keys.isdisjoint(second.keys)


def _merged(first: Write, second: Write) -> Write | None:
    """One update that does what two of the same rows do; None if the second depends on what the first writes."""
    kind, other = first.kind, second.kind
    if not (kind.match and other.match and first.keys == second.keys and first.is_counted and second.is_counted):
        return None
    key = f"was_{kind.match[0]}"
    if [row[key] for row in first.rows] != [row[key] for row in second.rows]:
        return None
    if not set(other.match).isdisjoint((*kind.columns, *kind.now)):
        return None
    now = {*kind.now, *other.now}.difference(other.columns)
    return Write(
        kind._replace(
            columns=tuple(name for name in dict.fromkeys((*kind.columns, *other.columns)) if name not in now),
            now=tuple(name for name in dict.fromkeys((*kind.now, *other.now)) if name in now),
            match=tuple(dict.fromkeys((*kind.match, *other.match))),
        ),
        [before | after for before, after in zip(first.rows, second.rows, strict=True)],
        first.keys,
    )


_open: ContextVar[WriteSet | None] = ContextVar("write_set", default=None)


@contextmanager
def atomic() -> Iterator[None]:
    """A durable transaction with a write set, written right before COMMIT. Also a decorator.

    Raises TransactionManagementError when an error that was caught inside left nothing to commit: a verb that returns
    has committed.
    """
    with transaction.atomic(durable=True):
        write_set = WriteSet()
        token = _open.set(write_set)
        try:
            with connection.execute_wrapper(write_set.before_statement):
                yield
                if connection.needs_rollback:
                    raise transaction.TransactionManagementError("an error was caught inside; nothing is committed")
                write_set.flush()
        finally:
            _open.reset(token)


def flush(*texts: str) -> None:
    """Write what the open write set has recorded, if there is one; for `texts` only if one of them reads it."""
    write_set = _open.get()
    if write_set is not None and (not texts or any(write_set.must_precede(text) for text in texts)):
        write_set.flush()


def remember(query: Hashable, text: str, rows: Sequence[Any]) -> None:
    """Remember the rows of a query until the write set changes a table that its text names."""
    write_set = _open.get()
    if write_set is not None:
        write_set.memory[query] = (text, rows)


def recall(query: Hashable) -> Sequence[Any] | None:
    """The rows of a query, if the open write set remembers them."""
    write_set = _open.get()
    return write_set.memory[query][1] if write_set is not None and query in write_set.memory else None


def insert(rows: Iterable[models.Model], *, ignore_conflicts: bool = False) -> None:
    """Insert rows of one model, whose keys are ours. What the database fills in is not read back.

    Rows with a value that only SQL can compute are inserted immediately.
    """
    several = list(rows)
    if not several:
        return
    if any(_is_expression(value) for row in several for value in vars(row).values()):
        type(several[0])._default_manager.bulk_create(several, ignore_conflicts=ignore_conflicts)
        return
    for row in several:
        row._state.adding, row._state.db = False, connection.alias
    _insert(type(several[0]), [vars(row) for row in several], ignore_conflicts=ignore_conflicts)


def insert_values(model: Model, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows that need no instance, by attribute. What is not named has the model's default."""
    columns = columns_of(model)
    complete = [
        {**columns.constants, **{name: make() for name, make in columns.factories.items() if name not in row}, **row}
        for row in rows
    ]
    if complete:
        _insert(model, complete, ignore_conflicts=False)


def _insert(model: Model, rows: Sequence[Mapping[str, Any]], *, ignore_conflicts: bool) -> None:
    writes: dict[Kind, Write] = {}
    for row in rows:
        values, now = _split(
            model, {name: value for name, value in row.items() if value.__class__ is not DatabaseDefault}
        )
        kind = Kind(model, tuple(values), now, ignore_conflicts=ignore_conflicts)
        writes.setdefault(kind, Write(kind, [], is_counted=not ignore_conflicts)).rows.append(values)
    for write in writes.values():
        _record(write)


def _split(model: Model, fields: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values by column, and the columns that the database sets to its time. What is no field is left out."""
    names = columns_of(model).names
    values: dict[str, Any] = {}
    now = []
    for name, value in fields.items():
        if name in names:
            if value.__class__ is Now:
                now.append(names[name])
            else:
                values[names[name]] = value.pk if isinstance(value, models.Model) else value
    return values, tuple(now)


def update(rows: models.Model | Sequence[models.Model], /, *, guard: str = "", **fields: Any) -> None:
    """Set `fields` of rows of one model, in memory too.

    With a `guard` only if the database has the same value of that field as the row in memory: StaleState if not. A row
    that is gone is an AssertionError. Both are raised when it is written; then the transaction can only be rolled back.
    """
    several = [rows] if isinstance(rows, models.Model) else list(rows)
    if not several or not fields:
        return
    model = type(several[0])
    if any(_is_expression(value) for value in fields.values()):
        _update_by_expressions(model, several, guard, fields)
        return
    columns = columns_of(model)
    values, now = _split(model, fields)
    assert len(values) + len(now) == len(fields), "each field that is set is a column"
    guarded = columns.names[guard] if guard else ""
    match = (columns.key, guarded) if guard else (columns.key,)
    write = Write(Kind(model, tuple(values), now, match), [])
    for row in several:
        found_by = {f"was_{columns.key}": row.pk}
        if guard:
            found_by[f"was_{guarded}"] = getattr(row, guard)
        write.rows.append(found_by | values)
        write.keys.add(row.pk)
    _record(write)
    for row in several:
        for name, value in fields.items():
            setattr(row, name, value)


def _is_expression(value: object) -> bool:
    """Whether only the database can compute it: the text would depend on it, and so could not be prepared."""
    return hasattr(value, "resolve_expression") and value.__class__ not in (Now, DatabaseDefault)


def _update_by_expressions(model: Model, rows: Sequence[models.Model], guard: str, fields: Mapping[str, Any]) -> None:
    """Immediately, row by row."""
    for row in rows:
        conditions = {"pk": row.pk} | ({guard: getattr(row, guard)} if guard else {})
        if not model._default_manager.filter(**conditions).update(**fields):
            transaction.set_rollback(True)
            raise StaleState(f"1 of {len(rows)} {model._meta.verbose_name_plural} changed first")
        for name, value in fields.items():
            setattr(row, name, value)


def update_matching(
    model: Model, matching: Iterable[Mapping[str, Any]], /, *, nulls: tuple[str, ...] = (), **fields: Any
) -> None:
    """Set `fields` of all rows that have the values of one of `matching` and NULL in each of `nulls`; maybe of none."""
    several = list(matching)
    if several:
        values, now = _split(model, fields)
        rows = [{f"was_{name}": value for name, value in match.items()} | values for match in several]
        kind = Kind(model, tuple(values), now, tuple(several[0]), nulls)
        _record(Write(kind, rows, {tuple(match.values()) for match in several}, is_counted=False))


def _record(write: Write) -> None:
    is_guarded = write.is_counted and write.kind.match
    assert connection.in_atomic_block or not is_guarded, "a row is changed in the transaction that locks it"
    write_set = _open.get()
    if write_set is None:
        execute([write])
    else:
        write_set.record(write)


def execute(writes: Sequence[Write]) -> None:
    """Send the statements together, and check that each touched the rows it had to."""
    if not writes:
        return
    with sent_together():
        cursors = [send(_sql_of(write.kind), [as_json(write.rows)]) for write in writes]
    for write, cursor in zip(writes, cursors, strict=True):
        if write.is_counted and cursor.rowcount != len(write.rows):
            if len(writes) > 1 or len(write.rows) > 1:
                # The others were written: not even a caller who catches this may commit that.
                transaction.set_rollback(True)
            _complain(write, len(write.rows) - cursor.rowcount)


def _complain(write: Write, missing: int) -> None:
    names = write.kind.model._meta.verbose_name_plural
    guards = [f"was_{column}" for column in write.kind.match if column != columns_of(write.kind.model).key]
    if not guards:
        raise AssertionError(f"{missing} of {len(write.rows)} {names} are gone")
    before = " or ".join(sorted({str(row[guard]) for guard in guards for row in write.rows}))
    raise StaleState(f"{missing} of {len(write.rows)} {names} left {before} first")


_statements: dict[Kind, str] = {}


def _sql_of(kind: Kind) -> str:
    if (sql := _statements.get(kind)) is None:
        sql = _statements[kind] = _update_sql(kind) if kind.match else _insert_sql(kind)
    return sql


def _insert_sql(kind: Kind) -> str:
    columns = columns_of(kind.model)
    names = ", ".join(f'"{name}"' for name in (*kind.columns, *kind.now))
    values = ", ".join([f'r."{name}"' for name in kind.columns] + ["STATEMENT_TIMESTAMP()"] * len(kind.now))
    record = ", ".join(f'"{name}" {columns.types[name]}' for name in kind.columns)
    conflicts = " ON CONFLICT DO NOTHING" if kind.ignore_conflicts else ""
    return (
        f'INSERT INTO "{columns.table}" ({names}) SELECT {values} '  # noqa: S608 - names of ours, no values
        f"FROM json_to_recordset(%s::json) AS r({record}){conflicts}"
    )


def _update_sql(kind: Kind) -> str:
    columns = columns_of(kind.model)
    changes = [f'"{name}" = r."{name}"' for name in kind.columns]
    changes += [f'"{name}" = STATEMENT_TIMESTAMP()' for name in kind.now]
    record = [f'"was_{name}" {columns.types[name]}' for name in kind.match]
    record += [f'"{name}" {columns.types[name]}' for name in kind.columns]
    conditions = [f't."{name}" = r."was_{name}"' for name in kind.match]
    conditions += [f't."{name}" IS NULL' for name in kind.nulls]
    return (
        f'UPDATE "{columns.table}" AS t SET {", ".join(changes)} '  # noqa: S608 - names of ours, no values
        f"FROM json_to_recordset(%s::json) AS r({', '.join(record)}) WHERE {' AND '.join(conditions)}"
    )
