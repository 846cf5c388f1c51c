"""One move of one row, or of several: all of it, by one of us, and written down."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from payments.models import Payment
from payments.states import PaymentStatus
from tests.core.rows import make_payment
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import StatusChange
from veza.core.states import IllegalMove, StaleState, edges_of, machine_name, move

pytestmark = pytest.mark.django_db
BY_TEST = Cause("command", id=new_id(), actor="a test", reason="to see", request_id="req-1")


def stored_status(payment) -> str:
    return Payment.objects.values_list("status", flat=True).get(pk=payment.pk)


def move_elsewhere(payment, status) -> None:
    """What another process does while we hold the row as it was."""
    move(Payment.objects.get(pk=payment.pk), status, cause=BY_TEST)


def test_a_move_changes_the_row_and_the_named_fields_only():
    payment, at = make_payment(error_code="old"), timezone.now()
    Payment.objects.filter(pk=payment.pk).update(attempts=7)

    move(payment, PaymentStatus.SUCCEEDED, cause=BY_TEST, succeeded_at=at)

    row = Payment.objects.get(pk=payment.pk)
    assert (row.status, row.succeeded_at, row.attempts, row.error_code) == ("succeeded", at, 7, "old")
    assert (payment.status, payment.succeeded_at) == ("succeeded", at)


def test_a_move_is_written_down_with_its_cause():
    payment, at = make_payment(), timezone.now()

    move(payment, PaymentStatus.PENDING, cause=BY_TEST, at=at)

    change = StatusChange.objects.get(subject_id=payment.pk)
    assert (change.machine, change.from_status, change.to_status) == ("payments.payment", "created", "pending")
    assert (change.correlation_id, change.at) == (payment.correlation_id, at)
    assert Cause(change.cause_kind, change.cause_id, change.actor, change.reason, change.request_id) == BY_TEST


def test_several_rows_move_together_from_wherever_each_stands():
    payments = [make_payment() for _ in range(3)]
    move_elsewhere(payments[1], PaymentStatus.PENDING)
    payments[1].refresh_from_db()

    move(payments, PaymentStatus.CANCELLED, cause=BY_TEST)

    assert {stored_status(payment) for payment in payments} == {"cancelled"}
    assert StatusChange.objects.filter(to_status="cancelled").count() == 3


def test_several_rows_of_one_status_cost_two_statements(django_assert_num_queries):
    payments = [make_payment() for _ in range(5)]

    with django_assert_num_queries(2):
        move(payments, PaymentStatus.PENDING, cause=BY_TEST)


def test_no_rows_at_all_is_nothing_to_do(django_assert_num_queries):
    with django_assert_num_queries(0):
        move([], PaymentStatus.PENDING, cause=BY_TEST)


def test_a_move_the_table_does_not_have_changes_nothing():
    payment = make_payment()
    move(payment, PaymentStatus.SUCCEEDED, cause=BY_TEST)

    with pytest.raises(IllegalMove, match="succeeded may not become pending"):
        move(payment, PaymentStatus.PENDING, cause=BY_TEST)

    assert (stored_status(payment), payment.status) == ("succeeded", "succeeded")


def test_of_several_rows_one_illegal_move_stops_all():
    old, new = make_payment(), make_payment()
    move(old, PaymentStatus.SUCCEEDED, cause=BY_TEST)

    with pytest.raises(IllegalMove):
        move([new, old], PaymentStatus.PENDING, cause=BY_TEST)

    assert stored_status(new) == "created"


def test_whoever_holds_an_old_copy_is_told_and_changes_nothing():
    payment = make_payment()
    move_elsewhere(payment, PaymentStatus.PENDING)

    with pytest.raises(StaleState):
        move(payment, PaymentStatus.FAILED, cause=BY_TEST, error_code="late")

    assert stored_status(payment) == "pending"
    assert StatusChange.objects.filter(subject_id=payment.pk).count() == 1


def test_after_one_stale_row_the_transaction_can_go_on():
    payment, other = make_payment(), make_payment()
    move_elsewhere(payment, PaymentStatus.PENDING)

    with transaction.atomic():
        with pytest.raises(StaleState):
            move(payment, PaymentStatus.FAILED, cause=BY_TEST)
        move(other, PaymentStatus.FAILED, cause=BY_TEST)

    assert stored_status(other) == "failed"


def test_one_stale_row_of_several_stops_all_even_if_it_is_caught():
    fresh, pending, stale = make_payment(), make_payment(), make_payment()
    move(pending, PaymentStatus.PENDING, cause=BY_TEST)
    move_elsewhere(stale, PaymentStatus.PENDING)

    with transaction.atomic(), pytest.raises(StaleState):
        move([fresh, pending, stale], PaymentStatus.CANCELLED, cause=BY_TEST)

    assert [stored_status(payment) for payment in (fresh, pending, stale)] == ["created", "pending", "pending"]
    assert not StatusChange.objects.filter(to_status="cancelled").exists()


@pytest.mark.django_db(transaction=True)
def test_a_status_moves_inside_a_transaction_only():
    payment = make_payment()

    with pytest.raises(AssertionError, match="inside a transaction"):
        move(payment, PaymentStatus.PENDING, cause=BY_TEST)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_move_one_row_at_once_one_is_told_that_it_came_second():
    payment, both_have_read = make_payment(), Barrier(2)

    def cancel_or_fail(status) -> str:
        try:
            with transaction.atomic():
                mine = Payment.objects.get(pk=payment.pk)
                both_have_read.wait(timeout=10)
                move(mine, status, cause=BY_TEST)
        except StaleState:
            return "stale"
        else:
            return "moved"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        ends = threads.map(cancel_or_fail, [PaymentStatus.CANCELLED, PaymentStatus.FAILED])

    assert sorted(ends) == ["moved", "stale"]
    assert StatusChange.objects.filter(subject_id=payment.pk).count() == 1


def test_sql_that_breaks_the_table_of_moves_is_refused_by_the_database():
    payment = make_payment()
    move(payment, PaymentStatus.SUCCEEDED, cause=BY_TEST)

    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="may not move from succeeded"):
        cursor.execute("UPDATE payments_payment SET status = 'pending' WHERE id = %s", [payment.pk])


def test_a_status_nobody_knows_is_refused_by_the_database():
    with pytest.raises(IntegrityError, match="payment_status_known"):
        make_payment(status="lost")


def test_a_written_move_cannot_be_rewritten():
    payment = make_payment()
    move(payment, PaymentStatus.PENDING, cause=BY_TEST)

    with pytest.raises(IntegrityError, match="append-only"):
        StatusChange.objects.filter(subject_id=payment.pk).update(actor="somebody else")


def test_edges_are_written_in_a_stable_order():
    assert edges_of({"b": frozenset({"a"}), "a": frozenset({"c", "b"})}) == ["a>b", "a>c", "b>a"]
    assert machine_name(Payment) == "payments.payment"
