"""The plain way to write what a write set has recorded: one statement for each row, through the ORM.

Slow and obvious. Tests give the same work to both writers and compare the rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from django.db.models.functions import Now

from veza.core.statements import columns_of
from veza.core.writes import StaleState, Write


@contextmanager
def reference_writer() -> Iterator[None]:
    """Inside, write sets are written by the reference writer."""
    with patch("veza.core.writes.execute", execute):
        yield


def execute(writes: Sequence[Write]) -> None:
    """Stands in for `veza.core.writes.execute`."""
    for write in writes:
        for row in write.rows:
            count = _update(write, row) if write.kind.match else _insert(write, row)
            if write.is_counted and count != 1:
                is_guarded = write.kind.match != (columns_of(write.kind.model).key,)
                raise StaleState(row) if is_guarded else AssertionError(row)


def _insert(write: Write, row: dict[str, Any]) -> int:
    instance = write.kind.model(**row, **dict.fromkeys(write.kind.now, Now()))
    write.kind.model._base_manager.bulk_create([instance], ignore_conflicts=write.kind.ignore_conflicts)
    return 1


def _update(write: Write, row: dict[str, Any]) -> int:
    found_by = {name: row[f"was_{name}"] for name in write.kind.match}
    found_by |= {f"{name}__isnull": True for name in write.kind.nulls}
    values = {name: row[name] for name in write.kind.columns} | dict.fromkeys(write.kind.now, Now())
    return write.kind.model._base_manager.filter(**found_by).update(**values)
