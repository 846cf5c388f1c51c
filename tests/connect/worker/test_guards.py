"""Guards against moving or booking money twice, or on the wrong row. Each test fails without the guard it names."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.postings import post_sent
from connect.reversals import reversal_requests
from connect.reversals.reversal_outcomes import record_refresh, record_reversal
from connect.reversals.reversal_requests import open_reversal, retry, reverse_transfer
from connect.transfers import transfer_requests
from connect.transfers.transfer_outcomes import record_transfer
from connect.transfers.transfer_refresh import refresh_transfer
from connect.transfers.transfer_requests import TransferNotRetryable, claim_transfer, plan_transfers
from payments.models import Payment, Posting
from tests.connect.builders import fresh, reverse, reversed_at_stripe, send
from tests.connect.factories import BY_TEST, completed, make_order, make_seller, planned, refund, to_reverse
from tests.connect.stripe_double import (
    accepts_reversal,
    accepts_transfer,
    call,
    refuses,
    rejects_key,
    remote_transfer,
    shows,
    times_out,
)
from veza.core.models import ReviewItem, StatusChange
from veza.core.outcomes import Accepted, NotSent

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)


def made(attempt, stripe_reversal_id: str = "trr_1"):
    """Stripe's answer that it made the reversal of an attempt."""
    params = {"stripe_transfer_id": attempt.transfer.stripe_transfer_id, "reversal_id": attempt.intent.pk}
    return accepts_reversal(stripe_reversal_id)(params | {"amount_minor": attempt.intent.amount_minor})


def test_a_reversal_made_for_an_attempt_that_was_closed_shows_and_is_read():
    attempt = open_reversal(to_reverse().pk, cause=BY_TEST)
    record_reversal(attempt, refuses("balance_insufficient"), cause=BY_TEST)

    record_reversal(attempt, made(attempt), cause=BY_TEST)

    row = fresh(attempt.transfer)
    assert (row.reversed_minor, Posting.objects.filter(kind="reversal").count()) == (0, 0)
    assert ReviewItem.objects.get(kind="transfer_reversed_twice").amount_minor == 9_00
    assert row.refresh_due_at is not None


def test_a_second_id_for_one_reversal_shows_and_is_not_booked():
    attempt = open_reversal(to_reverse().pk, cause=BY_TEST)
    record_reversal(attempt, made(attempt, "trr_1"), cause=BY_TEST)

    record_reversal(attempt, made(attempt, "trr_2"), cause=BY_TEST)

    assert fresh(attempt.transfer).reversed_minor == 9_00
    assert TransferReversal.objects.get().stripe_reversal_id == "trr_1"
    assert ReviewItem.objects.filter(kind="transfer_reversed_twice").exists()


def test_one_answer_to_a_reversal_twice_is_booked_once_and_no_review():
    attempt = open_reversal(to_reverse().pk, cause=BY_TEST)

    for _ in range(2):
        record_reversal(attempt, made(attempt), cause=BY_TEST)

    assert Posting.objects.filter(kind="reversal").count() == 1
    assert not ReviewItem.objects.exists()


@pytest.mark.parametrize("match", [{"amount_minor": 8_00}, {"currency": "USD"}])
def test_a_transfer_of_another_amount_is_not_taken_for_ours(stripe, match):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", send_attempts=1)
    snapshot = remote_transfer("tr_1", our_id=str(transfer.pk), **match)
    stripe.will("list_transfers", Accepted([snapshot], call()))

    send(transfer)

    assert (transfer.status, transfer.stripe_transfer_id) == ("pending", None)
    assert "tr_1 carries this row's id with another amount" in transfer.last_error
    assert not Posting.objects.filter(kind="transfer").exists()


@pytest.mark.parametrize("late_pk", [UUID(int=1), UUID(int=2**128 - 1)])
def test_sellers_are_paid_from_the_payment_that_came_first(late_pk):
    order = make_order((make_seller(), 9_00))
    first = Payment.objects.get()
    values = {field.attname: getattr(first, field.attname) for field in Payment._meta.concrete_fields}
    late = {"pk": late_pk, "id": late_pk, "succeeded_at": first.succeeded_at + timedelta(minutes=5)}
    late["applied_at"] = None
    Payment.objects.create(**{**values, **late})
    with transaction.atomic():
        plan_transfers(order, cause=BY_TEST, at=timezone.now())
        post_sent(SellerTransfer.objects.get(), at=timezone.now())

    assert Posting.objects.get(kind="transfer").payment_id == first.pk


def test_sellers_are_not_paid_from_a_payment_that_received_nothing():
    order = make_order((make_seller(), 9_00))
    first = Payment.objects.get()
    values = {field.attname: getattr(first, field.attname) for field in Payment._meta.concrete_fields}
    empty = {"pk": UUID(int=1), "id": UUID(int=1), "received_minor": 0, "succeeded_at": None, "status": "failed"}
    empty["applied_at"] = None
    Payment.objects.create(**{**values, **empty})
    Payment.objects.update(succeeded_at=None)
    with transaction.atomic():
        plan_transfers(order, cause=BY_TEST, at=timezone.now())
        post_sent(SellerTransfer.objects.get(), at=timezone.now())

    assert Posting.objects.get(kind="transfer").payment_id == first.pk


def test_the_next_attempt_after_an_import_has_a_key_of_another_epoch(stripe):
    row = completed()
    stripe.will("read_transfer", shows(reversed_at_stripe(row, 2_00)))
    refresh_transfer(row.pk, cause=BY_TEST)
    refund(row.order, row.seller, 5_00)
    stripe.will("create_reversal", accepts_reversal("trr_9"))

    reverse(row)

    assert stripe.keys() == [f"{row.pk}:reversal:200-500:1"]


def test_reversals_that_do_not_add_up_spend_the_key_of_the_attempt(stripe):
    row = to_reverse()
    stripe.will("create_reversal", refuses("", "No."), times_out())
    stripe.will("read_transfer", shows(remote_transfer(row.stripe_transfer_id, reversed_minor=5_00)))
    reverse(row)
    retry(transfer_id=row.pk, cause=BY_TEST)

    reverse_transfer(row.pk, cause=BY_TEST)

    assert stripe.keys() == [f"{row.pk}:reversal:0-900:0", f"{row.pk}:reversal:0-900:1"]


def test_an_answer_after_the_reversal_failed_on_our_side_decides_nothing(settings):
    settings.REVERSAL_MAX_RETRIES = 0
    attempt = open_reversal(to_reverse().pk, cause=BY_TEST)
    reversal_requests.count_error(attempt.transfer.pk, "an error of our own", cause=BY_TEST)

    record_reversal(attempt, refuses("balance_insufficient"), cause=BY_TEST)

    assert (fresh(attempt.transfer).status, TransferReversal.objects.get().status) == ("permanently_failed", "sending")


def test_a_refusal_of_what_was_read_as_made_changes_nothing(stripe):
    row = completed()
    refund(row.order, row.seller, 4_00)
    attempt = open_reversal(row.pk, cause=BY_TEST)
    refund(row.order, row.seller, 3_00)
    stripe.will("read_transfer", shows(reversed_at_stripe(row, 4_00, our_id=str(attempt.intent.pk))))
    refresh_transfer(row.pk, cause=BY_TEST)

    record_reversal(attempt, refuses("resource_missing", status=404), cause=BY_TEST)

    assert (fresh(row).status, TransferReversal.objects.get().status) == ("reversal_pending", "made")


def test_reading_after_an_overtaken_attempt_does_not_close_the_next_one():
    row = to_reverse()
    slow, _quick = (open_reversal(row.pk, cause=BY_TEST) for _ in range(2))

    record_refresh(slow, shows(reversed_at_stripe(row)), refusal=refuses("", "No."), cause=BY_TEST)

    assert (fresh(row).key_epoch, TransferReversal.objects.get().status) == (0, "sending")


def test_a_rejected_key_spends_the_key_of_a_first_attempt(stripe):
    row = to_reverse()
    stripe.will("create_reversal", rejects_key(), accepts_reversal())

    reverse(row)
    reverse(row)

    assert stripe.keys() == [f"{row.pk}:reversal:0-900:0", f"{row.pk}:reversal:0-900:1"]


def test_a_rejected_key_does_not_end_an_attempt_that_may_have_been_made(stripe):
    row = to_reverse()
    stripe.will("create_reversal", times_out(), rejects_key(), accepts_reversal())

    for _ in range(3):
        reverse(row)

    assert stripe.keys() == [f"{row.pk}:reversal:0-900:0"] * 3


def test_a_second_external_reversal_is_booked_beside_the_first(stripe):
    row = completed()
    stripe.will("read_transfer", *[shows(reversed_at_stripe(row, *amounts)) for amounts in ([2_00], [2_00, 3_00])])

    for _ in range(2):
        refresh_transfer(row.pk, cause=BY_TEST)

    assert sorted(Posting.objects.filter(kind="reversal").values_list("amount_minor", flat=True)) == [2_00, 3_00]


def test_an_answer_after_the_transfer_failed_on_our_side_decides_nothing(seller, settings):
    settings.TRANSFER_RETRY_MAX_RETRIES = 0
    attempt = claim_transfer(planned(seller).pk, cause=BY_TEST)
    transfer_requests.count_error(attempt.transfer.pk, "an error of our own", cause=BY_TEST)

    record_transfer(attempt, refuses("balance_insufficient"), cause=BY_TEST)

    row = fresh(attempt.transfer)
    assert (row.status, row.waiting_for, row.key_epoch) == ("permanently_failed", "", 0)
    assert row.in_doubt_since is not None


def test_a_transfers_second_answer_does_not_end_its_reversal(stripe, seller):
    row = planned(seller)
    attempt = claim_transfer(row.pk, cause=BY_TEST)
    answer = accepts_transfer("tr_1")({"amount_minor": 9_00, "currency": "EUR", "destination": attempt.destination})
    record_transfer(attempt, answer, cause=BY_TEST)
    refund(row.order, seller, 4_00)

    record_transfer(attempt, answer, cause=BY_TEST)

    assert (fresh(row).status, Posting.objects.filter(kind="transfer").count()) == ("reversal_pending", 1)


def test_an_answer_for_a_transfer_that_was_cancelled_since_needs_review(seller):
    row = planned(seller)
    slow, quick = (claim_transfer(row.pk, cause=BY_TEST) for _ in range(2))
    record_transfer(quick, refuses("balance_insufficient"), cause=BY_TEST)
    refund(row.order, seller, 9_00)
    assert fresh(row).status == "cancelled"

    answer = accepts_transfer("tr_1")({"amount_minor": 9_00, "currency": "EUR", "destination": slow.destination})
    record_transfer(slow, answer, cause=BY_TEST)

    assert ReviewItem.objects.get(kind="transfer_sent_twice").amount_minor == 9_00
    assert fresh(row).status == "cancelled"


def test_a_rejected_key_spends_the_key_of_a_first_transfer(stripe, seller):
    row = planned(seller)
    stripe.will("create_transfer", rejects_key(), accepts_transfer())

    send(row)
    send(row)

    assert stripe.keys() == [f"{row.pk}:transfer:0", f"{row.pk}:transfer:1"]


def test_a_transfer_whose_reversal_failed_is_never_sent_again(stripe):
    row = to_reverse()
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    assert reverse(row).status == "permanently_failed"

    with pytest.raises(TransferNotRetryable):
        transfer_requests.retry(transfer_id=row.pk, cause=BY_TEST)


def test_a_transfer_that_stripe_never_had_is_not_read(stripe):
    assert refresh_transfer(planned().pk, cause=BY_TEST) is None
    assert stripe.params == []


def test_a_reversal_under_way_is_left_to_its_worker_however_old(stripe):
    stripe.will("create_reversal", times_out())
    transfer = reverse(to_reverse())
    TransferReversal.objects.update(last_sent_at=timezone.now() - timedelta(hours=1))
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer)))

    refresh_transfer(transfer.pk, cause=BY_TEST)

    assert TransferReversal.objects.get().status == "sending"


def test_reading_a_debt_that_has_not_changed_leaves_its_waiting_alone(stripe):
    stripe.will("create_reversal", refuses("balance_insufficient"))
    debt = reverse(to_reverse())
    stripe.will("read_transfer", shows(reversed_at_stripe(debt)))

    refresh_transfer(debt.pk, cause=BY_TEST)

    row = fresh(debt)
    assert (row.waiting_for, row.next_retry_at) == ("debt", debt.next_retry_at)


def test_a_part_that_was_reversed_in_the_dashboard_moves_no_status(stripe):
    transfer = completed()
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 4_00)))

    refresh_transfer(transfer.pk, cause=BY_TEST)

    assert (fresh(transfer).status, fresh(transfer).reversed_minor) == ("completed", 4_00)
    assert not StatusChange.objects.filter(subject_id=transfer.pk).exists()


def test_a_reversal_that_was_not_sent_is_sent_under_the_same_key(stripe):
    stripe.will("create_reversal", NotSent("Stripe could not be reached", call(0)), accepts_reversal())
    transfer = to_reverse()

    for _ in range(2):
        reverse(transfer)

    assert (len(set(stripe.keys())), TransferReversal.objects.count()) == (1, 1)


def test_a_forgotten_key_is_not_used_while_the_transfer_is_not_read(stripe):
    stripe.will("create_reversal", times_out())
    transfer = reverse(to_reverse())
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)
    stripe.will("read_transfer", times_out())

    reverse(transfer)

    assert stripe.names() == ["create_reversal", "read_transfer"]


@pytest.mark.parametrize("count_error", [reversal_requests.count_error, transfer_requests.count_error])
def test_an_error_about_a_transfer_that_has_ended_counts_no_retry(count_error):
    transfer = completed()

    count_error(transfer.pk, "a bug", cause=BY_TEST)

    assert (fresh(transfer).retry_count, fresh(transfer).last_error) == (0, "")
