"""Migration operations that put a rule or an index into the database. Migrations hold literals: they import no table
of moves.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState


class _DatabaseOnly(Operation):
    reversible = True
    reduces_to_sql = True

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """The models do not change."""

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        name, arguments, keywords = super().deconstruct()
        return name, list(arguments), dict(keywords)


class GuardMoves(_DatabaseOnly):
    """Let the rows of `table` move only along `edges`, each written `from>to`.

    A later migration that changes the table names the `previous` edges, so that it can be reversed.
    """

    def __init__(self, table: str, edges: Sequence[str], previous: Sequence[str] = ()) -> None:
        self.table, self.edges, self.previous = table, edges, previous

    def database_forwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, before: ProjectState, after: ProjectState
    ) -> None:
        self._install(editor, self.edges)

    def database_backwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, before: ProjectState, after: ProjectState
    ) -> None:
        self._install(editor, self.previous)

    def _install(self, editor: BaseDatabaseSchemaEditor, edges: Sequence[str]) -> None:
        trigger, table = editor.quote_name(f"{self.table}_guard_moves"), editor.quote_name(self.table)
        editor.execute(f"DROP TRIGGER IF EXISTS {trigger} ON {table}")
        if edges:
            arguments = ", ".join(editor.quote_value(edge) for edge in edges)
            editor.execute(
                f"CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH ROW "
                f"WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION core_guard_moves({arguments})"
            )

    def describe(self) -> str:
        return f"Guard the moves of {self.table}"


class AppendOnly(_DatabaseOnly):
    """Refuse every UPDATE and DELETE of `table`: rows are final."""

    def __init__(self, table: str) -> None:
        self.table = table

    def database_forwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, before: ProjectState, after: ProjectState
    ) -> None:
        trigger, table = editor.quote_name(f"{self.table}_append_only"), editor.quote_name(self.table)
        editor.execute(
            f"CREATE TRIGGER {trigger} BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION core_refuse_change()"
        )

    def database_backwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, before: ProjectState, after: ProjectState
    ) -> None:
        trigger, table = editor.quote_name(f"{self.table}_append_only"), editor.quote_name(self.table)
        editor.execute(f"DROP TRIGGER {trigger} ON {table}")

    def describe(self) -> str:
        return f"Make {self.table} append-only"


class Frozen(_DatabaseOnly):
    """Refuse every UPDATE that changes one of `columns` of `table`: another value is another row."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self.table, self.columns = table, columns

    def database_forwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, before: ProjectState, after: ProjectState
    ) -> None:
        trigger, table = editor.quote_name(f"{self.table}_frozen"), editor.quote_name(self.table)
        names = [editor.quote_name(column) for column in self.columns]
        changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in names)
        editor.execute(
            f"CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) "
            "EXECUTE FUNCTION core_refuse_change()"
        )

    def database_backwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, before: ProjectState, after: ProjectState
    ) -> None:
        trigger, table = editor.quote_name(f"{self.table}_frozen"), editor.quote_name(self.table)
        editor.execute(f"DROP TRIGGER {trigger} ON {table}")

    def describe(self) -> str:
        return f"Freeze columns of {self.table}"


def without_time_limit() -> RunSQL:
    """The first operation wherever tables of any size are indexed: our settings end a statement after some seconds."""
    return RunSQL("SET statement_timeout = 0", RunSQL.noop, elidable=True)


def create_index(name: str, definition: str) -> RunSQL:
    """Create an index while rows are read and written: `definition` follows ON. Needs `atomic = False`."""
    return RunSQL(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}", _drop(name))


def drop_index(name: str, definition: str) -> RunSQL:
    """Drop an index while rows are read and written; `definition`, which follows ON, makes it again."""
    return RunSQL(_drop(name), f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}")


def _drop(name: str) -> str:
    return f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
