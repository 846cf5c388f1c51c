"""Sending transfers: rows that raise an error of our own, failed rows, and retries."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.transfers.transfer_requests import TransferNotRetryable, retry, send_due
from tests.connect.builders import debt_of, send
from tests.connect.factories import (
    BY_TEST,
    completed,
    make_seller,
    planned,
    refund,
)
from tests.connect.stripe_double import accepts_transfer, refuses
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)


def test_a_poison_row_does_not_stop_the_others_and_counts_its_retry(stripe):
    first, second = planned(), planned()
    stripe.will("create_transfer", lambda _params: 1 / 0, accepts_transfer())

    tally = send_due()

    first.refresh_from_db(), second.refresh_from_db()
    assert (tally.done, tally.failed) == (1, 1)
    assert sorted([first.status, second.status]) == ["completed", "pending"]
    assert sorted([first.retry_count, second.retry_count]) == [0, 1]


def test_a_poison_row_fails_in_the_end(stripe, settings):
    transfer = planned(retry_count=settings.TRANSFER_RETRY_MAX_RETRIES)
    stripe.will("create_transfer", lambda _params: 1 / 0)

    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "permanently_failed"
    assert "ZeroDivisionError" in transfer.last_error


def test_a_row_that_is_not_due_is_left_alone(stripe):
    planned(next_retry_at=timezone.now() + timedelta(minutes=5))

    assert send_due().done == 0


def test_a_failed_transfer_can_be_sent_again(stripe):
    stripe.will("create_transfer", refuses("resource_missing"), accepts_transfer())
    transfer = send(planned())

    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert send(transfer).status == "completed"
    assert stripe.keys()[1].endswith(":transfer:1")


def test_a_transfer_that_stripe_has_is_never_sent_again():
    with pytest.raises(TransferNotRetryable):
        retry(transfer_id=completed().pk, cause=BY_TEST)


def test_the_review_item_closes_when_a_retry_succeeds(stripe):
    stripe.will("create_transfer", refuses("resource_missing"), accepts_transfer())
    transfer = send(planned())
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    send(transfer)

    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"


def test_the_review_item_closes_when_a_refund_leaves_nothing_to_send(stripe):
    stripe.will("create_transfer", refuses("resource_missing"))
    transfer = send(planned(amount_minor=9_00))

    refund(transfer.order, transfer.seller, 9_00)

    transfer.refresh_from_db()
    assert (transfer.status, ReviewItem.objects.get(kind="transfer_failed").closed_by) == ("cancelled", "veza")


def test_a_transfer_reversed_before_it_was_booked_is_refreshed(stripe):
    stripe.will("create_transfer", accepts_transfer(reversed_minor=9_00))

    assert send(planned(amount_minor=9_00)).refresh_due_at is not None


def test_the_review_item_closes_when_a_set_off_leaves_nothing_to_send(stripe):
    seller = make_seller()
    stripe.will("create_transfer", refuses("resource_missing"))
    transfer = send(planned(seller, amount_minor=9_00))
    debt_of(stripe, seller, 9_00)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    send(transfer)

    assert (transfer.status, transfer.sent_minor) == ("completed", 0)
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"


def test_the_review_item_closes_when_a_refund_cancels_the_retry(stripe):
    transfer = planned(amount_minor=9_00)

    def refund_meanwhile(_params):
        refund(transfer.order, transfer.seller, 9_00)
        return refuses("balance_insufficient")

    stripe.will("create_transfer", refuses("resource_missing"), refund_meanwhile)
    send(transfer)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert send(transfer).status == "cancelled"
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"


def test_the_review_item_closes_when_only_the_set_off_is_left(stripe):
    seller = make_seller()
    transfer = planned(seller, amount_minor=9_00)

    def refund_meanwhile(_params):
        refund(transfer.order, seller, 5_00)
        return refuses("balance_insufficient")

    stripe.will("create_transfer", refuses("resource_missing"))
    send(transfer)
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", refund_meanwhile)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert (send(transfer).status, transfer.sent_minor) == ("completed", 0)
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"
