"""TRANSFER_DELAY keeps the money with us first: what happens to the order meanwhile changes what is sent."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer
from connect.transfers.transfer_requests import TransferNotRetryable, retry, send_due
from tests.connect.builders import fresh, return_by_bank, rows_of, send
from tests.connect.factories import BY_TEST, make_due, planned, refund
from tests.connect.stripe_double import accepts_transfer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_days(settings):
    settings.TRANSFER_DELAY = timedelta(days=2)


def test_a_transfer_is_due_as_long_after_the_sale_as_the_delay():
    transfer = planned()

    assert transfer.next_retry_at == transfer.order.completed_at + timedelta(days=2)


def test_without_a_delay_it_is_due_at_once(settings):
    settings.TRANSFER_DELAY = timedelta(0)

    assert planned().next_retry_at <= timezone.now()


def test_the_worker_sends_nothing_before_its_time(stripe):
    planned()

    assert send_due().done == 0


def test_the_worker_sends_it_when_its_time_has_come(stripe):
    transfer = planned()
    make_due(transfer.pk)
    stripe.will("create_transfer", accepts_transfer())

    assert (send_due().done, fresh(transfer).status) == (1, "completed")


def test_staff_cannot_send_it_sooner():
    with pytest.raises(TransferNotRetryable):
        retry(transfer_id=planned().pk, cause=BY_TEST)


def test_a_refund_meanwhile_cancels_what_was_never_sent(stripe, seller):
    transfer = planned(seller)

    refund(transfer.order, seller, 9_00)

    assert fresh(transfer).status == "cancelled"


def test_a_part_refunded_meanwhile_is_not_sent_and_the_rest_keeps_its_time(stripe, seller):
    transfer = planned(seller)

    refund(transfer.order, seller, 4_00)

    assert (fresh(transfer).amount_minor, fresh(transfer).next_retry_at) == (5_00, transfer.next_retry_at)


def test_what_a_returned_refund_plans_again_waits_as_long(stripe, seller):
    transfer = planned(seller)
    row = refund(transfer.order, seller, 9_00)

    return_by_bank(row, transfer)

    again = SellerTransfer.objects.get(order=transfer.order, seq=2)
    assert (again.status, again.next_retry_at) == ("pending", transfer.next_retry_at)


def test_what_an_old_order_pays_again_is_due_at_once(stripe, seller):
    transfer = planned(seller)
    row = refund(transfer.order, seller, 9_00)
    type(transfer.order).objects.update(completed_at=timezone.now() - timedelta(days=3))
    transfer.refresh_from_db()
    stripe.will("create_transfer", accepts_transfer())

    return_by_bank(row, transfer)
    send(SellerTransfer.objects.get(order=transfer.order, seq=2))

    assert [status for _, status, *_ in rows_of(transfer)] == ["cancelled", "completed"]
