"""External reversals: imported with a review item, never reissued on their own, counted by a later refund."""

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import reverse_transfer
from connect.settlement.reconcile_seller import net_paid, settle_order
from connect.settlement.reissues import NothingToReissue, reissue_transfer
from connect.transfers.transfer_refresh import refresh_due, refresh_transfer
from payments.models import Posting
from tests.connect.builders import return_by_bank, reversed_at_stripe, rows_of
from tests.connect.factories import BY_TEST, completed, long_ago, refund, to_reverse
from tests.connect.stripe_double import accepts_reversal, refuses, shows, times_out
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def refresh(transfer):
    refresh_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


def reverse_externally(stripe, amount, transfer=None):
    transfer = transfer or completed(amount_minor=9_00)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, amount)))
    return refresh(transfer)


def test_an_external_reversal_is_imported_booked_and_needs_review(stripe):
    transfer = reverse_externally(stripe, 4_00)

    assert (transfer.status, transfer.reversed_minor, transfer.external_reversed_minor) == ("completed", 4_00, 4_00)
    assert Posting.objects.get(kind="reversal").amount_minor == 4_00
    assert ReviewItem.objects.get(kind="external_reversal").amount_minor == 4_00


def test_a_full_external_reversal_ends_reversed(stripe):
    assert reverse_externally(stripe, 9_00).status == "reversed"


def test_settling_does_not_repay_an_external_reversal(stripe):
    transfer = reverse_externally(stripe, 4_00)

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    assert rows_of(transfer) == [(1, "completed", 9_00, 4_00)]
    assert net_paid(transfer) == 9_00


def test_a_refund_counts_an_earlier_external_reversal(stripe):
    transfer = reverse_externally(stripe, 4_00)

    refund(transfer.order, transfer.seller, 6_00)

    transfer.refresh_from_db()
    assert (transfer.status, transfer.reversal_target_minor, transfer.external_reversed_minor) == (
        "reversal_pending",
        6_00,
        0,
    )
    assert transfer.outstanding_minor == 2_00


def test_a_returned_refund_repays_a_counted_external_reversal(stripe):
    transfer = reverse_externally(stripe, 4_00)
    refund_row = refund(transfer.order, transfer.seller, 4_00)

    return_by_bank(refund_row, transfer)

    assert rows_of(transfer) == [(1, "completed", 9_00, 4_00), (2, "pending", 4_00, 0)]


def test_a_refund_before_the_external_reversal_comes_to_the_same(stripe):
    transfer = completed(amount_minor=9_00)
    refund(transfer.order, transfer.seller, 4_00)

    reverse_externally(stripe, 4_00, transfer)

    assert (transfer.status, transfer.reversal_target_minor, transfer.external_reversed_minor) == ("completed", 4_00, 0)


def test_an_external_reversal_by_mistake_is_reissued_once(stripe):
    transfer = reverse_externally(stripe, 4_00)

    assert reissue_transfer(transfer_id=transfer.pk, cause=BY_TEST) == 4_00

    assert rows_of(transfer) == [(1, "completed", 9_00, 4_00), (2, "pending", 4_00, 0)]
    assert ReviewItem.objects.get(kind="external_reversal").closed_by == BY_TEST.actor
    with pytest.raises(NothingToReissue):
        reissue_transfer(transfer_id=transfer.pk, cause=BY_TEST)


def test_a_mistake_counted_in_part_by_a_refund_is_reissued_in_part(stripe):
    transfer = reverse_externally(stripe, 6_00)
    refund(transfer.order, transfer.seller, 4_00)

    assert reissue_transfer(transfer_id=transfer.pk, cause=BY_TEST) == 2_00

    assert rows_of(transfer) == [(1, "completed", 9_00, 6_00), (2, "pending", 2_00, 0)]


def test_refreshing_twice_books_once(stripe):
    transfer = reverse_externally(stripe, 4_00)

    reverse_externally(stripe, 4_00, transfer)

    assert transfer.reversed_minor == 4_00
    assert Posting.objects.filter(kind="reversal").count() == 1


def test_our_own_reversal_is_nothing_new(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", accepts_reversal("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    reverse_externally(stripe, 9_00, transfer)

    assert (transfer.status, transfer.external_reversed_minor) == ("reversed", 0)
    assert not ReviewItem.objects.exists()


def test_an_unanswered_reversal_of_ours_is_found_by_a_refresh(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", times_out())
    reverse_transfer(transfer.pk, cause=BY_TEST)
    intent = TransferReversal.objects.get()
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 9_00, our_id=str(intent.pk))))

    assert refresh(transfer).status == "reversed"
    assert not ReviewItem.objects.exists()


def test_an_external_reversal_leaves_an_unanswered_one_to_its_worker(stripe):
    transfer = to_reverse(amount_minor=9_00, target=4_00)
    stripe.will("create_reversal", times_out(), accepts_reversal("trr_2"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    reverse_externally(stripe, 4_00, transfer)
    assert (transfer.status, transfer.external_reversed_minor) == ("reversal_pending", 0)

    reverse_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    assert (transfer.reversed_minor, transfer.external_reversed_minor) == (8_00, 4_00)


def test_a_refresh_without_an_answer_is_repeated(stripe):
    transfer = completed(refresh_due_at=timezone.now())
    stripe.will("read_transfer", times_out())

    refresh_due()

    transfer.refresh_from_db()
    assert transfer.refresh_due_at > timezone.now()


def test_an_unreadable_transfer_needs_review_and_is_not_refreshed(stripe):
    transfer = completed(refresh_due_at=timezone.now())
    SellerTransfer.objects.update(refresh_due_at=Now())
    stripe.will("read_transfer", refuses("resource_missing", status=404))

    refresh_due()

    transfer.refresh_from_db()
    assert transfer.refresh_due_at is None
    assert ReviewItem.objects.filter(kind="transfer_not_readable").exists()


def test_reversals_that_do_not_add_up_change_nothing_and_need_review(stripe):
    transfer = completed(amount_minor=9_00)
    snapshot = reversed_at_stripe(transfer, 4_00)
    stripe.will("read_transfer", shows(type(snapshot)(**{**vars(snapshot), "reversed_minor": 5_00})))

    refresh(transfer)

    assert transfer.reversed_minor == 0
    assert ReviewItem.objects.filter(kind="reversals_cannot_be_listed").exists()


def test_an_external_reversal_lowers_the_amount_of_the_review_item(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    reverse_externally(stripe, 4_00, transfer)

    assert (transfer.status, transfer.outstanding_minor) == ("permanently_failed", 5_00)
    assert ReviewItem.objects.get(kind="reversal_failed").amount_minor == 5_00


def test_a_webhook_during_a_refused_refresh_refreshes_again(stripe):
    transfer = completed(refresh_due_at=long_ago())

    def another_webhook(_params):
        SellerTransfer.objects.update(refresh_due_at=Now())
        return refuses("resource_missing", status=404)

    stripe.will("read_transfer", another_webhook)

    refresh_due()

    transfer.refresh_from_db()
    assert transfer.refresh_due_at is not None


def test_a_webhook_during_a_refresh_refreshes_again(stripe):
    transfer = completed(amount_minor=9_00, refresh_due_at=long_ago())

    def another_webhook(_params):
        SellerTransfer.objects.update(refresh_due_at=Now())
        return shows(reversed_at_stripe(transfer))

    stripe.will("read_transfer", another_webhook, shows(reversed_at_stripe(transfer, 9_00)))

    refresh_due(), refresh_due()

    transfer.refresh_from_db()
    assert (transfer.status, transfer.refresh_due_at) == ("reversed", None)
