"""The one place where a status changes.

A machine is a table of edges, kept in its app's `states.py` and named by its model as `moves`. `move` checks the
table, updates the row only if it still has the status that the caller read, and writes a StatusChange in the same
transaction. The database has the same table in a trigger, so that nothing can bypass this module.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from django.db import connection, transaction
from django.utils import timezone

from veza.core.causes import Cause
from veza.core.models import Moves, StatefulRow, StatusChange

Row = TypeVar("Row", bound=StatefulRow)


class IllegalMove(Exception):
    """The table has no such edge: an outdated update in the inbox, a bug anywhere else."""


class StaleState(Exception):
    """Another process moved the row first."""


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
    such edge and StaleState when a row no longer has the status that was read; then nothing is changed (for several
    rows the transaction, or its savepoint, can only be rolled back).
    """
    assert connection.in_atomic_block, "a status moves inside a transaction, together with what follows from it"
    several = [rows] if isinstance(rows, StatefulRow) else list(rows)
    for row in several:
        if not may_move(row, to):
            raise IllegalMove(f"{machine_name(type(row))} {row.pk}: {row.status} may not become {to}")
    moved_at = at or timezone.now()
    several.sort(key=lambda row: str(row.status))
    try:
        for start, group in groupby(several, key=lambda row: str(row.status)):
            _move_group(list(group), start, to, cause=cause, at=moved_at, fields=fields)
    except StaleState:
        if len(several) > 1:
            # Some of them have moved: not even a caller who catches this may commit that.
            transaction.set_rollback(True)
        raise


def _move_group(rows: list[Row], start: str, to: str, *, cause: Cause, at: datetime, fields: Mapping[str, Any]) -> None:
    model = type(rows[0])
    current = model._default_manager.filter(pk__in=[row.pk for row in rows], status=start)
    count = current.update(status=to, **fields)
    if count != len(rows):
        raise StaleState(f"{len(rows) - count} of {len(rows)} {model._meta.verbose_name_plural} left {start} first")
    StatusChange.objects.bulk_create(
        StatusChange(
            machine=machine_name(model),
            subject_id=row.pk,
            from_status=start,
            to_status=to,
            cause_kind=cause.kind,
            cause_id=cause.id,
            actor=cause.actor,
            reason=cause.reason,
            request_id=cause.request_id,
            correlation_id=row.correlation_id,
            at=at,
        )
        for row in rows
    )
    for row in rows:
        row.status = to
        for name, value in fields.items():
            setattr(row, name, value)
