"""The work of every worker: claim the rows that are due, handle them one at a time, and leave a heartbeat.

Rows are the queue. The due time is also the lease: claiming a row moves its due time ahead, so a worker that dies
while it handles a row costs one lease, never a row. Due times follow the database's clock, never the worker's.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import Error, close_old_connections, connection, models, transaction
from django.db.models import Case, Value, When
from django.db.models.functions import Now

from veza.core.models import Heartbeat, KeyedRow, StatusChange

log = structlog.get_logger(__name__)
Row = TypeVar("Row", bound=KeyedRow)
Result = TypeVar("Result")
# As long as beat's usual interval, so that a backlog always has a worker; with its last batch and one slow call, a
# tick ends before Celery's soft time limit would cut it off in the middle of a row.
TICK_FOR = timedelta(seconds=60)
# No call to a provider takes longer.
ONE_CALL = timedelta(seconds=30)


@dataclass(frozen=True)
class Queue(Generic[Row]):
    """Rows that are due by `due`; a worker claims up to `batch` of them at a time for `lease`."""

    rows: "models.QuerySet[Row]"
    due: str
    lease: timedelta
    batch: int = 50

    def claim(self) -> list[Row]:
        """Claim rows whose time has come and move it ahead by the lease, in one commit.

        Rows that another worker is claiming are skipped, so no row is handed out twice within a lease.
        """
        with transaction.atomic():
            waiting = self.rows.filter(**{f"{self.due}__lte": Now()}).order_by(self.due).annotate(claimed_at=Now())
            batch = list(waiting.select_for_update(skip_locked=True, no_key=True, of=("self",))[: self.batch])
            if batch:
                self._rows_of([row.pk for row in batch]).update(**{self.due: self._leased_until(batch[0])})
        return batch

    def release(self, rows: Sequence[Row]) -> None:
        """Give rows of one batch that were not started their old due time, unless an update has set another one."""
        due_before = Case(*[When(pk=row.pk, then=Value(getattr(row, self.due))) for row in rows])
        unchanged_rows = self._rows_of([row.pk for row in rows]).filter(**{self.due: self._leased_until(rows[0])})
        unchanged_rows.update(**{self.due: due_before})

    def _rows_of(self, keys: Sequence[UUID]) -> "models.QuerySet[Row]":
        return self.rows.model._default_manager.filter(pk__in=keys)

    def _leased_until(self, row: Any) -> datetime:
        until: datetime = row.claimed_at + self.lease
        return until


@dataclass
class Tally:
    """The result of one tick. Due rows may remain: its time was over (`unfinished`), or the rest would fare no better
    (`must_end`).
    """

    done: int = 0
    failed: int = 0
    last_error: str = ""
    unfinished: bool = False
    must_end: bool = False


def tick(
    name: str,
    queue: Queue[Row],
    handle: Callable[[Row], Result],
    *,
    until: Callable[[Result], bool] = lambda result: False,
    at_once: int = 1,
    lasting: timedelta = TICK_FOR,
    call_for_help: Callable[[], object] | None = None,
) -> Tally:
    """Claim and handle due rows until none remains or `lasting` is over, `at_once` of them side by side.

    It ends early when `until` is true of the result for a row: the other rows would fare no better. After its time it
    works on its last batch for another third of that time, and then releases the rows that it has not started. A row
    that raises is logged, counted and left to its lease: it does not stop the others, and it is not retried before
    the lease is over. Inside a transaction, which threads cannot share, rows are handled one by one. A second batch
    is a backlog: `call_for_help` is called, once. A tick leaves a heartbeat.
    """
    assert queue.lease >= lasting * 4 / 3 + ONE_CALL, "a row must not be handed out again while a tick may start it"
    tally = Tally()

    def handle_one(row: Row) -> None:
        if until(handle(row)):
            tally.must_end = True

    rows = _rows(queue, tally, lasting=lasting, call_for_help=call_for_help)
    work = partial(_work, name, rows, Lock(), handle_one, tally)
    if at_once == 1 or connection.in_atomic_block:
        work()
    else:
        with ThreadPoolExecutor(at_once) as pool:
            for thread in [pool.submit(_in_a_thread, work) for _ in range(at_once)]:
                thread.result()
    beat(name, tally)
    return tally


def _rows(
    queue: Queue[Row],
    tally: Tally,
    *,
    lasting: timedelta,
    call_for_help: Callable[[], object] | None,
) -> Iterator[tuple[Row, str]]:
    """Each due row with the last web request for its correlation id."""
    batches, begin = 0, time.monotonic()

    def is_over(limit: timedelta) -> bool:
        return tally.must_end or time.monotonic() - begin > limit.total_seconds()

    while batch := queue.claim():
        batches += 1
        if batches == 2 and call_for_help is not None:
            call_for_help()
        requests = _last_requests(batch)
        for place, row in enumerate(batch):
            if place > 0 and is_over(lasting * 4 / 3):
                queue.release(batch[place:])
                break
            yield row, requests.get(row.pk, "")
        if is_over(lasting):
            tally.unfinished = not tally.must_end
            return


def _work(
    name: str, rows: Iterator[tuple[Row, str]], lock: Lock, handle: Callable[[Row], object], tally: Tally
) -> None:
    while True:
        with lock:
            _drop_dead_connections()
            item = next(rows, None)
        if item is None:
            return
        row, request_id = item
        error = _handle_one(name, row, request_id, handle)
        with lock:
            if error is None:
                tally.done += 1
            else:
                tally.failed += 1
                tally.last_error = f"{row.pk}: {type(error).__name__}: {error}"


def _handle_one(name: str, row: Row, request_id: str, handle: Callable[[Row], object]) -> Exception | None:
    with _bind_row(row, sweep=name, request_id=request_id):
        try:
            handle(row)
        except SoftTimeLimitExceeded:
            raise  # The time of the whole tick is over: no fault of this row.
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
    """A broken connection would fail for every row after this one. Inside a transaction it stays."""
    if not connection.in_atomic_block:
        close_old_connections()


def beat(name: str, tally: Tally) -> None:
    """Leave a heartbeat: the work called `name` has just finished. A tick does so by itself."""
    fields: dict[str, object] = {"beat_at": Now(), "done": tally.done, "failed": tally.failed}
    if tally.last_error:
        fields |= {"last_error": tally.last_error, "last_error_at": Now()}
    Heartbeat.objects.update_or_create(name=name, defaults=fields)


def _last_requests(rows: Iterable[KeyedRow]) -> Mapping[UUID, str]:
    """By row, the web request that last moved a row with its correlation id: one query for a whole batch.

    Nothing is queued from a request, so no message carries its id; the status changes do.
    """
    keys = {row.pk: key for row in rows if (key := getattr(row, "correlation_id", None)) is not None}
    moves = StatusChange.objects.filter(correlation_id__in=set(keys.values())).exclude(request_id="")
    newest = (
        moves.order_by("correlation_id", "-at").distinct("correlation_id").values_list("correlation_id", "request_id")
    )
    try:
        requests = dict(newest)
    except Error:  # The work itself will meet the same database, and say so.
        return {}
    return {pk: requests[key] for pk, key in keys.items() if key in requests}


@contextmanager
def _bind_row(row: KeyedRow, *, sweep: str, request_id: str) -> Iterator[None]:
    """Inside, every log line carries the sweep, the row, its correlation id, and the last request for that id.

    So one search for an id finds the buyer's request, the webhook, and what a worker did about it minutes later.
    """
    context = {"sweep": sweep, "row": str(row.pk)}
    correlation_id = getattr(row, "correlation_id", None)
    if correlation_id is not None:
        context |= {"correlation_id": str(correlation_id), "request_id": request_id}
    with structlog.contextvars.bound_contextvars(**context):
        yield
