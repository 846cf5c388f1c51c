"""What every worker does: take the rows that are due, one at a time, and say that it is alive.

Rows are the queue. The due time is also the lease: claiming a row moves its due time ahead, so a worker that dies
with a row in its hand costs one lease, never a row. Due times are the database's clock, never the worker's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import close_old_connections, connection, models, transaction
from django.db.models import Case, Value, When
from django.db.models.functions import Now

from veza.core.models import Heartbeat, KeyedRow
from veza.core.traces import following, last_requests

log = structlog.get_logger(__name__)
Row = TypeVar("Row", bound=KeyedRow)
Result = TypeVar("Result")
# As long as beat's usual interval, so that a backlog is never without a worker; with what is in hand then, and one slow
# call, a tick ends before Celery's soft time limit would cut it off in the middle of a row.
TICK_FOR = timedelta(seconds=60)
# No call to a provider takes longer.
ONE_CALL = timedelta(seconds=30)


@dataclass(frozen=True)
class Queue(Generic[Row]):
    """Rows that are due by `due`; a worker takes up to `batch` of them at a time and keeps them for `lease`."""

    rows: "models.QuerySet[Row]"
    due: str
    lease: timedelta
    batch: int = 50

    def take(self) -> list[Row]:
        """Take rows whose time has come and move it ahead by the lease, in one commit.

        Rows that another worker is taking are passed over, so no row is handed out twice within a lease.
        """
        with transaction.atomic():
            waiting = self.rows.filter(**{f"{self.due}__lte": Now()}).order_by(self.due).annotate(taken_at=Now())
            taken = list(waiting.select_for_update(skip_locked=True, no_key=True, of=("self",))[: self.batch])
            if taken:
                self._these(taken).update(**{self.due: self._leased_until(taken[0])})
        return taken

    def give_back(self, rows: Sequence[Row]) -> None:
        """Rows of one batch that were not begun have their old place again, unless news gave one another time."""
        as_it_was = Case(*[When(pk=row.pk, then=Value(getattr(row, self.due))) for row in rows])
        in_hand = self._these(rows).filter(**{self.due: self._leased_until(rows[0])})
        in_hand.update(**{self.due: as_it_was})

    def _these(self, rows: Sequence[Row]) -> "models.QuerySet[Row]":
        return self.rows.model._default_manager.filter(pk__in=[row.pk for row in rows])

    def _leased_until(self, row: Any) -> datetime:
        until: datetime = row.taken_at + self.lease
        return until


@dataclass
class Tally:
    """What one tick came to. Rows may be left: its time was over (`unfinished`), or the rest would fare no better
    (`ended`).
    """

    done: int = 0
    failed: int = 0
    last_error: str = ""
    unfinished: bool = False
    ended: bool = False


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
    """Take and handle due rows until none is left or `lasting` is over, `at_once` of them side by side.

    It ends early when `until` says so of what a row came to: the other rows would fare no better. What is in hand
    when its time is over is worked off for a third of that time more. Rows of the batch that are not begun by then
    are given back. A row that raises is logged, counted and left to its lease: it does not stop the others, and it
    does not come back before the lease is over. Inside a transaction, which threads cannot share, rows go one by
    one. A second batch is a backlog: `call_for_help` is called, once. A tick leaves a heartbeat.
    """
    assert queue.lease >= lasting * 4 / 3 + ONE_CALL, "a row must not be handed out again while a tick may begin it"
    tally = Tally()

    def handle_one(row: Row) -> None:
        if until(handle(row)):
            tally.ended = True

    rows = _rows(queue, tally, lasting=lasting, call_for_help=call_for_help)
    work = partial(_work, name, rows, Lock(), handle_one, tally)
    if at_once == 1 or connection.in_atomic_block:
        work()
    else:
        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(_in_a_thread, work) for _ in range(at_once)]:
                done.result()
    beat(name, tally)
    return tally


def _rows(
    queue: Queue[Row],
    tally: Tally,
    *,
    lasting: timedelta,
    call_for_help: Callable[[], object] | None,
) -> Iterator[tuple[Row, str]]:
    """Each due row with the request that last moved its story."""
    batches, started = 0, time.monotonic()

    def is_over(time_given: timedelta) -> bool:
        return tally.ended or time.monotonic() - started > time_given.total_seconds()

    while batch := queue.take():
        batches += 1
        if batches == 2 and call_for_help is not None:
            call_for_help()
        asked_by = last_requests(batch)
        for place, row in enumerate(batch):
            if place > 0 and is_over(lasting * 4 / 3):
                queue.give_back(batch[place:])
                break
            yield row, asked_by.get(row.pk, "")
        if is_over(lasting):
            tally.unfinished = not tally.ended
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
        except SoftTimeLimitExceeded:
            raise  # The time of the whole is over: no fault of this row.
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
    snapshot: dict[str, object] = {"beat_at": Now(), "done": tally.done, "failed": tally.failed}
    if tally.last_error:
        snapshot |= {"last_error": tally.last_error, "last_error_at": Now()}
    Heartbeat.objects.update_or_create(name=name, defaults=snapshot)
