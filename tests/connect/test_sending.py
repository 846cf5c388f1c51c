"""Sending transfers: what each answer of Stripe's does to the row, and to the key of the next try."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connect.accounts import note_account
from connect.models import SellerTransfer
from connect.stripe_objects import AccountSeen
from connect.transfers import TransferNotRetryable, plan_transfers, retry, send_due, send_transfer
from payments.models import Posting
from tests.connect.conftest import account, call, not_sent, refused, sent, transfer_seen, unknown
from tests.connect.factories import (
    BY_TEST,
    completed,
    make_due,
    make_order,
    make_seller,
    planned,
    refund,
)
from tests.factories import SellerFactory
from veza.core.models import OperatorCase, ProviderCall, StatusChange
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)


def send(transfer):
    send_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


def test_each_seller_of_an_order_is_planned_one_transfer(django_assert_num_queries):
    order = make_order((make_seller(), 9_00), (make_seller(), 4_50))

    with django_assert_num_queries(2):
        plan_transfers(order, cause=BY_TEST, at=timezone.now())

    planned_rows = order.transfers.values_list("amount_minor", "status", "currency")
    assert sorted(planned_rows) == [(4_50, "pending", "EUR"), (9_00, "pending", "EUR")]


def test_a_seller_with_no_share_is_planned_nothing():
    order = make_order((make_seller(), 0))

    plan_transfers(order, cause=BY_TEST, at=timezone.now())

    assert not order.transfers.exists()


def test_the_id_at_stripe_is_stored_when_the_transfer_is_made(stripe):
    stripe.will("create_transfer", sent("tr_1"))

    transfer = send(planned())

    assert (transfer.status, transfer.stripe_transfer_id) == ("completed", "tr_1")
    assert transfer.in_doubt_since is None
    assert transfer.next_retry_at is None


def test_a_sent_transfer_is_booked_from_the_seller_to_stripe(stripe):
    stripe.will("create_transfer", sent())

    transfer = send(planned(amount_minor=9_00))

    posting = Posting.objects.get(cause=f"transfer:{transfer.pk}")
    assert (posting.leg, posting.amount_minor, posting.story_id) == ("sent", 9_00, transfer.order_id)
    assert (posting.debit_id, posting.credit_id) == (f"seller:{transfer.seller_id}", "stripe_balance")
    assert posting.payment.purpose_id == transfer.order_id


def test_the_request_is_a_function_of_the_row(stripe):
    stripe.will("create_transfer", sent())

    transfer = send(planned(amount_minor=9_00))

    assert stripe.asked[0][1] == {
        "transfer_id": transfer.pk,
        "order_id": transfer.order_id,
        "amount_minor": 9_00,
        "currency": "EUR",
        "destination": transfer.seller.connected_account.stripe_account_id,
        "idempotency_key": f"{transfer.pk}:transfer:0",
    }


def test_the_row_is_in_doubt_while_the_call_is_under_way(stripe):
    transfer = planned()
    during = []

    def answer(given):
        during.append(SellerTransfer.objects.get(pk=transfer.pk).in_doubt_since)
        return sent()(given)

    stripe.will("create_transfer", answer)
    send(transfer)

    assert during[0] is not None


def test_a_call_leaves_a_record_for_support(stripe):
    stripe.will("create_transfer", unknown())

    transfer = send(planned())

    kept = ProviderCall.objects.get(subject_id=transfer.pk)
    assert (kept.outcome, kept.our_id, kept.story_id) == ("unknown", transfer.key, transfer.order_id)


def test_an_unanswered_transfer_is_asked_again_under_the_same_key(stripe):
    stripe.will("create_transfer", unknown(), unknown(), sent())
    transfer = planned()

    for _ in range(3):
        send(transfer)

    assert stripe.keys() == [f"{transfer.pk}:transfer:0"] * 3
    assert transfer.status == "completed"


def test_an_unanswered_transfer_stays_pending_and_counts_a_retry(stripe):
    stripe.will("create_transfer", unknown())

    transfer = send(planned())

    assert (transfer.status, transfer.retry_count) == ("pending", 1)
    assert transfer.in_doubt_since is not None
    assert transfer.next_retry_at > timezone.now()


def test_retries_used_up_give_the_transfer_to_a_person_and_leave_it_in_doubt(stripe, settings):
    stripe.will("create_transfer", unknown())

    transfer = send(planned(retry_count=settings.TRANSFER_RETRY_MAX_RETRIES))

    assert (transfer.status, transfer.next_retry_at) == ("permanently_failed", None)
    assert transfer.in_doubt_since is not None
    assert OperatorCase.objects.get(kind="transfer_failed").amount_minor == 9_00


def test_a_seller_without_an_account_waits_without_a_call(stripe):
    transfer = send(planned(SellerFactory()))

    assert (transfer.status, transfer.waiting_for, stripe.asked) == ("pending", "account", [])
    assert transfer.in_doubt_since is None


def test_a_seller_whose_account_cannot_receive_waits_without_a_call(stripe):
    transfer = send(planned(make_seller(active=False)))

    assert (transfer.waiting_for, stripe.asked) == ("account", [])


def test_an_account_that_becomes_active_wakes_the_transfers_that_waited(stripe):
    transfer = send(planned(make_seller(active=False)))

    note_account(seller_id=transfer.seller_id, seen=AccountSeen("acct_7", True, True, True, "DE"), at=timezone.now())

    assert SellerTransfer.objects.unsent().due().get() == transfer


@pytest.mark.parametrize("code", ["balance_insufficient", "insufficient_funds"])
def test_a_platform_balance_too_low_waits_and_uses_another_key_next_time(stripe, code):
    stripe.will("create_transfer", refused(code), sent())
    transfer = send(planned())
    assert (transfer.status, transfer.waiting_for, transfer.retry_count) == ("pending", "platform_balance", 0)
    assert transfer.in_doubt_since is None

    send(transfer)

    assert transfer.status == "completed"
    assert stripe.keys() == [f"{transfer.pk}:transfer:0", f"{transfer.pk}:transfer:1"]


def test_an_account_that_lost_its_capability_is_found_by_reading_it_not_by_the_words(stripe):
    stripe.will("create_transfer", refused("", "Some sentence nobody has seen before."))
    stripe.will("read_account", account(active=False))

    transfer = send(planned())

    assert (transfer.status, transfer.waiting_for, transfer.key_epoch) == ("pending", "account", 1)


def test_an_unknown_destination_is_given_up_after_one_call(stripe):
    stripe.will("create_transfer", refused("resource_missing", "No such destination: 'acct_9'"))

    transfer = send(planned())

    assert (transfer.status, transfer.in_doubt_since) == ("permanently_failed", None)
    assert stripe.names() == ["create_transfer"]
    assert OperatorCase.objects.filter(kind="transfer_failed", subject_id=transfer.pk).exists()


def test_a_refusal_we_do_not_know_fails_and_is_tried_again_under_another_key(stripe):
    stripe.will("create_transfer", refused("something_new"), sent())
    stripe.will("read_account", account(active=True))

    transfer = send(planned())
    assert (transfer.status, transfer.retry_count, transfer.key_epoch) == ("failed", 1, 1)

    assert send(transfer).status == "completed"


def test_a_refusal_we_do_not_know_is_given_up_in_the_end(stripe, settings):
    stripe.will("create_transfer", refused("something_new"))
    stripe.will("read_account", account(active=True))

    transfer = send(planned(retry_count=settings.TRANSFER_RETRY_MAX_RETRIES))

    assert transfer.status == "permanently_failed"


def test_being_turned_away_counts_no_retry_and_leaves_no_doubt(stripe):
    stripe.will("create_transfer", not_sent(401))

    transfer = send(planned())

    assert (transfer.status, transfer.retry_count, transfer.in_doubt_since) == ("pending", 0, None)


def test_being_turned_away_does_not_clear_an_older_doubt(stripe):
    stripe.will("create_transfer", unknown(), not_sent(401))
    transfer = planned()

    send(transfer)
    send(transfer)

    assert transfer.in_doubt_since is not None
    assert transfer.key_epoch == 0


def test_being_turned_away_stops_the_tick_and_opens_one_case(stripe):
    planned(), planned(), planned()
    stripe.will("create_transfer", not_sent(401))

    send_due()

    assert stripe.names() == ["create_transfer"]
    assert OperatorCase.objects.filter(kind="stripe_turned_us_away").count() == 1


def test_a_refund_that_arrives_while_its_transfers_call_is_in_flight_still_ends_reversed(stripe):
    transfer = planned(amount_minor=9_00)

    def refunded_meanwhile(given):
        refund(transfer.order, transfer.seller, 9_00)
        return sent()(given)

    stripe.will("create_transfer", refunded_meanwhile)
    send(transfer)

    assert (transfer.status, transfer.reversal_target_minor) == ("reversal_pending", 9_00)
    assert SellerTransfer.objects.to_reverse().due().get() == transfer
    moves = StatusChange.objects.filter(subject_id=transfer.pk).order_by("pk").values_list("to_status", flat=True)
    assert list(moves) == ["completed", "reversal_pending"]


def test_a_refund_in_flight_of_a_transfer_that_is_then_refused_cancels_it(stripe):
    transfer = planned(amount_minor=9_00)

    def refunded_meanwhile(_given):
        refund(transfer.order, transfer.seller, 9_00)
        return refused("balance_insufficient")

    stripe.will("create_transfer", refunded_meanwhile)
    send(transfer)

    assert (transfer.status, transfer.next_retry_at) == ("cancelled", None)


def test_a_partial_refund_in_flight_of_a_transfer_that_is_then_refused_sends_less(stripe):
    transfer = planned(amount_minor=9_00)

    def refunded_meanwhile(_given):
        refund(transfer.order, transfer.seller, 4_00)
        return refused("balance_insufficient")

    stripe.will("create_transfer", refunded_meanwhile, sent())
    send(transfer)
    send(transfer)

    assert [given["amount_minor"] for _, given in stripe.asked] == [9_00, 5_00]
    assert transfer.status == "completed"


def test_amount_account_and_key_are_frozen_while_in_doubt(stripe):
    stripe.will("create_transfer", unknown(), sent())
    transfer = send(planned(amount_minor=9_00))
    refund(transfer.order, transfer.seller, 4_00)
    other = AccountSeen("acct_other", True, True, True, "DE")
    note_account(seller_id=transfer.seller_id, seen=other, at=timezone.now())

    send(transfer)

    assert stripe.asked[0] == stripe.asked[1]
    assert transfer.owed_minor == 4_00


def test_a_slow_worker_that_was_overtaken_may_not_say_that_nothing_happened(stripe):
    transfer = planned()

    def overtaken(_given):
        send_transfer(transfer.pk, cause=BY_TEST)
        return refused("balance_insufficient")

    stripe.will("create_transfer", overtaken, unknown())
    send(transfer)

    assert transfer.in_doubt_since is not None
    assert transfer.key_epoch == 0


def test_a_slow_worker_that_was_overtaken_books_the_same_transfer_once(stripe):
    transfer = planned()

    def overtaken(given):
        send_transfer(transfer.pk, cause=BY_TEST)
        return sent("tr_1")(given)

    stripe.will("create_transfer", overtaken, sent("tr_1"))
    send(transfer)

    assert Posting.objects.filter(cause=f"transfer:{transfer.pk}").count() == 1
    assert not OperatorCase.objects.exists()


def test_a_second_id_for_one_transfer_is_never_stored_and_shows(stripe):
    transfer = planned()

    def overtaken(given):
        send_transfer(transfer.pk, cause=BY_TEST)
        return sent("tr_2")(given)

    stripe.will("create_transfer", overtaken, sent("tr_1"))
    send(transfer)

    assert transfer.stripe_transfer_id == "tr_1"
    assert OperatorCase.objects.get(kind="transfer_sent_twice").amount_minor == 9_00


def test_a_transfer_in_doubt_for_a_day_is_looked_for_before_it_is_sent_again(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", sendings=1)
    found = transfer_seen("tr_1", our_id=str(transfer.pk))
    stripe.will("list_transfers", Accepted([transfer_seen("tr_0"), found], call()))

    send(transfer)

    assert (transfer.status, transfer.stripe_transfer_id) == ("completed", "tr_1")
    assert stripe.asked == [("list_transfers", {"transfer_group": str(transfer.order_id)})]


def test_a_transfer_in_doubt_for_a_day_that_stripe_does_not_have_is_sent_again(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", sendings=1)
    stripe.will("list_transfers", Accepted([transfer_seen("tr_0")], call()))
    stripe.will("create_transfer", sent())

    assert send(transfer).status == "completed"


def test_a_transfer_that_cannot_be_looked_for_is_not_sent_again(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", sendings=1)
    stripe.will("list_transfers", unknown())

    send(transfer)

    assert (transfer.status, transfer.retry_count) == ("pending", 1)


def test_of_several_transfers_found_none_is_picked(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", sendings=1)
    twins = [transfer_seen(name, our_id=str(transfer.pk)) for name in ("tr_1", "tr_2")]
    stripe.will("list_transfers", Accepted(twins, call()))

    send(transfer)

    assert transfer.stripe_transfer_id is None
    assert OperatorCase.objects.get(kind="transfer_sent_twice").amount_minor == 9_00


def test_a_poison_row_does_not_stop_the_others_and_counts_its_retry(stripe):
    first, second = planned(), planned()
    stripe.will("create_transfer", lambda _given: 1 / 0, sent())

    tally = send_due()

    first.refresh_from_db(), second.refresh_from_db()
    assert (tally.done, tally.failed) == (1, 1)
    assert sorted([first.status, second.status]) == ["completed", "pending"]
    assert sorted([first.retry_count, second.retry_count]) == [0, 1]


def test_a_poison_row_is_given_up_in_the_end(stripe, settings):
    transfer = planned(retry_count=settings.TRANSFER_RETRY_MAX_RETRIES)
    stripe.will("create_transfer", lambda _given: 1 / 0)

    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "permanently_failed"
    assert "ZeroDivisionError" in transfer.last_error


def test_a_row_that_is_not_due_is_left_alone(stripe):
    planned(next_retry_at=timezone.now() + timedelta(minutes=5))

    assert send_due().done == 0


def test_a_transfer_that_was_given_up_can_be_sent_again(stripe):
    stripe.will("create_transfer", refused("resource_missing"), sent())
    transfer = send(planned())

    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert send(transfer).status == "completed"
    assert stripe.keys()[1].endswith(":transfer:1")


def test_a_transfer_that_stripe_has_is_never_sent_again():
    with pytest.raises(TransferNotRetryable):
        retry(transfer_id=completed().pk, cause=BY_TEST)


def test_one_stripe_id_belongs_to_one_transfer():
    completed(stripe_transfer_id="tr_1")

    with pytest.raises(IntegrityError), transaction.atomic():
        completed(stripe_transfer_id="tr_1")


def test_a_transfer_in_doubt_cannot_be_cancelled_in_the_database():
    transfer = planned(in_doubt_since=timezone.now())

    with pytest.raises(IntegrityError), transaction.atomic():
        SellerTransfer.objects.filter(pk=transfer.pk).update(status="cancelled")


def test_a_worker_that_died_costs_one_lease(stripe):
    stripe.will("create_transfer", sent())
    transfer = planned(in_doubt_since=timezone.now(), destination="acct_1", sendings=1)
    make_due(transfer.pk)

    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"
    assert stripe.keys() == [f"{transfer.pk}:transfer:0"]
