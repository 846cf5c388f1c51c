"""Sending transfers: what happens while it is unknown whether Stripe has one."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connect.accounts import apply_account
from connect.models import SellerTransfer
from connect.stripe.objects import RemoteAccount
from connect.transfers.transfer_requests import send_due, send_transfer
from payments.models import Posting
from tests.connect.builders import send
from tests.connect.factories import (
    BY_TEST,
    make_due,
    planned,
    refund,
)
from tests.connect.stripe_double import accepts_transfer, call, refuses, rejects_key, remote_transfer, times_out
from veza.core.models import ReviewItem, StatusChange
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)


def test_the_row_is_in_doubt_while_the_call_is_under_way(stripe):
    transfer = planned()
    during = []

    def answer(params):
        during.append(SellerTransfer.objects.get(pk=transfer.pk).in_doubt_since)
        return accepts_transfer()(params)

    stripe.will("create_transfer", answer)
    send(transfer)

    assert during[0] is not None


def test_an_unanswered_transfer_is_sent_again_under_the_same_key(stripe):
    stripe.will("create_transfer", times_out(), times_out(), accepts_transfer())
    stripe.will("list_transfers", Accepted([], call()))
    transfer = planned()

    for _ in range(3):
        send(transfer)

    assert stripe.keys() == [f"{transfer.pk}:transfer:0"] * 3
    assert transfer.status == "completed"


def test_an_unanswered_transfer_stays_pending_and_counts_a_retry(stripe):
    stripe.will("create_transfer", times_out())

    transfer = send(planned())

    assert (transfer.status, transfer.retry_count) == ("pending", 1)
    assert transfer.in_doubt_since is not None
    assert transfer.next_retry_at > timezone.now()


def test_a_transfer_out_of_retries_needs_review_and_stays_in_doubt(stripe, settings):
    stripe.will("create_transfer", times_out())

    transfer = send(planned(retry_count=settings.TRANSFER_RETRY_MAX_RETRIES))

    assert (transfer.status, transfer.next_retry_at) == ("permanently_failed", None)
    assert transfer.in_doubt_since is not None
    assert ReviewItem.objects.get(kind="transfer_failed").amount_minor == 9_00


def test_a_rejected_key_does_not_clear_an_older_doubt(stripe):
    stripe.will("create_transfer", times_out(), rejects_key(401))
    transfer = planned()

    send(transfer)
    send(transfer)

    assert transfer.in_doubt_since is not None
    assert transfer.key_epoch == 0


def test_a_refund_during_the_call_still_ends_reversed(stripe):
    transfer = planned(amount_minor=9_00)

    def refund_meanwhile(params):
        refund(transfer.order, transfer.seller, 9_00)
        return accepts_transfer()(params)

    stripe.will("create_transfer", refund_meanwhile)
    send(transfer)

    assert (transfer.status, transfer.reversal_target_minor) == ("reversal_pending", 9_00)
    assert SellerTransfer.objects.to_reverse().due().get() == transfer
    moves = StatusChange.objects.filter(subject_id=transfer.pk).order_by("pk").values_list("to_status", flat=True)
    assert list(moves) == ["completed", "reversal_pending"]


def test_a_refund_in_flight_of_a_transfer_that_is_then_refused_cancels_it(stripe):
    transfer = planned(amount_minor=9_00)

    def refund_meanwhile(_params):
        refund(transfer.order, transfer.seller, 9_00)
        return refuses("balance_insufficient")

    stripe.will("create_transfer", refund_meanwhile)
    send(transfer)

    assert (transfer.status, transfer.next_retry_at) == ("cancelled", None)


def test_a_partial_refund_during_a_refused_call_sends_less(stripe):
    transfer = planned(amount_minor=9_00)

    def refund_meanwhile(_params):
        refund(transfer.order, transfer.seller, 4_00)
        return refuses("balance_insufficient")

    stripe.will("create_transfer", refund_meanwhile, accepts_transfer())
    send(transfer)
    send(transfer)

    assert [params["amount_minor"] for _, params in stripe.params] == [9_00, 5_00]
    assert transfer.status == "completed"


def test_amount_account_and_key_are_frozen_while_in_doubt(stripe):
    stripe.will("create_transfer", times_out(), accepts_transfer())
    transfer = send(planned(amount_minor=9_00))
    refund(transfer.order, transfer.seller, 4_00)
    other = RemoteAccount("acct_other", True, True, True, "DE")
    apply_account(seller_id=transfer.seller_id, snapshot=other, at=timezone.now())

    send(transfer)

    assert stripe.params[0] == stripe.params[1]
    assert transfer.outstanding_minor == 4_00


def test_a_refusal_of_an_overtaken_attempt_does_not_clear_the_doubt(stripe):
    transfer = planned()

    def overtake(_params):
        send_transfer(transfer.pk, cause=BY_TEST)
        return refuses("balance_insufficient")

    stripe.will("create_transfer", overtake, times_out())
    send(transfer)

    assert transfer.in_doubt_since is not None
    assert transfer.key_epoch == 0


def test_a_slow_worker_that_was_overtaken_books_the_same_transfer_once(stripe):
    transfer = planned()

    def overtake(params):
        send_transfer(transfer.pk, cause=BY_TEST)
        return accepts_transfer("tr_1")(params)

    stripe.will("create_transfer", overtake, accepts_transfer("tr_1"))
    send(transfer)

    assert Posting.objects.filter(kind="transfer", subject_id=transfer.pk).count() == 1
    assert not ReviewItem.objects.exists()


def test_a_second_id_for_one_transfer_is_never_stored_and_shows(stripe):
    transfer = planned()

    def overtake(params):
        send_transfer(transfer.pk, cause=BY_TEST)
        return accepts_transfer("tr_2")(params)

    stripe.will("create_transfer", overtake, accepts_transfer("tr_1"))
    send(transfer)

    assert transfer.stripe_transfer_id == "tr_1"
    assert ReviewItem.objects.get(kind="transfer_sent_twice").amount_minor == 9_00


def test_a_transfer_in_doubt_for_a_day_is_listed_before_it_is_sent(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", send_attempts=1)
    match = remote_transfer("tr_1", our_id=str(transfer.pk))
    stripe.will("list_transfers", Accepted([remote_transfer("tr_0"), match], call()))

    send(transfer)

    assert (transfer.status, transfer.stripe_transfer_id) == ("completed", "tr_1")
    assert stripe.params == [("list_transfers", {"transfer_group": str(transfer.order_id)})]


def test_a_transfer_in_doubt_that_stripe_does_not_list_is_sent_again(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", send_attempts=1)
    stripe.will("list_transfers", Accepted([remote_transfer("tr_0")], call()))
    stripe.will("create_transfer", accepts_transfer())

    assert send(transfer).status == "completed"


def test_a_transfer_that_cannot_be_listed_is_not_sent_again(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", send_attempts=1)
    stripe.will("list_transfers", times_out())

    send(transfer)

    assert (transfer.status, transfer.retry_count) == ("pending", 1)


def test_of_several_transfers_found_none_is_picked(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", send_attempts=1)
    twins = [remote_transfer(name, our_id=str(transfer.pk)) for name in ("tr_1", "tr_2")]
    stripe.will("list_transfers", Accepted(twins, call()))

    send(transfer)

    assert transfer.stripe_transfer_id is None
    assert ReviewItem.objects.get(kind="transfer_sent_twice").amount_minor == 9_00


def test_of_two_transfers_found_the_one_that_was_not_reversed_is_booked(stripe):
    transfer = planned(in_doubt_since=timezone.now() - TWO_DAYS, destination="acct_1", send_attempts=1)
    reversed_one = remote_transfer("tr_1", our_id=str(transfer.pk), reversed_minor=9_00)
    stripe.will("list_transfers", Accepted([reversed_one, remote_transfer("tr_2", our_id=str(transfer.pk))], call()))

    send(transfer)

    assert (transfer.status, transfer.stripe_transfer_id) == ("completed", "tr_2")


def test_a_transfer_in_doubt_cannot_be_cancelled_in_the_database():
    transfer = planned(in_doubt_since=timezone.now())

    with pytest.raises(IntegrityError), transaction.atomic():
        SellerTransfer.objects.filter(pk=transfer.pk).update(status="cancelled")


def test_a_worker_that_died_costs_one_lease(stripe):
    stripe.will("create_transfer", accepts_transfer())
    transfer = planned(in_doubt_since=timezone.now(), destination="acct_1", send_attempts=1)
    make_due(transfer.pk)

    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"
    assert stripe.keys() == [f"{transfer.pk}:transfer:0"]
