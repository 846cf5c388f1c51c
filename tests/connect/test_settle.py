"""Wanted against have: every kind of fact in every state of a transfer."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import reverse_transfer
from connect.settlement.reconcile_seller import settle_order
from connect.transfers.transfer_requests import plan_transfers
from payments.models import Refund
from tests.connect.conftest import refused, taken_back, unknown
from tests.connect.factories import BY_TEST, completed, make_order, make_seller, planned, refund, to_reverse
from veza.core.models import ReviewItem
from veza.core.states import move

pytestmark = pytest.mark.django_db


def bounce(given_back: Refund, transfer: SellerTransfer) -> None:
    move(given_back, "bounced", cause=BY_TEST)
    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())


def of(transfer: SellerTransfer) -> list[tuple[object, ...]]:
    rows = SellerTransfer.objects.filter(order=transfer.order).order_by("seq")
    return list(rows.values_list("seq", "status", "amount_minor", "reversal_target_minor"))


def test_a_refund_cancels_a_transfer_that_was_never_sent():
    transfer = planned(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 9_00)

    assert of(transfer) == [(1, "cancelled", 9_00, 0)]


def test_a_partial_refund_shrinks_a_transfer_that_was_never_sent():
    transfer = planned(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 4_00)

    assert of(transfer) == [(1, "pending", 5_00, 0)]


def test_a_refund_makes_a_completed_transfer_due_for_reversal():
    transfer = completed(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 9_00)

    assert of(transfer) == [(1, "reversal_pending", 9_00, 9_00)]
    assert SellerTransfer.objects.to_reverse().due().count() == 1


def test_a_refund_of_a_transfer_in_doubt_only_raises_its_target():
    transfer = planned(amount_minor=9_00, in_doubt_since=timezone.now())

    refund(transfer.order, transfer.seller, 9_00)

    assert of(transfer) == [(1, "pending", 9_00, 9_00)]


def test_a_second_partial_refund_raises_the_target_of_a_reversal_under_way():
    transfer = completed(amount_minor=9_00)

    refund(transfer.order, transfer.seller, 4_00)
    refund(transfer.order, transfer.seller, 3_00)

    assert of(transfer) == [(1, "reversal_pending", 9_00, 7_00)]


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


def test_a_bounced_refund_before_the_reversal_was_tried_takes_nothing_back():
    transfer = completed(amount_minor=9_00)
    given_back = refund(transfer.order, transfer.seller, 9_00)

    bounce(given_back, transfer)

    assert of(transfer) == [(1, "completed", 9_00, 0)]


def test_a_bounced_refund_after_the_reversal_pays_the_seller_again_with_a_new_transfer(stripe):
    transfer = completed(amount_minor=9_00)
    given_back = refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", taken_back())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    bounce(given_back, transfer)

    assert of(transfer) == [(1, "reversed", 9_00, 9_00), (2, "pending", 9_00, 0)]


def test_a_bounced_refund_of_a_cancelled_transfer_pays_with_a_new_transfer():
    transfer = planned(amount_minor=9_00)
    given_back = refund(transfer.order, transfer.seller, 9_00)

    bounce(given_back, transfer)

    assert of(transfer) == [(1, "cancelled", 9_00, 0), (2, "pending", 9_00, 0)]


def test_a_target_never_falls_below_an_intent_that_is_under_way(stripe):
    transfer = completed(amount_minor=9_00)
    given_back = refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", unknown())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    bounce(given_back, transfer)

    assert TransferReversal.objects.get().to_minor == 9_00
    assert of(transfer) == [(1, "reversal_pending", 9_00, 9_00), (2, "pending", 9_00, 0)]


def test_a_refund_takes_from_the_newest_transfer_first(stripe):
    transfer = completed(amount_minor=9_00)
    given_back = refund(transfer.order, transfer.seller, 4_00)
    stripe.will("create_reversal", taken_back())
    reverse_transfer(transfer.pk, cause=BY_TEST)
    bounce(given_back, transfer)

    refund(transfer.order, transfer.seller, 5_00)

    assert of(transfer) == [(1, "reversal_pending", 9_00, 5_00), (2, "cancelled", 4_00, 0)]


def test_a_refund_of_a_transfer_that_was_given_up_unsent_cancels_it():
    transfer = planned(amount_minor=9_00)
    move_to_given_up(transfer)

    refund(transfer.order, transfer.seller, 9_00)

    assert of(transfer) == [(1, "cancelled", 9_00, 0)]


def test_a_refund_of_a_transfer_given_up_in_doubt_raises_its_target():
    transfer = planned(amount_minor=9_00, in_doubt_since=timezone.now())
    move_to_given_up(transfer)

    refund(transfer.order, transfer.seller, 9_00)

    assert of(transfer) == [(1, "permanently_failed", 9_00, 9_00)]


def test_a_debt_that_bounces_away_is_no_debt():
    transfer = to_reverse(amount_minor=9_00, waiting_for="debt")

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for, transfer.owed_minor) == ("completed", "", 0)


def test_the_case_of_a_reversal_given_up_is_closed_when_its_refund_bounces(stripe):
    transfer = completed(amount_minor=9_00)
    given_back = refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", refused("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    bounce(given_back, transfer)

    assert of(transfer) == [(1, "completed", 9_00, 0)]
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


def move_to_given_up(transfer: SellerTransfer) -> None:
    move(transfer, "permanently_failed", cause=BY_TEST, next_retry_at=None)
