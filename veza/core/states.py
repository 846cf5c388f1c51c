"""The one place where a status changes.

A machine is a table of edges, kept in its app's `states.py` and named by its model as `moves`. `move` checks the
table, has the row updated only if it still has the status that the caller read, and a StatusChange written in the
same transaction. The database has the same table in a trigger, so that nothing can bypass this module.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection
from django.utils import timezone

from veza.core import writes
from veza.core.causes import Cause
from veza.core.models import Moves, StatefulRow, StatusChange
from veza.core.writes import StaleState as StaleState

Row = TypeVar("Row", bound=StatefulRow)


class IllegalMove(Exception):
    """The table has no such edge: an outdated update in the inbox, a bug anywhere else."""


def machine_name(model: type[StatefulRow]) -> str:
    """The name of a machine in StatusChange and in the documentation, such as `payments.refund`."""
    return model._meta.label_lower


def edges_of(moves: Moves) -> list[str]:
    """The table as `from>to` strings in a stable order: the arguments of the trigger."""
    return sorted(f"{start}>{end}" for start, ends in moves.items() for end in ends)


def may_move(row: StatefulRow, to: str) -> bool:
    """Whether the table has an edge from the status of `row` to `to`."""
    return to in row.moves.get(row.status, frozenset())


def move(rows: Row | Sequence[Row], to: str, *, cause: Cause, at: datetime | None = None, **fields: Any) -> None:
    """Move one row, or several of one machine, to `to`, setting `fields` in the same UPDATE.

    Needs an open transaction. The instances passed in are updated too. Raises IllegalMove when the table has no
    such edge. When a row no longer has the status that was read, StaleState is raised as it is written: immediately, or
    at the end of a write set. Unless nothing else was written with it, the transaction can only be rolled back.
    """
    assert connection.in_atomic_block, "a status moves inside a transaction, together with what follows from it"
    several = [rows] if isinstance(rows, StatefulRow) else list(rows)
    for row in several:
        if not may_move(row, to):
            raise IllegalMove(f"{machine_name(type(row))} {row.pk}: {row.status} may not become {to}")
    moved_at = at or timezone.now()
    changes = [_change_of(row, to, cause=cause, at=moved_at) for row in several]
    writes.update(several, guard="status", status=to, **fields)
    writes.insert_values(StatusChange, changes)


def _change_of(row: StatefulRow, to: str, *, cause: Cause, at: datetime) -> dict[str, Any]:
    return {
        "machine": machine_name(type(row)),
        "subject_id": row.pk,
        "from_status": row.status,
        "to_status": to,
        "cause_kind": cause.kind,
        "cause_id": cause.id,
        "actor": cause.actor,
        "reason": cause.reason,
        "request_id": cause.request_id,
        "correlation_id": row.correlation_id,
        "at": at,
    }
