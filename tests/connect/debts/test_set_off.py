"""Debts: what a seller owes for one order is withheld from the next, once, and owed again when that is refunded."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from connect.models import SellerTransfer, SetOff
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import reverse_transfer
from connect.transfers.transfer_refresh import refresh_transfer
from payments.models import Posting
from tests.connect.builders import debt_of, fresh, return_by_bank, reversed_at_stripe, send
from tests.connect.factories import BY_TEST, make_seller, planned, refund
from tests.connect.proving import faults_of
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses, shows, times_out
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def amounts_of(transfer):
    row = fresh(transfer)
    return row.status, row.reversal_target_minor, row.offset_minor


def test_a_debt_is_withheld_from_the_next_transfer(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())

    transfer = send(planned(seller, amount_minor=9_00))

    assert (transfer.status, transfer.withheld_minor) == ("completed", 4_00)
    assert stripe.params[-1][1]["amount_minor"] == 5_00
    assert amounts_of(debt) == ("completed", 0, 4_00)


def test_a_set_off_leaves_a_row_and_no_posting(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())

    transfer = send(planned(seller, amount_minor=9_00))

    one = SetOff.objects.get()
    assert (one.transfer, one.debt, one.amount_minor, one.unwound_minor) == (transfer, debt, 4_00, 0)
    assert Posting.objects.get(kind="transfer", subject_id=transfer.pk).amount_minor == 5_00


def test_a_debt_larger_than_the_transfer_leaves_nothing_to_send(stripe, seller):
    debt = debt_of(stripe, seller, 9_00)

    transfer = send(planned(seller, amount_minor=4_00))

    assert (transfer.status, transfer.sent_minor, transfer.stripe_transfer_id) == ("completed", 0, None)
    assert transfer.completed_at is not None
    assert amounts_of(debt) == ("reversal_pending", 5_00, 4_00)


def test_the_oldest_debt_is_paid_first(stripe, seller):
    older, newer = planned(seller, amount_minor=4_00), planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", accepts_transfer(), accepts_transfer())
    stripe.will("create_reversal", refuses("balance_insufficient"), refuses("balance_insufficient"))
    for row in (send(older), send(newer)):
        refund(row.order, seller, 4_00)
        reverse_transfer(row.pk, cause=BY_TEST)

    send(planned(seller, amount_minor=6_00))

    assert amounts_of(older) == ("completed", 0, 4_00)
    assert amounts_of(newer) == ("reversal_pending", 2_00, 2_00)


def test_a_seller_without_debt_is_sent_everything(stripe, seller):
    debt_of(stripe, make_seller(), 4_00)
    stripe.will("create_transfer", accepts_transfer())

    transfer = send(planned(seller, amount_minor=9_00))

    assert transfer.withheld_minor == 0


def test_a_reversal_under_way_is_never_set_off(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", times_out())
    reverse_transfer(debt.pk, cause=BY_TEST)
    stripe.will("create_transfer", accepts_transfer())

    transfer = send(planned(seller, amount_minor=9_00))

    assert transfer.withheld_minor == 0


def test_a_reversal_that_waits_for_its_turn_is_no_debt(stripe, seller):
    first = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", accepts_transfer(), accepts_transfer())
    send(first)
    refund(first.order, seller, 4_00)

    assert send(planned(seller, amount_minor=9_00)).withheld_minor == 0


def test_a_failed_reversal_is_offset_and_its_review_item_closed(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(debt.pk, cause=BY_TEST)
    stripe.will("create_transfer", accepts_transfer())

    assert send(planned(seller, amount_minor=9_00)).withheld_minor == 4_00
    assert amounts_of(debt) == ("completed", 0, 4_00)
    assert ReviewItem.objects.get(kind="reversal_failed").closed_at is not None


def test_a_partial_set_off_lowers_the_amount_of_the_review_item(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(debt.pk, cause=BY_TEST)

    send(planned(seller, amount_minor=3_00))

    item = ReviewItem.objects.get(kind="reversal_failed")
    assert (item.amount_minor, item.closed_at) == (1_00, None)


def test_a_transfer_in_doubt_is_set_off_against_nothing(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())
    doubted = planned(
        seller, in_doubt_since=timezone.now(), destination=seller.connected_account.stripe_account_id, send_attempts=1
    )

    assert send(doubted).withheld_minor == 0


def test_a_set_off_is_not_done_again_when_the_transfer_is_sent_again(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", times_out(), accepts_transfer())
    transfer = planned(seller, amount_minor=9_00)

    send(transfer)
    send(transfer)

    assert SetOff.objects.count() == 1
    assert [params["amount_minor"] for name, params in stripe.params if name == "create_transfer"][-2:] == [5_00, 5_00]


def test_a_set_off_outlives_a_refusal_and_the_rest_gets_another_key(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", refuses("balance_insufficient"), accepts_transfer())
    transfer = planned(seller, amount_minor=9_00)

    send(transfer)
    transfer = send(transfer)

    assert (transfer.status, transfer.withheld_minor, SetOff.objects.count()) == ("completed", 4_00, 1)
    assert len(set(stripe.keys()[-2:])) == 2


def test_a_refund_of_the_new_order_reverses_what_was_sent_first(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())
    transfer = send(planned(seller, amount_minor=9_00))

    refund(transfer.order, seller, 5_00)

    assert fresh(transfer).reversal_target_minor == 5_00
    assert amounts_of(debt) == ("completed", 0, 4_00)


def test_a_refund_beyond_what_was_sent_unwinds_the_set_off(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())
    transfer = send(planned(seller, amount_minor=9_00))

    refund(transfer.order, seller, 8_00)

    row = fresh(transfer)
    assert (row.reversal_target_minor, row.unwound_minor) == (5_00, 3_00)
    assert amounts_of(debt) == ("reversal_pending", 3_00, 1_00)
    assert SetOff.objects.get().net_minor == 1_00


def test_a_debt_that_is_owed_again_is_reversed_again(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))
    refund(transfer.order, seller, 3_00)
    stripe.will("create_reversal", accepts_reversal())

    reverse_transfer(debt.pk, cause=BY_TEST)

    assert amounts_of(debt) == ("reversed", 4_00, 0)
    assert stripe.params[-1][1]["amount_minor"] == 4_00


def test_an_unwound_set_off_is_not_unwound_again(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))

    refund(transfer.order, seller, 2_00)
    refund(transfer.order, seller, 1_00)

    assert amounts_of(debt) == ("reversal_pending", 4_00, 0)
    assert fresh(transfer).unwound_minor == 3_00


def test_a_refund_of_a_transfer_that_was_set_off_and_never_sent_cancels_it(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", refuses("balance_insufficient"))
    transfer = send(planned(seller, amount_minor=9_00))

    refund(transfer.order, seller, 9_00)

    assert fresh(transfer).status == "cancelled"
    assert amounts_of(debt) == ("reversal_pending", 4_00, 0)


def test_a_refund_during_a_refused_call_leaves_the_set_off(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = planned(seller, amount_minor=9_00)

    def refund_meanwhile(_params):
        refund(transfer.order, seller, 5_00)
        return refuses("balance_insufficient")

    stripe.will("create_transfer", refund_meanwhile)
    transfer = send(transfer)

    assert (transfer.status, transfer.amount_minor, transfer.sent_minor) == ("completed", 4_00, 0)
    assert amounts_of(debt) == ("completed", 0, 4_00)


def test_a_refund_returned_after_its_set_off_pays_the_seller_again(stripe, seller):
    debt = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", accepts_transfer())
    send(debt)
    refund_row = refund(debt.order, seller, 4_00)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse_transfer(debt.pk, cause=BY_TEST)
    send(planned(seller, amount_minor=4_00))

    return_by_bank(refund_row, debt)

    again = SellerTransfer.objects.get(order=debt.order, seq=2)
    assert (again.status, again.amount_minor) == ("pending", 4_00)


def test_the_ledger_holds_with_a_set_off_in_force_and_unwound(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))
    refund(transfer.order, seller, 1_00)

    assert faults_of(debt.order_id, transfer.order_id) == []


def test_a_set_off_in_another_currency_than_its_transfers_is_a_difference(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    transfer = send(planned(seller, amount_minor=3_00))
    SetOff.objects.update(currency="USD")

    assert any("3.00 EUR" in str(fault) for fault in faults_of(transfer.order_id))
    assert any("3.00 EUR" in str(fault) for fault in faults_of(debt.order_id))


def test_the_balance_is_the_same_before_and_after_a_set_off(stripe, seller):
    debt_of(stripe, seller, 4_00)
    transfer = planned(seller, amount_minor=9_00)
    before = balances_of(seller.pk)
    stripe.will("create_transfer", accepts_transfer())

    send(transfer)

    assert [(one.unsent_minor, one.debt_minor) for one in before] == [(5_00, 0)]
    assert [(one.unsent_minor, one.debt_minor) for one in balances_of(seller.pk)] == [(0, 0)]


def test_the_database_counts_no_cent_as_refund_row_twice(stripe, seller):
    debt = SellerTransfer.objects.filter(pk=debt_of(stripe, seller, 4_00).pk)
    send(planned(seller, amount_minor=4_00))

    # Stripe's dashboard can take it a second time; then the row marks it as external.
    debt.update(reversal_target_minor=4_00, reversed_minor=4_00, external_reversed_minor=4_00)

    with pytest.raises(IntegrityError), transaction.atomic():
        debt.update(external_reversed_minor=3_00)


def test_a_debt_waits_days_and_the_set_off_does_not_change_when(stripe, seller):
    debt = debt_of(stripe, seller, 9_00)

    send(planned(seller, amount_minor=4_00))

    assert fresh(debt).waiting_for == "debt"
    assert fresh(debt).next_retry_at - timezone.now() > timedelta(hours=23)


def test_an_unwound_debt_reversed_externally_is_not_reversed_twice(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())
    transfer = send(planned(seller, amount_minor=9_00))
    stripe.will("read_transfer", shows(reversed_at_stripe(fresh(debt), 4_00)))
    refresh_transfer(debt.pk, cause=BY_TEST)

    refund(transfer.order, seller, 9_00)

    debt = fresh(debt)
    assert (debt.status, debt.reversal_target_minor, debt.external_reversed_minor, debt.offset_minor) == (
        "reversed",
        4_00,
        0,
        0,
    )


def test_an_unwound_part_that_was_reversed_externally_leaves_nothing(stripe, seller):
    debt = debt_of(stripe, seller, 9_00)
    transfer = send(planned(seller, amount_minor=9_00))
    stripe.will("read_transfer", shows(reversed_at_stripe(fresh(debt), 4_00)))
    refresh_transfer(debt.pk, cause=BY_TEST)

    refund(transfer.order, seller, 4_00)

    assert amounts_of(debt) == ("completed", 4_00, 5_00)
    assert (fresh(debt).outstanding_minor, fresh(debt).external_reversed_minor) == (0, 0)


def test_an_external_reversal_that_paid_a_debt_again_is_not_counted(stripe, seller):
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer())
    row = send(planned(seller, amount_minor=9_00))
    refund(row.order, seller, 5_00)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse_transfer(row.pk, cause=BY_TEST)
    send(planned(seller, amount_minor=5_00))
    stripe.will("read_transfer", shows(reversed_at_stripe(fresh(row), 3_00)))
    refresh_transfer(row.pk, cause=BY_TEST)

    refund(row.order, seller, 4_00)

    row = fresh(row)
    assert (row.offset_minor, row.external_reversed_minor, row.unwound_minor) == (5_00, 3_00, 4_00)
