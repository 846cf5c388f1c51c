"""A write set: what is decided first is written once, in order, before anything else can see that it was not."""

from contextlib import suppress

import pytest
from django.db import DataError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from payments.models import Payment, WebhookDelivery
from payments.states import PaymentStatus
from tests.core.rows import make_payment
from tests.reference_writer import reference_writer
from veza.core import writes
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import ReviewItem, StatusChange
from veza.core.states import move
from veza.core.writes import StaleState

pytestmark = pytest.mark.django_db
BY_TEST = Cause("command", actor="a test")


def review(**fields) -> ReviewItem:
    return ReviewItem(**{"kind": "k", "subject": "s", "subject_id": new_id(), "why": "w", "what_to_do": "d"} | fields)


def stored(payment, field="status"):
    return Payment.objects.values_list(field, flat=True).get(pk=payment.pk)


def test_what_is_recorded_is_written_at_the_end(django_assert_num_queries):
    payment = make_payment()

    with django_assert_num_queries(4), writes.atomic():  # SAVEPOINT, two statements, RELEASE.
        move(payment, PaymentStatus.PENDING, cause=BY_TEST)
        assert payment.status == "pending"

    assert (stored(payment), StatusChange.objects.filter(subject_id=payment.pk).count()) == ("pending", 1)


def test_a_query_finds_what_was_recorded_before_it():
    payment = make_payment()

    with writes.atomic():
        writes.update(payment, attempts=3)
        assert stored(payment, "attempts") == 3
        writes.update(payment, attempts=4)

    assert stored(payment, "attempts") == 4


def test_rows_of_one_kind_are_one_statement(django_assert_num_queries):
    payments = [make_payment() for _ in range(3)]

    with django_assert_num_queries(5), writes.atomic():
        for number, payment in enumerate(payments):
            writes.update(payment, attempts=number)
            move(payment, PaymentStatus.PENDING, cause=BY_TEST)
            writes.insert([review(amount_minor=number)])

    assert [stored(payment, "attempts") for payment in payments] == [0, 1, 2]
    assert ReviewItem.objects.count() == 3


def test_two_moves_of_one_row_are_written_in_their_order():
    payment = make_payment()

    with writes.atomic():
        move(payment, PaymentStatus.PENDING, cause=BY_TEST)
        move(payment, PaymentStatus.PROCESSING, cause=BY_TEST)
        move(payment, PaymentStatus.SUCCEEDED, cause=BY_TEST)

    assert stored(payment) == "succeeded"
    assert StatusChange.objects.filter(subject_id=payment.pk).count() == 3


def test_writes_to_one_table_stay_in_their_order():
    subject = make_payment()
    find = [{"kind": "k", "subject_id": subject.pk}]

    with writes.atomic():
        writes.insert([review(subject_id=subject.pk, why="first")])
        writes.update_matching(ReviewItem, find, nulls=("closed_at",), closed_at=Now())
        writes.insert([review(subject_id=subject.pk, why="second")])  # Only one of a kind may be open.

    assert list(ReviewItem.objects.filter(closed_at=None).values_list("why", flat=True)) == ["second"]
    assert ReviewItem.objects.filter(why="first").exclude(closed_at=None).exists()


@writes.atomic()
def move_and_fail(payment):
    move(payment, PaymentStatus.PENDING, cause=BY_TEST)
    raise ZeroDivisionError


@transaction.atomic()
def update_and_fail(payment):
    writes.update(payment, attempts=1)
    raise ZeroDivisionError


def test_an_error_leaves_nothing_of_it():
    payment = make_payment()

    with pytest.raises(ZeroDivisionError):
        move_and_fail(payment)

    assert stored(payment) == "created"


def test_a_savepoint_that_is_rolled_back_takes_only_its_own_with_it():
    payment, other = make_payment(), make_payment()

    with writes.atomic():
        writes.update(payment, attempts=1)
        with pytest.raises(ZeroDivisionError):
            update_and_fail(other)
        writes.update(payment, error_code="after")

    assert (stored(payment, "attempts"), stored(payment, "error_code"), stored(other, "attempts")) == (1, "after", 0)


@writes.atomic()
def review_and_move(*payments):
    writes.insert([review()])
    move(payments, PaymentStatus.PENDING, cause=BY_TEST)


@transaction.atomic()
def update_and_break(payment):
    writes.update(payment, attempts=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def test_after_an_error_of_the_database_nothing_more_is_sent_to_it():
    payment, other = make_payment(), make_payment()

    with writes.atomic():
        with pytest.raises(DataError, match="division by zero"):
            update_and_break(other)
        writes.update(payment, attempts=2)

    assert (stored(payment, "attempts"), stored(other, "attempts")) == (2, 0)


def test_a_row_that_another_process_moved_first_rolls_all_of_it_back():
    payment, other = make_payment(), make_payment()
    Payment.objects.filter(pk=payment.pk).update(status="processing")

    with pytest.raises(StaleState, match="1 of 2 payments left created first"):
        review_and_move(payment, other)

    assert (stored(payment), stored(other), ReviewItem.objects.count()) == ("processing", "created", 0)


@writes.atomic()
def update_and_catch(other, payment):
    writes.update(other, attempts=5)
    move(payment, PaymentStatus.PENDING, cause=BY_TEST)
    with suppress(StaleState):
        writes.flush()


def test_a_stale_row_that_is_caught_is_not_committed_but_raised():
    payment, other = make_payment(), make_payment()
    Payment.objects.filter(pk=payment.pk).update(status="processing")

    with pytest.raises(transaction.TransactionManagementError):
        update_and_catch(other, payment)

    assert stored(other, "attempts") == 0


@transaction.atomic
def read_and_write(other, write):
    writes.update(other, attempts=5)
    assert stored(other, "attempts") == 5  # Written by this query, before the savepoint ends.
    write()


def move_to_pending(payment):
    move(payment, PaymentStatus.PENDING, cause=BY_TEST)


def update_guarded(payment):
    writes.update(payment, guard="status", attempts=1)


@pytest.mark.parametrize("write", [move_to_pending, update_guarded])
def test_a_stale_row_inside_a_savepoint_takes_all_of_the_savepoint_with_it(write):
    payment, other = make_payment(), make_payment()
    Payment.objects.filter(pk=payment.pk).update(status="processing")

    with writes.atomic():
        with pytest.raises(StaleState):
            read_and_write(other, lambda: write(payment))
        writes.insert([review()])

    assert (stored(payment), stored(other, "attempts"), ReviewItem.objects.count()) == ("processing", 0, 1)


def test_a_row_that_is_gone_is_a_bug():
    with pytest.raises(AssertionError, match="1 of 1 payments are gone"), writes.atomic():
        writes.update(Payment(pk=new_id()), attempts=1)


def test_a_text_that_is_too_long_is_refused_not_cut():
    with pytest.raises(DataError), writes.atomic():
        writes.update(make_payment(), error_code="x" * 101)


def test_what_only_the_database_can_compute_is_written_immediately():
    payment = make_payment(attempts=3)

    with writes.atomic():
        writes.update(payment, error_code="before")
        writes.update(payment, attempts=F("attempts") + 1, next_attempt_at=Now())

    assert (stored(payment, "attempts"), stored(payment, "error_code")) == (4, "before")


def test_the_database_fills_in_its_own_defaults_and_times():
    item = review()

    with writes.atomic():
        writes.insert([item])
        writes.update(item, closed_at=Now())

    found = ReviewItem.objects.get()
    assert found.opened_at is not None
    assert abs(timezone.now() - found.closed_at).total_seconds() < 60


def test_every_statement_passes_by_whoever_watches_the_connection():
    seen = []

    def watch(execute, sql, params, many, context):
        seen.append(sql.split()[0])
        return execute(sql, params, many, context)

    payment = make_payment()
    with connection.execute_wrapper(watch), writes.atomic():
        move(payment, PaymentStatus.PENDING, cause=BY_TEST)

    assert seen == ["SAVEPOINT", "UPDATE", "INSERT", "RELEASE"]


def test_the_text_does_not_depend_on_the_number_of_rows():
    def texts() -> set[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements")
            return {text for (text,) in cursor}

    writes.insert([review()])
    before = texts()
    writes.insert([review() for _ in range(7)])

    assert texts() == before


def test_alone_a_write_is_executed_immediately():
    item = review()

    writes.insert([item])

    assert ReviewItem.objects.get() == item


AWKWARD = ['"quoted"', "100 %s %", "ü€\U0001f600", "line\nbreak\t\\", "{}", ""]


@pytest.mark.parametrize("text", AWKWARD)
def test_every_text_arrives_as_it_was(text):
    writes.insert([review(why=text)])

    assert ReviewItem.objects.get().why == text


def test_both_writers_store_every_type_alike():
    values = {
        "provider": "stripe",
        "event_id": None,
        "payload": "{}",
        "payload_sha256": "0",
        "signature_valid": False,
        "processing_result": "ok",
        "source_ip": "2001:db8::1",
        "correlation_id": new_id(),
        "received_at": timezone.now(),
    }
    writes.insert_values(WebhookDelivery, [values])
    with reference_writer():
        writes.insert_values(WebhookDelivery, [values | {"event_id": "other"}])

    ours, plain = (WebhookDelivery.objects.filter(event_id=name).values().get() for name in (None, "other"))
    assert {**ours, "id": 0, "event_id": 0} == {**plain, "id": 0, "event_id": 0}
