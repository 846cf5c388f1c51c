"""Debts: what a seller owes for one order is kept back from the next, once, and owed again when that is refunded."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connect.models import SellerTransfer, SetOff
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import reverse_transfer
from connect.transfers.transfer_refresh import refresh_transfer
from connect.transfers.transfer_requests import send_transfer
from payments.models import Posting
from tests.connect.conftest import looked, refused, sent, taken_back, unknown
from tests.connect.factories import BY_TEST, make_seller, planned, refund
from tests.connect.proving import faults_of
from tests.connect.test_reversals import reversed_at_stripe
from tests.connect.test_settle import bounce
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def send(transfer):
    send_transfer(transfer.pk, cause=BY_TEST)
    return fresh(transfer)


def fresh(transfer):
    return SellerTransfer.objects.get(pk=transfer.pk)


def standing(transfer):
    row = fresh(transfer)
    return row.status, row.reversal_target_minor, row.covered_minor


def debt_of(stripe, seller, amount_minor=9_00):
    """A transfer that Stripe sent, that was refunded, and that the seller's balance did not pay back."""
    transfer = planned(seller, amount_minor=amount_minor)
    stripe.will("create_transfer", sent())
    send(transfer)
    refund(transfer.order, seller, amount_minor)
    stripe.will("create_reversal", refused("balance_insufficient"))
    reverse_transfer(transfer.pk, cause=BY_TEST)
    return fresh(transfer)


@pytest.fixture
def seller():
    return make_seller()


def test_a_debt_is_kept_back_from_the_next_transfer(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", sent())

    transfer = send(planned(seller, amount_minor=9_00))

    assert (transfer.status, transfer.set_off_minor) == ("completed", 4_00)
    assert stripe.params[-1][1]["amount_minor"] == 5_00
    assert standing(debt) == ("completed", 0, 4_00)


def test_a_set_off_leaves_a_row_and_no_posting(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", sent())

    transfer = send(planned(seller, amount_minor=9_00))

    one = SetOff.objects.get()
    assert (one.transfer, one.debt, one.amount_minor, one.undone_minor) == (transfer, debt, 4_00, 0)
    assert Posting.objects.get(kind="transfer", subject_id=transfer.pk).amount_minor == 5_00


def test_a_debt_larger_than_the_transfer_is_completed_without_a_call_and_stays_a_debt(stripe, seller):
    debt = debt_of(stripe, seller, 9_00)

    transfer = send(planned(seller, amount_minor=4_00))

    assert (transfer.status, transfer.sent_minor, transfer.stripe_transfer_id) == ("completed", 0, None)
    assert transfer.completed_at is not None
    assert standing(debt) == ("reversal_pending", 5_00, 4_00)


def test_the_oldest_debt_is_paid_first(stripe, seller):
    older, newer = planned(seller, amount_minor=4_00), planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", sent(), sent())
    stripe.will("create_reversal", refused("balance_insufficient"), refused("balance_insufficient"))
    for row in (send(older), send(newer)):
        refund(row.order, seller, 4_00)
        reverse_transfer(row.pk, cause=BY_TEST)

    send(planned(seller, amount_minor=6_00))

    assert standing(older) == ("completed", 0, 4_00)
    assert standing(newer) == ("reversal_pending", 2_00, 2_00)


def test_a_seller_without_debt_is_sent_everything(stripe, seller):
    debt_of(stripe, make_seller(), 4_00)
    stripe.will("create_transfer", sent())

    transfer = send(planned(seller, amount_minor=9_00))

    assert transfer.set_off_minor == 0


def test_a_reversal_under_way_is_never_set_off(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", unknown())
    reverse_transfer(debt.pk, cause=BY_TEST)
    stripe.will("create_transfer", sent())

    transfer = send(planned(seller, amount_minor=9_00))

    assert transfer.set_off_minor == 0


def test_a_reversal_that_waits_for_its_turn_is_no_debt(stripe, seller):
    owed = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", sent(), sent())
    send(owed)
    refund(owed.order, seller, 4_00)

    assert send(planned(seller, amount_minor=9_00)).set_off_minor == 0


def test_a_reversal_that_was_given_up_is_set_off_and_its_case_closed(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", refused("resource_missing", status=404))
    reverse_transfer(debt.pk, cause=BY_TEST)
    stripe.will("create_transfer", sent())

    assert send(planned(seller, amount_minor=9_00)).set_off_minor == 4_00
    assert standing(debt) == ("completed", 0, 4_00)
    assert ReviewItem.objects.get(kind="reversal_failed").closed_at is not None


def test_a_reversal_that_was_given_up_and_is_set_off_in_part_leaves_the_rest_to_its_case(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", refused("resource_missing", status=404))
    reverse_transfer(debt.pk, cause=BY_TEST)

    send(planned(seller, amount_minor=3_00))

    case = ReviewItem.objects.get(kind="reversal_failed")
    assert (case.amount_minor, case.closed_at) == (1_00, None)


def test_a_transfer_in_doubt_is_set_off_against_nothing(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", sent())
    doubted = planned(
        seller, in_doubt_since=timezone.now(), destination=seller.connected_account.stripe_account_id, sendings=1
    )

    assert send(doubted).set_off_minor == 0


def test_a_set_off_is_not_done_again_when_the_transfer_is_sent_again(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", unknown(), sent())
    transfer = planned(seller, amount_minor=9_00)

    send(transfer)
    send(transfer)

    assert SetOff.objects.count() == 1
    assert [params["amount_minor"] for name, params in stripe.params if name == "create_transfer"][-2:] == [5_00, 5_00]


def test_what_stripe_then_refused_stays_set_off_and_the_rest_is_sent_under_another_key(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", refused("balance_insufficient"), sent())
    transfer = planned(seller, amount_minor=9_00)

    send(transfer)
    transfer = send(transfer)

    assert (transfer.status, transfer.set_off_minor, SetOff.objects.count()) == ("completed", 4_00, 1)
    assert len(set(stripe.keys()[-2:])) == 2


def test_a_refund_of_the_new_order_takes_back_what_was_sent_first(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", sent())
    transfer = send(planned(seller, amount_minor=9_00))

    refund(transfer.order, seller, 5_00)

    assert fresh(transfer).reversal_target_minor == 5_00
    assert standing(debt) == ("completed", 0, 4_00)


def test_a_refund_beyond_what_was_sent_undoes_the_set_off_for_the_missing_part(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", sent())
    transfer = send(planned(seller, amount_minor=9_00))

    refund(transfer.order, seller, 8_00)

    row = fresh(transfer)
    assert (row.reversal_target_minor, row.undone_minor) == (5_00, 3_00)
    assert standing(debt) == ("reversal_pending", 3_00, 1_00)
    assert SetOff.objects.get().standing_minor == 1_00


def test_a_debt_that_is_owed_again_is_asked_for_again(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))
    refund(transfer.order, seller, 3_00)
    stripe.will("create_reversal", taken_back())

    reverse_transfer(debt.pk, cause=BY_TEST)

    assert standing(debt) == ("reversed", 4_00, 0)
    assert stripe.params[-1][1]["amount_minor"] == 4_00


def test_an_undone_set_off_is_not_undone_again(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))

    refund(transfer.order, seller, 2_00)
    refund(transfer.order, seller, 1_00)

    assert standing(debt) == ("reversal_pending", 4_00, 0)
    assert fresh(transfer).undone_minor == 3_00


def test_a_refund_of_a_transfer_that_was_set_off_and_never_sent_cancels_it(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", refused("balance_insufficient"))
    transfer = send(planned(seller, amount_minor=9_00))

    refund(transfer.order, seller, 9_00)

    assert fresh(transfer).status == "cancelled"
    assert standing(debt) == ("reversal_pending", 4_00, 0)


def test_a_refund_in_flight_of_a_set_off_transfer_that_is_then_refused_leaves_the_set_off(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = planned(seller, amount_minor=9_00)

    def refunded_meanwhile(_given):
        refund(transfer.order, seller, 5_00)
        return refused("balance_insufficient")

    stripe.will("create_transfer", refunded_meanwhile)
    transfer = send(transfer)

    assert (transfer.status, transfer.amount_minor, transfer.sent_minor) == ("completed", 4_00, 0)
    assert standing(debt) == ("completed", 0, 4_00)


def test_a_refund_of_the_old_order_that_bounces_after_the_set_off_pays_the_seller_again(stripe, seller):
    debt = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", sent())
    send(debt)
    given_back = refund(debt.order, seller, 4_00)
    stripe.will("create_reversal", refused("balance_insufficient"))
    reverse_transfer(debt.pk, cause=BY_TEST)
    send(planned(seller, amount_minor=4_00))

    bounce(given_back, debt)

    again = SellerTransfer.objects.get(order=debt.order, seq=2)
    assert (again.status, again.amount_minor) == ("pending", 4_00)


def test_the_books_hold_with_a_set_off_standing_and_undone(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))
    refund(transfer.order, seller, 1_00)

    assert faults_of(debt.order_id, transfer.order_id) == []


def test_the_balance_is_the_same_before_and_after_a_set_off(stripe, seller):
    debt_of(stripe, seller, 4_00)
    transfer = planned(seller, amount_minor=9_00)
    before = balances_of(seller.pk)
    stripe.will("create_transfer", sent())

    send(transfer)

    assert [(one.available_minor, one.debt_minor) for one in before] == [(5_00, 0)]
    assert [(one.available_minor, one.debt_minor) for one in balances_of(seller.pk)] == [(0, 0)]


def test_the_database_counts_no_cent_as_given_back_twice(stripe, seller):
    debt = SellerTransfer.objects.filter(pk=debt_of(stripe, seller, 4_00).pk)
    send(planned(seller, amount_minor=4_00))

    # Stripe's dashboard can take it a second time; then the row says that nobody here wanted it.
    debt.update(reversal_target_minor=4_00, reversed_minor=4_00, external_reversed_minor=4_00)

    with pytest.raises(IntegrityError), transaction.atomic():
        debt.update(external_reversed_minor=3_00)


def test_a_debt_waits_days_and_the_set_off_does_not_change_when(stripe, seller):
    debt = debt_of(stripe, seller, 9_00)

    send(planned(seller, amount_minor=4_00))

    assert fresh(debt).waiting_for == "debt"
    assert fresh(debt).next_retry_at - timezone.now() > timedelta(hours=23)


def test_a_debt_that_was_reversed_by_hand_is_not_asked_for_again_when_its_set_off_is_undone(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", sent())
    transfer = send(planned(seller, amount_minor=9_00))
    stripe.will("read_transfer", looked(reversed_at_stripe(fresh(debt), 4_00)))
    refresh_transfer(debt.pk, cause=BY_TEST)

    refund(transfer.order, seller, 9_00)

    debt = fresh(debt)
    assert (debt.status, debt.reversal_target_minor, debt.external_reversed_minor, debt.covered_minor) == (
        "reversed",
        4_00,
        0,
        0,
    )


def test_a_debt_whose_undone_part_was_reversed_by_hand_has_nothing_to_take_back(stripe, seller):
    debt = debt_of(stripe, seller, 9_00)
    transfer = send(planned(seller, amount_minor=9_00))
    stripe.will("read_transfer", looked(reversed_at_stripe(fresh(debt), 4_00)))
    refresh_transfer(debt.pk, cause=BY_TEST)

    refund(transfer.order, seller, 4_00)

    assert standing(debt) == ("completed", 4_00, 5_00)
    assert (fresh(debt).owed_minor, fresh(debt).external_reversed_minor) == (0, 0)
