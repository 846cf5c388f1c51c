"""Sending transfers: what each answer of Stripe's does to the row, and to the key of the next try."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connect.accounts import apply_account
from connect.models import SellerTransfer
from connect.stripe.objects import RemoteAccount
from connect.transfers.transfer_requests import plan_transfers, send_due
from payments.models import Posting
from tests.connect.builders import send
from tests.connect.factories import (
    BY_TEST,
    completed,
    make_order,
    make_seller,
    planned,
)
from tests.connect.stripe_double import accepts_transfer, refuses, rejects_key, shows_account, times_out
from tests.factories import SellerFactory
from veza.core.models import ProviderCall, ReviewItem

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)


def test_each_seller_of_an_order_is_planned_one_transfer(django_assert_num_queries):
    order = make_order((make_seller(), 9_00), (make_seller(), 4_50))

    with django_assert_num_queries(2):
        plan_transfers(order, cause=BY_TEST, at=timezone.now())

    rows = order.transfers.values_list("amount_minor", "status", "currency")
    assert sorted(rows) == [(4_50, "pending", "EUR"), (9_00, "pending", "EUR")]


def test_a_seller_with_no_share_is_planned_nothing():
    order = make_order((make_seller(), 0))

    plan_transfers(order, cause=BY_TEST, at=timezone.now())

    assert not order.transfers.exists()


def test_the_id_at_stripe_is_stored_when_the_transfer_is_made(stripe):
    stripe.will("create_transfer", accepts_transfer("tr_1"))

    transfer = send(planned())

    assert (transfer.status, transfer.stripe_transfer_id) == ("completed", "tr_1")
    assert transfer.in_doubt_since is None
    assert transfer.next_retry_at is None


def test_a_sent_transfer_is_booked_from_the_seller_to_stripe(stripe):
    stripe.will("create_transfer", accepts_transfer())

    transfer = send(planned(amount_minor=9_00))

    posting = Posting.objects.get(kind="transfer", subject_id=transfer.pk)
    assert (posting.leg, posting.amount_minor, posting.correlation_id) == ("sent", 9_00, transfer.order_id)
    assert (posting.debit_id, posting.credit_id) == (f"seller:{transfer.seller_id}", "stripe_balance")
    assert posting.payment.purpose_id == transfer.order_id


def test_the_request_is_a_function_of_the_row(stripe):
    stripe.will("create_transfer", accepts_transfer())

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
    stripe.will("create_transfer", times_out())

    transfer = send(planned())

    record = ProviderCall.objects.get(subject_id=transfer.pk)
    assert (record.outcome, record.our_id, record.correlation_id) == ("unknown", transfer.key, transfer.order_id)


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
    stripe.will("create_transfer", refuses(code), accepts_transfer())
    transfer = send(planned())
    assert (transfer.status, transfer.waiting_for, transfer.retry_count) == ("pending", "platform_balance", 0)
    assert transfer.in_doubt_since is None

    send(transfer)

    assert transfer.status == "completed"
    assert stripe.keys() == [f"{transfer.pk}:transfer:0", f"{transfer.pk}:transfer:1"]


def test_a_lost_capability_is_found_by_reading_the_account(stripe):
    stripe.will("create_transfer", refuses("", "A sentence without a code."))
    stripe.will("read_account", shows_account(active=False))

    transfer = send(planned())

    assert (transfer.status, transfer.waiting_for, transfer.key_epoch) == ("pending", "account", 1)


def test_an_unknown_destination_fails_after_one_call(stripe):
    stripe.will("create_transfer", refuses("resource_missing", "No such destination: 'acct_9'"))

    transfer = send(planned())

    assert (transfer.status, transfer.in_doubt_since) == ("permanently_failed", None)
    assert stripe.names() == ["create_transfer"]
    assert ReviewItem.objects.filter(kind="transfer_failed", subject_id=transfer.pk).exists()


def test_an_unknown_refusal_is_retried_under_another_key(stripe):
    stripe.will("create_transfer", refuses("something_new"), accepts_transfer())
    stripe.will("read_account", shows_account(active=True))

    transfer = send(planned())
    assert (transfer.status, transfer.retry_count, transfer.key_epoch) == ("failed", 1, 1)

    assert send(transfer).status == "completed"


def test_an_unknown_refusal_fails_in_the_end(stripe, settings):
    stripe.will("create_transfer", refuses("something_new"))
    stripe.will("read_account", shows_account(active=True))

    transfer = send(planned(retry_count=settings.TRANSFER_RETRY_MAX_RETRIES))

    assert transfer.status == "permanently_failed"


def test_a_rejected_key_counts_no_retry_and_leaves_no_doubt(stripe):
    stripe.will("create_transfer", rejects_key(401))

    transfer = send(planned())

    assert (transfer.status, transfer.retry_count, transfer.in_doubt_since) == ("pending", 0, None)


def test_a_rejected_key_stops_the_tick_and_opens_one_review_item(stripe):
    planned(), planned(), planned()
    stripe.will("create_transfer", rejects_key(401))

    send_due()

    assert stripe.names() == ["create_transfer"]
    assert ReviewItem.objects.filter(kind="stripe_auth_rejected").count() == 1


def test_the_review_of_a_wrong_key_closes_once_stripe_accepts_it(stripe):
    planned(), planned()
    stripe.will("create_transfer", rejects_key(401), accepts_transfer())
    send_due()
    SellerTransfer.objects.filter(next_retry_at__gt=timezone.now()).update(next_retry_at=None)

    send_due()

    item = ReviewItem.objects.get(kind="stripe_auth_rejected")
    assert (item.status, item.closed_by) == ("closed", "veza")


def test_one_stripe_id_belongs_to_one_transfer():
    completed(stripe_transfer_id="tr_1")

    with pytest.raises(IntegrityError), transaction.atomic():
        completed(stripe_transfer_id="tr_1")
