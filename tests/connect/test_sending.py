"""Sending transfers: what each answer of Stripe's does to the row, and to the key of the next try."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connect.accounts import apply_account
from connect.models import SellerTransfer
from connect.stripe.objects import RemoteAccount
from connect.transfers.transfer_requests import plan_transfers, send_due, send_transfer
from payments.models import Posting
from tests.connect.conftest import account, not_sent, refused, sent, unknown
from tests.connect.factories import (
    BY_TEST,
    completed,
    make_order,
    make_seller,
    planned,
)
from tests.factories import SellerFactory
from veza.core.models import ProviderCall, ReviewItem

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

    posting = Posting.objects.get(kind="transfer", subject_id=transfer.pk)
    assert (posting.leg, posting.amount_minor, posting.correlation_id) == ("sent", 9_00, transfer.order_id)
    assert (posting.debit_id, posting.credit_id) == (f"seller:{transfer.seller_id}", "stripe_balance")
    assert posting.payment.purpose_id == transfer.order_id


def test_the_request_is_a_function_of_the_row(stripe):
    stripe.will("create_transfer", sent())

    transfer = send(planned(amount_minor=9_00))

    assert stripe.params[0][1] == {
        "transfer_id": transfer.pk,
        "order_id": transfer.order_id,
        "amount_minor": 9_00,
        "currency": "EUR",
        "destination": transfer.seller.connected_account.stripe_account_id,
        "idempotency_key": f"{transfer.pk}:transfer:0",
    }


def test_a_call_leaves_a_record_for_support(stripe):
    stripe.will("create_transfer", unknown())

    transfer = send(planned())

    kept = ProviderCall.objects.get(subject_id=transfer.pk)
    assert (kept.outcome, kept.our_id, kept.correlation_id) == ("unknown", transfer.key, transfer.order_id)


def test_a_seller_without_an_account_waits_without_a_call(stripe):
    transfer = send(planned(SellerFactory()))

    assert (transfer.status, transfer.waiting_for, stripe.params) == ("pending", "account", [])
    assert transfer.in_doubt_since is None


def test_a_seller_whose_account_cannot_receive_waits_without_a_call(stripe):
    transfer = send(planned(make_seller(active=False)))

    assert (transfer.waiting_for, stripe.params) == ("account", [])


def test_an_account_that_becomes_active_wakes_the_transfers_that_waited(stripe):
    transfer = send(planned(make_seller(active=False)))

    apply_account(
        seller_id=transfer.seller_id, snapshot=RemoteAccount("acct_7", True, True, True, "DE"), at=timezone.now()
    )

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
    assert ReviewItem.objects.filter(kind="transfer_failed", subject_id=transfer.pk).exists()


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


def test_being_turned_away_stops_the_tick_and_opens_one_case(stripe):
    planned(), planned(), planned()
    stripe.will("create_transfer", not_sent(401))

    send_due()

    assert stripe.names() == ["create_transfer"]
    assert ReviewItem.objects.filter(kind="stripe_auth_rejected").count() == 1


def test_the_case_of_a_wrong_key_closes_by_itself_when_stripe_lets_us_in(stripe):
    planned(), planned()
    stripe.will("create_transfer", not_sent(401), sent())
    send_due()
    SellerTransfer.objects.filter(next_retry_at__gt=timezone.now()).update(next_retry_at=None)

    send_due()

    case = ReviewItem.objects.get(kind="stripe_auth_rejected")
    assert (case.status, case.closed_by) == ("closed", "veza")


def test_one_stripe_id_belongs_to_one_transfer():
    completed(stripe_transfer_id="tr_1")

    with pytest.raises(IntegrityError), transaction.atomic():
        completed(stripe_transfer_id="tr_1")
