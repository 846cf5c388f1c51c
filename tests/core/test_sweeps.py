"""Rows that are due are handed out once, one bad row stops nobody, and every tick leaves a heartbeat."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace

import pytest
import time_machine
from django.db import connection, transaction
from django.db.models.functions import Now

from payments.models import Payment
from tests.core.test_states import make_payment
from veza.core import sweeps
from veza.core.models import Heartbeat
from veza.core.sweeps import claim, tick

pytestmark = pytest.mark.django_db
LEASE = timedelta(minutes=5)


def make_due(number: int = 1, **age) -> list[Payment]:
    """Payments whose time came a minute ago, unless `age` says another time; oldest first."""
    payments = [make_payment() for _ in range(number)]
    for place, payment in enumerate(payments):
        ago = timedelta(**age or {"minutes": 1}) - timedelta(milliseconds=place)
        Payment.objects.filter(pk=payment.pk).update(next_check_at=Now() - ago)
    return payments


def take(limit: int = 50) -> list[Payment]:
    return claim(Payment.objects.all(), due="next_check_at", lease=LEASE, limit=limit)


def keys(payments) -> list:
    return [payment.pk for payment in payments]


def test_rows_that_are_due_are_taken_oldest_first_up_to_the_limit():
    due = make_due(3)

    assert keys(take(limit=2)) == keys(due[:2])
    assert keys(take(limit=2)) == keys(due[2:])


def test_rows_that_are_not_due_are_left():
    make_due(minutes=-1)
    make_payment()

    assert take() == []


def test_a_row_in_somebodys_hand_comes_back_when_the_lease_is_over():
    (payment,) = make_due()
    take()

    assert take() == []
    Payment.objects.update(next_check_at=Now() - timedelta(seconds=1))
    assert keys(take()) == [payment.pk]


def test_the_lease_is_counted_from_the_databases_clock():
    make_due()

    with time_machine.travel(timedelta(days=1)):
        take()
        assert take() == []


@pytest.mark.django_db(transaction=True)
def test_a_row_that_another_worker_is_taking_is_passed_over():
    taken, free = make_due(2)

    def taken_elsewhere() -> list:
        try:
            return keys(take())
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as threads:
        Payment.objects.select_for_update(no_key=True).get(pk=taken.pk)
        assert threads.submit(taken_elsewhere).result(timeout=10) == [free.pk]


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_hand_no_row_out_twice_and_forget_none():
    due, together = make_due(40), Barrier(4)

    def work(_) -> list:
        try:
            together.wait(timeout=10)
            return [key for _ in range(20) for key in keys(take(limit=3))]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        handed_out = Counter(key for keys_of_one in threads.map(work, range(4)) for key in keys_of_one)

    assert handed_out == Counter(keys(due))


def test_a_tick_goes_on_until_nothing_is_due():
    make_due(7)
    handled = []

    tally = tick("test", take=lambda: take(limit=2), handle=handled.append)

    assert (len(handled), tally.done, tally.failed) == (7, 7, 0)


def test_a_tick_ends_when_its_time_is_over_and_says_that_rows_are_left():
    make_due(3)
    handled = []

    tally = tick("test", take=take, handle=handled.append, lasting=timedelta(0))

    assert (len(handled), tally.done, tally.unfinished) == (1, 1, True)


@pytest.mark.parametrize(("a_row_takes", "begun"), [(60, 2), (140, 1)])
def test_a_tick_whose_time_is_over_works_off_what_is_in_hand_if_that_is_soon(monkeypatch, a_row_takes, begun):
    make_due(4)
    handled, clock = [], [0.0]
    monkeypatch.setattr(sweeps, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def handle(payment):
        handled.append(payment)
        clock[0] += a_row_takes

    tally = tick("test", take=lambda: take(limit=2), handle=handle, lasting=timedelta(seconds=100))

    assert (len(handled), tally.unfinished) == (begun, True)


def test_a_tick_that_left_nothing_is_finished():
    make_due(3)

    assert tick("test", take=take, handle=print).unfinished is False


@pytest.mark.parametrize(("number", "calls"), [(2, 0), (3, 1), (9, 1)])
def test_a_second_batch_is_a_backlog_and_help_is_called_once(number, calls):
    make_due(number)
    called = []

    tick("test", take=lambda: take(limit=2), handle=print, call_for_help=lambda: called.append(1))

    assert len(called) == calls


def test_a_poison_row_is_counted_and_stops_nobody():
    poison = make_due(5)[2]
    handled = []

    def handle(payment):
        if payment.pk == poison.pk:
            raise ZeroDivisionError("as always")
        handled.append(payment)

    tally = tick("test", take=take, handle=handle)

    assert (len(handled), tally.done, tally.failed) == (4, 4, 1)
    assert tally.last_error == f"{poison.pk}: ZeroDivisionError: as always"
    assert take() == []


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_costs_one_row():
    make_due(4)
    handled = []

    def handle(payment):
        handled.append(payment)
        if len(handled) == 2:
            connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

    tally = tick("test", take=take, handle=handle)

    assert (len(handled), tally.done, tally.failed) == (4, 3, 1)


def test_a_tick_leaves_a_heartbeat_even_when_nothing_was_due():
    tick("test", take=take, handle=print)

    beat = Heartbeat.objects.get(name="test")
    assert (beat.done, beat.failed, beat.last_error) == (0, 0, "")


def test_the_last_error_stays_until_there_is_another():
    make_due()
    tick("test", take=take, handle=lambda payment: 1 / 0)
    failed = Heartbeat.objects.get(name="test")

    tick("test", take=take, handle=print)

    beat = Heartbeat.objects.get(name="test")
    assert beat.failed == 0
    assert (beat.last_error, beat.last_error_at) == (failed.last_error, failed.last_error_at)
    assert "ZeroDivisionError" in beat.last_error
