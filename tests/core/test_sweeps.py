"""Rows that are due are handed out once, one bad row stops nobody, and every tick leaves a heartbeat."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace

import pytest
import time_machine
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.db.models.functions import Now

from payments.models import Payment
from tests.core.rows import make_payment
from veza.core import sweeps
from veza.core.models import Heartbeat
from veza.core.sweeps import Queue, tick

pytestmark = pytest.mark.django_db
LEASE = timedelta(minutes=5)


def make_due(number: int = 1, **age) -> list[Payment]:
    """Payments whose time came a minute ago, unless `age` says another time; oldest first."""
    payments = [make_payment() for _ in range(number)]
    for place, payment in enumerate(payments):
        ago = timedelta(**age or {"minutes": 1}) - timedelta(milliseconds=place)
        Payment.objects.filter(pk=payment.pk).update(next_attempt_at=Now() - ago)
    return payments


def queue(batch: int = 50) -> Queue[Payment]:
    return Queue(Payment.objects.all(), due="next_attempt_at", lease=LEASE, batch=batch)


def claim(batch: int = 50) -> list[Payment]:
    return queue(batch).claim()


def keys(payments) -> list:
    return [payment.pk for payment in payments]


def test_rows_that_are_due_are_taken_oldest_first_up_to_the_limit():
    due = make_due(3)

    assert keys(claim(2)) == keys(due[:2])
    assert keys(claim(2)) == keys(due[2:])


def test_rows_that_are_not_due_are_left():
    make_due(minutes=-1)
    make_payment()

    assert claim() == []


def test_a_row_in_somebodys_hand_comes_back_when_the_lease_is_over():
    (payment,) = make_due()
    claim()

    assert claim() == []
    Payment.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    assert keys(claim()) == [payment.pk]


def test_the_lease_is_counted_from_the_databases_clock():
    make_due()

    with time_machine.travel(timedelta(days=1)):
        claim()
        assert claim() == []


@pytest.mark.django_db(transaction=True)
def test_a_row_that_another_worker_is_taking_is_passed_over():
    locked_row, free = make_due(2)

    def taken_elsewhere() -> list:
        try:
            return keys(claim())
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as threads:
        Payment.objects.select_for_update(no_key=True).get(pk=locked_row.pk)
        assert threads.submit(taken_elsewhere).result(timeout=10) == [free.pk]


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_hand_no_row_out_twice_and_forget_none():
    due, together = make_due(40), Barrier(4)

    def work(_) -> list:
        try:
            together.wait(timeout=10)
            return [key for _ in range(20) for key in keys(claim(3))]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        handed_out = Counter(key for keys_of_one in threads.map(work, range(4)) for key in keys_of_one)

    assert handed_out == Counter(keys(due))


def test_a_tick_goes_on_until_nothing_is_due():
    make_due(7)
    rows = []

    tally = tick("test", queue(2), rows.append)

    assert (len(rows), tally.done, tally.failed) == (7, 7, 0)


def test_a_tick_ends_when_its_time_is_over_and_says_that_rows_are_left():
    make_due(3)
    rows = []

    tally = tick("test", queue(), rows.append, lasting=timedelta(0))

    assert (len(rows), tally.done, tally.unfinished) == (1, 1, True)


@pytest.mark.parametrize(("a_row_takes", "started_rows"), [(60, 2), (140, 1)])
def test_a_tick_whose_time_is_over_still_finishes_its_batch_if_soon(monkeypatch, a_row_takes, started_rows):
    make_due(4)
    rows, clock = [], [0.0]
    monkeypatch.setattr(sweeps, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def handle(payment):
        rows.append(payment)
        clock[0] += a_row_takes

    tally = tick("test", queue(2), handle, lasting=timedelta(seconds=100))

    assert (len(rows), tally.unfinished) == (started_rows, True)


def test_rows_not_begun_when_a_tick_ends_keep_their_place():
    due = make_due(3)

    tick("test", queue(), print, lasting=timedelta(0))
    make_due(seconds=1)

    assert keys(claim(2)) == keys(due[1:])


def test_rows_not_begun_keep_the_due_time_an_update_gave_them():
    _first, with_news, without = make_due(3)

    def handle(payment):
        Payment.objects.filter(pk=with_news.pk).update(next_attempt_at=Now() + timedelta(hours=1))

    tick("test", queue(), handle, lasting=timedelta(0))

    assert keys(claim()) == [without.pk]


def test_a_tick_ends_at_a_row_that_says_the_others_would_fare_no_better():
    due = make_due(5)
    rows = []

    def handle(payment):
        rows.append(payment)
        return "shut" if len(rows) == 3 else "open"

    tally = tick("test", queue(2), handle, until=lambda result: result == "shut")

    assert (keys(rows), tally.done, tally.unfinished) == (keys(due[:3]), 3, False)
    assert keys(claim()) == keys([due[3], due[4]])


@pytest.mark.django_db(transaction=True)
def test_no_more_rows_are_begun_when_one_of_several_says_so():
    make_due(8)
    together = Barrier(2)

    def handle(payment):
        together.wait(timeout=10)
        return True

    tally = tick("test", queue(), handle, until=bool, at_once=2)

    assert (tally.done, len(claim())) == (2, 6)


def test_a_lease_shorter_than_the_tick_is_refused():
    with pytest.raises(AssertionError, match="handed out again"):
        tick("test", queue(), print, lasting=LEASE)


def test_a_tick_that_left_nothing_is_finished():
    make_due(3)

    assert tick("test", queue(), print).unfinished is False


@pytest.mark.parametrize(("number", "calls"), [(2, 0), (3, 1), (9, 1)])
def test_a_second_batch_is_a_backlog_and_help_is_called_once(number, calls):
    make_due(number)
    times = []

    tick("test", queue(2), print, call_for_help=lambda: times.append(1))

    assert len(times) == calls


def test_a_poison_row_is_counted_and_stops_nobody():
    poison = make_due(5)[2]
    rows = []

    def handle(payment):
        if payment.pk == poison.pk:
            raise ZeroDivisionError("as always")
        rows.append(payment)

    tally = tick("test", queue(), handle)

    assert (len(rows), tally.done, tally.failed) == (4, 4, 1)
    assert tally.last_error == f"{poison.pk}: ZeroDivisionError: as always"
    assert claim() == []


def test_a_tick_that_is_cut_off_blames_no_row_and_leaves_no_heartbeat():
    make_due(3)

    def handle(payment):
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        tick("test", queue(), handle)

    assert not Heartbeat.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_costs_one_row():
    make_due(4)
    rows = []

    def handle(payment):
        rows.append(payment)
        if len(rows) == 2:
            connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

    tally = tick("test", queue(), handle)

    assert (len(rows), tally.done, tally.failed) == (4, 3, 1)


def test_a_tick_leaves_a_heartbeat_even_when_nothing_was_due():
    tick("test", queue(), print)

    beat = Heartbeat.objects.get(name="test")
    assert (beat.done, beat.failed, beat.last_error) == (0, 0, "")


def test_the_last_error_stays_until_there_is_another():
    make_due()
    tick("test", queue(), lambda payment: 1 / 0)
    before = Heartbeat.objects.get(name="test")

    tick("test", queue(), print)

    beat = Heartbeat.objects.get(name="test")
    assert beat.failed == 0
    assert (beat.last_error, beat.last_error_at) == (before.last_error, before.last_error_at)
    assert "ZeroDivisionError" in beat.last_error
