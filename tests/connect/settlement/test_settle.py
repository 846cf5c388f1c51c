"""Target against net paid: every kind of event in every status of a transfer."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import reverse_transfer
from connect.settlement.reconcile_seller import settle_order
from connect.transfers.transfer_requests import plan_transfers
from tests.connect.builders import return_by_bank, rows_of
from tests.connect.factories import BY_TEST, completed, make_order, make_seller, planned, refund, to_reverse
from tests.connect.stripe_double import accepts_reversal, refuses, times_out
from veza.core.models import ReviewItem
from veza.core.states import move

pytestmark = pytest.mark.django_db


def test_a_refund_cancels_a_transfer_that_was_never_sent():
    transfer = planned(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 9_00)

    assert rows_of(transfer) == [(1, "cancelled", 9_00, 0)]


def test_a_partial_refund_shrinks_a_transfer_that_was_never_sent():
    transfer = planned(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 4_00)

    assert rows_of(transfer) == [(1, "pending", 5_00, 0)]


def test_a_refund_makes_a_completed_transfer_due_for_reversal():
    transfer = completed(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 9_00)

    assert rows_of(transfer) == [(1, "reversal_pending", 9_00, 9_00)]
    assert SellerTransfer.objects.to_reverse().due().count() == 1


def test_a_refund_of_a_transfer_in_doubt_only_raises_its_target():
    transfer = planned(amount_minor=9_00, in_doubt_since=timezone.now())

    refund(transfer.order, transfer.seller, 9_00)

    assert rows_of(transfer) == [(1, "pending", 9_00, 9_00)]


def test_a_second_partial_refund_raises_the_target_of_a_reversal_under_way():
    transfer = completed(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 4_00)
    refund(transfer.order, transfer.seller, 3_00)

    assert rows_of(transfer) == [(1, "reversal_pending", 9_00, 7_00)]


def test_a_refund_of_one_seller_leaves_the_other_alone():
    ana, ben = make_seller(), make_seller()
    order = make_order((ana, 9_00), (ben, 4_50))
    plan_transfers(order, cause=BY_TEST, at=timezone.now())

    refund(order, ana, 9_00)

    assert order.transfers.get(seller=ana).status == "cancelled"
    assert order.transfers.get(seller=ben).status == "pending"


def test_settling_again_changes_nothing():
    transfer = completed(amount_minor=9_00)
    refund(transfer.order, transfer.seller, 4_00)
    before = list(SellerTransfer.objects.values())

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    assert list(SellerTransfer.objects.values()) == before


def test_a_returned_refund_before_the_reversal_reverses_nothing():
    transfer = completed(amount_minor=9_00)
    refund_row = refund(transfer.order, transfer.seller, 9_00)

    return_by_bank(refund_row, transfer)

    assert rows_of(transfer) == [(1, "completed", 9_00, 0)]


def test_a_returned_refund_after_the_reversal_pays_by_a_new_transfer(stripe):
    transfer = completed(amount_minor=9_00)
    refund_row = refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", accepts_reversal())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    return_by_bank(refund_row, transfer)

    assert rows_of(transfer) == [(1, "reversed", 9_00, 9_00), (2, "pending", 9_00, 0)]


def test_a_returned_refund_of_a_cancelled_transfer_pays_by_a_new_one():
    transfer = planned(amount_minor=9_00)
    refund_row = refund(transfer.order, transfer.seller, 9_00)

    return_by_bank(refund_row, transfer)

    assert rows_of(transfer) == [(1, "cancelled", 9_00, 0), (2, "pending", 9_00, 0)]


def test_a_target_never_falls_below_an_intent_that_is_under_way(stripe):
    transfer = completed(amount_minor=9_00)
    refund_row = refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", times_out())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    return_by_bank(refund_row, transfer)

    assert TransferReversal.objects.get().to_minor == 9_00
    assert rows_of(transfer) == [(1, "reversal_pending", 9_00, 9_00), (2, "pending", 9_00, 0)]


def test_a_refund_takes_from_the_newest_transfer_first(stripe):
    transfer = completed(amount_minor=9_00)
    refund_row = refund(transfer.order, transfer.seller, 4_00)
    stripe.will("create_reversal", accepts_reversal())
    reverse_transfer(transfer.pk, cause=BY_TEST)
    return_by_bank(refund_row, transfer)

    refund(transfer.order, transfer.seller, 5_00)

    assert rows_of(transfer) == [(1, "reversal_pending", 9_00, 5_00), (2, "cancelled", 4_00, 0)]


def test_a_refund_of_a_transfer_that_failed_unsent_cancels_it():
    transfer = planned(amount_minor=9_00)
    fail(transfer)

    refund(transfer.order, transfer.seller, 9_00)

    assert rows_of(transfer) == [(1, "cancelled", 9_00, 0)]


def test_a_refund_of_a_transfer_that_failed_in_doubt_raises_its_target():
    transfer = planned(amount_minor=9_00, in_doubt_since=timezone.now())
    fail(transfer)

    refund(transfer.order, transfer.seller, 9_00)

    assert rows_of(transfer) == [(1, "permanently_failed", 9_00, 9_00)]


def test_a_debt_whose_refund_is_returned_is_no_debt():
    transfer = to_reverse(amount_minor=9_00, waiting_for="debt")

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for, transfer.outstanding_minor) == ("completed", "", 0)


def test_the_review_item_closes_when_the_refund_is_returned(stripe):
    transfer = completed(amount_minor=9_00)
    refund_row = refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    return_by_bank(refund_row, transfer)

    assert rows_of(transfer) == [(1, "completed", 9_00, 0)]
    assert ReviewItem.objects.get(kind="reversal_failed").closed_by == "veza"


def test_an_order_that_was_never_fulfilled_pays_no_seller():
    order = make_order((make_seller(), 9_00))
    order.completed_at = None

    settle_order(order, cause=BY_TEST, at=timezone.now())

    assert not SellerTransfer.objects.exists()


def test_settling_costs_no_more_for_many_sellers_than_for_one():
    assert statements_to_settle(sellers=6) == statements_to_settle(sellers=1)


def statements_to_settle(*, sellers: int) -> int:
    paid = [make_seller() for _ in range(sellers)]
    order = make_order(*[(seller, 5_00) for seller in paid])
    plan_transfers(order, cause=BY_TEST, at=timezone.now())
    for seller in paid:
        refund(order, seller, 5_00, settle=False)
    with CaptureQueriesContext(connection) as captured:
        settle_order(order, cause=BY_TEST, at=timezone.now())
    assert set(order.transfers.values_list("status", flat=True)) == {"cancelled"}
    return len(captured)


def fail(transfer: SellerTransfer) -> None:
    move(transfer, "permanently_failed", cause=BY_TEST, next_retry_at=None)
