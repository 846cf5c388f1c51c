"""Sending transfers: rows that trip our own code, and rows a person takes up again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.transfers.transfer_requests import TransferNotRetryable, retry, send_due, send_transfer
from tests.connect.conftest import refused, sent
from tests.connect.factories import (
    BY_TEST,
    completed,
    make_seller,
    planned,
    refund,
)
from tests.connect.test_set_off import debt_of
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)


def send(transfer):
    send_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


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


def test_the_case_is_closed_when_a_retry_succeeds(stripe):
    stripe.will("create_transfer", refused("resource_missing"), sent())
    transfer = send(planned())
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    send(transfer)

    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"


def test_the_case_is_closed_when_a_refund_leaves_nothing_to_send(stripe):
    stripe.will("create_transfer", refused("resource_missing"))
    transfer = send(planned(amount_minor=9_00))

    refund(transfer.order, transfer.seller, 9_00)

    transfer.refresh_from_db()
    assert (transfer.status, ReviewItem.objects.get(kind="transfer_failed").closed_by) == ("cancelled", "veza")


def test_a_transfer_that_stripe_took_back_before_we_knew_of_it_is_looked_at(stripe):
    stripe.will("create_transfer", sent(reversed_minor=9_00))

    assert send(planned(amount_minor=9_00)).refresh_due_at is not None


def test_the_case_is_closed_when_a_debt_takes_all_that_was_to_be_sent(stripe):
    seller = make_seller()
    stripe.will("create_transfer", refused("resource_missing"))
    transfer = send(planned(seller, amount_minor=9_00))
    debt_of(stripe, seller, 9_00)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    send(transfer)

    assert (transfer.status, transfer.sent_minor) == ("completed", 0)
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"


def test_the_case_is_closed_when_a_refund_leaves_nothing_to_send_during_the_retry(stripe):
    transfer = planned(amount_minor=9_00)

    def refunded_meanwhile(_given):
        refund(transfer.order, transfer.seller, 9_00)
        return refused("balance_insufficient")

    stripe.will("create_transfer", refused("resource_missing"), refunded_meanwhile)
    send(transfer)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert send(transfer).status == "cancelled"
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"


def test_the_case_is_closed_when_a_refund_during_the_retry_leaves_only_what_paid_a_debt(stripe):
    seller = make_seller()
    transfer = planned(seller, amount_minor=9_00)

    def refunded_meanwhile(_given):
        refund(transfer.order, seller, 5_00)
        return refused("balance_insufficient")

    stripe.will("create_transfer", refused("resource_missing"))
    send(transfer)
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", refunded_meanwhile)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert (send(transfer).status, transfer.sent_minor) == ("completed", 0)
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"
