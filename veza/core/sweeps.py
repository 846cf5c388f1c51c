"""What every worker does: take the rows that are due, one at a time, and say that it is alive.

Rows are the queue. The due time is also the lease: claiming a row moves its due time ahead, so a worker that dies
with a row in its hand costs one lease, never a row. Due times are the database's clock, never the worker's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import TypeVar

import structlog
from django.db import close_old_connections, connection, models, transaction
from django.db.models.functions import Now

from veza.core.models import Heartbeat, KeyedRow
from veza.core.traces import following, last_requests

log = structlog.get_logger(__name__)
Row = TypeVar("Row", bound=KeyedRow)
# As long as beat's usual interval, so that a backlog is never without a worker; with what is in hand then, and one slow
# call, a tick ends before Celery's soft time limit would cut it off in the middle of a row.
TICK_FOR = timedelta(seconds=60)


def claim(rows: "models.QuerySet[Row]", *, due: str, lease: timedelta, limit: int = 50) -> list[Row]:
    """Take up to `limit` of `rows` whose `due` time has come and move it ahead by `lease`, in one commit.

    Rows that another worker is taking are passed over, so no row is handed out twice within a lease.
    """
    with transaction.atomic():
        waiting = rows.filter(**{f"{due}__lte": Now()}).order_by(due)
        taken = list(waiting.select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit])
        if taken:
            rows.model._default_manager.filter(pk__in=[row.pk for row in taken]).update(**{due: Now() + lease})
    return taken


@dataclass
class Tally:
    """What one tick came to. `unfinished`: its time was over, and rows may be left."""

    done: int = 0
    failed: int = 0
    last_error: str = ""
    unfinished: bool = False


def tick(
    name: str,
    *,
    take: Callable[[], Sequence[Row]],
    handle: Callable[[Row], object],
    at_once: int = 1,
    lasting: timedelta = TICK_FOR,
    call_for_help: Callable[[], object] | None = None,
) -> Tally:
    """Take and handle due rows until none is left or `lasting` is over, `at_once` of them side by side.

    What is in hand then is worked off for a third of that time more; the rest is left to its lease. A row that
    raises is logged, counted and left to its lease too: it does not stop the others, and it does not come back
    before the lease is over. Inside a transaction, which threads cannot share, rows go one by one.
    A second batch is a backlog: `call_for_help` is called, once. A tick leaves a heartbeat.
    """
    tally = Tally()
    rows = _rows(take, tally, lasting=lasting, call_for_help=call_for_help)
    work = partial(_work, name, rows, Lock(), handle, tally)
    if at_once == 1 or connection.in_atomic_block:
        work()
    else:
        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(_in_a_thread, work) for _ in range(at_once)]:
                done.result()
    beat(name, tally)
    return tally


def _rows(
    take: Callable[[], Sequence[Row]],
    tally: Tally,
    *,
    lasting: timedelta,
    call_for_help: Callable[[], object] | None,
) -> Iterator[tuple[Row, str]]:
    """Each due row with the request that last moved its story."""
    batches, started = 0, time.monotonic()
    while batch := take():
        batches += 1
        if batches == 2 and call_for_help is not None:
            call_for_help()
        asked_by = last_requests(batch)
        for row in batch:
            yield row, asked_by.get(row.pk, "")
            if time.monotonic() - started > (lasting * 4 / 3).total_seconds():
                break
        if time.monotonic() - started > lasting.total_seconds():
            tally.unfinished = True
            return


def _work(
    name: str, rows: Iterator[tuple[Row, str]], lock: Lock, handle: Callable[[Row], object], tally: Tally
) -> None:
    while True:
        with lock:
            _drop_dead_connections()
            taken = next(rows, None)
        if taken is None:
            return
        row, request_id = taken
        error = _handled(name, row, request_id, handle)
        with lock:
            if error is None:
                tally.done += 1
            else:
                tally.failed += 1
                tally.last_error = f"{row.pk}: {type(error).__name__}: {error}"


def _handled(name: str, row: Row, request_id: str, handle: Callable[[Row], object]) -> Exception | None:
    with following(row, sweep=name, request_id=request_id):
        try:
            handle(row)
        except Exception as error:
            log.exception("sweep_row_failed")
            return error
    return None


def _in_a_thread(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connection.close()  # A thread's connection is its own, and ends with it.


def _drop_dead_connections() -> None:
    """A connection that broke would fail for every row after this one. Inside a transaction it is kept."""
    if not connection.in_atomic_block:
        close_old_connections()


def beat(name: str, tally: Tally) -> None:
    """Leave a heartbeat: the work called `name` has come to its end just now. A tick does so by itself."""
    seen: dict[str, object] = {"beat_at": Now(), "done": tally.done, "failed": tally.failed}
    if tally.last_error:
        seen |= {"last_error": tally.last_error, "last_error_at": Now()}
    Heartbeat.objects.update_or_create(name=name, defaults=seen)
