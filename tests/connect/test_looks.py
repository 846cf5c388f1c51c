"""Reversals made in Stripe's dashboard: adopted with a case, never undone by themselves, counted by a later refund."""

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import reverse_transfer
from connect.settlement.reconcile_seller import NothingToReissue, net_paid, reissue_transfer, settle_order
from connect.transfers.transfer_refresh import refresh_due, refresh_transfer
from payments.models import Posting
from tests.connect.conftest import looked, refused, taken_back, unknown
from tests.connect.factories import BY_TEST, completed, long_ago, refund, to_reverse
from tests.connect.test_reversals import reversed_at_stripe
from tests.connect.test_settle import bounce, of
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def look(transfer):
    refresh_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


def reversed_by_hand(stripe, amount, transfer=None):
    transfer = transfer or completed(amount_minor=9_00)
    stripe.will("read_transfer", looked(reversed_at_stripe(transfer, amount)))
    return look(transfer)


def test_a_reversal_by_hand_is_adopted_booked_and_told(stripe):
    transfer = reversed_by_hand(stripe, 4_00)

    assert (transfer.status, transfer.reversed_minor, transfer.external_reversed_minor) == ("completed", 4_00, 4_00)
    assert Posting.objects.get(kind="reversal").amount_minor == 4_00
    assert ReviewItem.objects.get(kind="reversal_made_elsewhere").amount_minor == 4_00


def test_a_whole_reversal_by_hand_ends_reversed(stripe):
    assert reversed_by_hand(stripe, 9_00).status == "reversed"


def test_settling_does_not_pay_back_what_was_reversed_by_hand(stripe):
    transfer = reversed_by_hand(stripe, 4_00)

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    assert of(transfer) == [(1, "completed", 9_00, 4_00)]
    assert net_paid(transfer) == 9_00


def test_a_refund_counts_what_was_reversed_by_hand_already(stripe):
    transfer = reversed_by_hand(stripe, 4_00)

    refund(transfer.order, transfer.seller, 6_00)

    transfer.refresh_from_db()
    assert (transfer.status, transfer.reversal_target_minor, transfer.external_reversed_minor) == (
        "reversal_pending",
        6_00,
        0,
    )
    assert transfer.owed_minor == 2_00


def test_a_refund_that_was_reversed_by_hand_and_bounces_is_paid_again(stripe):
    transfer = reversed_by_hand(stripe, 4_00)
    given_back = refund(transfer.order, transfer.seller, 4_00)

    bounce(given_back, transfer)

    assert of(transfer) == [(1, "completed", 9_00, 4_00), (2, "pending", 4_00, 0)]


def test_a_refund_before_the_reversal_by_hand_comes_to_the_same(stripe):
    transfer = completed(amount_minor=9_00)
    refund(transfer.order, transfer.seller, 4_00)

    reversed_by_hand(stripe, 4_00, transfer)

    assert (transfer.status, transfer.reversal_target_minor, transfer.external_reversed_minor) == ("completed", 4_00, 0)


def test_a_reversal_by_hand_that_was_a_mistake_is_paid_again_once(stripe):
    transfer = reversed_by_hand(stripe, 4_00)

    assert reissue_transfer(transfer_id=transfer.pk, cause=BY_TEST) == 4_00

    assert of(transfer) == [(1, "completed", 9_00, 4_00), (2, "pending", 4_00, 0)]
    assert ReviewItem.objects.get(kind="reversal_made_elsewhere").closed_by == BY_TEST.actor
    with pytest.raises(NothingToReissue):
        reissue_transfer(transfer_id=transfer.pk, cause=BY_TEST)


def test_a_mistake_after_a_refund_counted_it_in_part_is_paid_again_in_part(stripe):
    transfer = reversed_by_hand(stripe, 6_00)
    refund(transfer.order, transfer.seller, 4_00)

    assert reissue_transfer(transfer_id=transfer.pk, cause=BY_TEST) == 2_00

    assert of(transfer) == [(1, "completed", 9_00, 6_00), (2, "pending", 2_00, 0)]


def test_looking_twice_books_once(stripe):
    transfer = reversed_by_hand(stripe, 4_00)

    reversed_by_hand(stripe, 4_00, transfer)

    assert transfer.reversed_minor == 4_00
    assert Posting.objects.filter(kind="reversal").count() == 1


def test_our_own_reversal_is_nothing_new(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", taken_back("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    reversed_by_hand(stripe, 9_00, transfer)

    assert (transfer.status, transfer.external_reversed_minor) == ("reversed", 0)
    assert not ReviewItem.objects.exists()


def test_an_unanswered_reversal_of_ours_is_found_by_the_look(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", unknown())
    reverse_transfer(transfer.pk, cause=BY_TEST)
    intent = TransferReversal.objects.get()
    stripe.will("read_transfer", looked(reversed_at_stripe(transfer, 9_00, our_id=str(intent.pk))))

    assert look(transfer).status == "reversed"
    assert not ReviewItem.objects.exists()


def test_a_reversal_by_hand_beside_an_unanswered_one_of_ours_leaves_ours_to_its_worker(stripe):
    transfer = to_reverse(amount_minor=9_00, target=4_00)
    stripe.will("create_reversal", unknown(), taken_back("trr_2"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    reversed_by_hand(stripe, 4_00, transfer)
    assert (transfer.status, transfer.external_reversed_minor) == ("reversal_pending", 0)

    reverse_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    assert (transfer.reversed_minor, transfer.external_reversed_minor) == (8_00, 4_00)


def test_a_look_without_an_answer_is_taken_again(stripe):
    transfer = completed(refresh_due_at=timezone.now())
    stripe.will("read_transfer", unknown())

    refresh_due()

    transfer.refresh_from_db()
    assert transfer.refresh_due_at > timezone.now()


def test_a_transfer_that_is_not_there_any_more_is_a_case_and_not_looked_at_again(stripe):
    transfer = completed(refresh_due_at=timezone.now())
    SellerTransfer.objects.update(refresh_due_at=Now())
    stripe.will("read_transfer", refused("resource_missing", status=404))

    refresh_due()

    transfer.refresh_from_db()
    assert transfer.refresh_due_at is None
    assert ReviewItem.objects.filter(kind="transfer_not_readable").exists()


def test_reversals_that_do_not_add_up_change_nothing_and_are_a_case(stripe):
    transfer = completed(amount_minor=9_00)
    snapshot = reversed_at_stripe(transfer, 4_00)
    stripe.will("read_transfer", looked(type(snapshot)(**{**vars(snapshot), "reversed_minor": 5_00})))

    look(transfer)

    assert transfer.reversed_minor == 0
    assert ReviewItem.objects.filter(kind="reversals_cannot_be_listed").exists()


def test_a_reversal_by_hand_of_one_that_was_given_up_leaves_the_rest_to_a_person(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", refused("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    reversed_by_hand(stripe, 4_00, transfer)

    assert (transfer.status, transfer.owed_minor) == ("permanently_failed", 5_00)
    assert ReviewItem.objects.get(kind="reversal_failed").amount_minor == 5_00


def test_news_that_comes_during_a_look_that_is_refused_is_looked_at_again(stripe):
    transfer = completed(refresh_due_at=long_ago())

    def and_more_news(_given):
        SellerTransfer.objects.update(refresh_due_at=Now())
        return refused("resource_missing", status=404)

    stripe.will("read_transfer", and_more_news)

    refresh_due()

    transfer.refresh_from_db()
    assert transfer.refresh_due_at is not None


def test_news_that_comes_during_a_look_is_looked_at_again(stripe):
    transfer = completed(amount_minor=9_00, refresh_due_at=long_ago())

    def and_more_news(_given):
        SellerTransfer.objects.update(refresh_due_at=Now())
        return looked(reversed_at_stripe(transfer))

    stripe.will("read_transfer", and_more_news, looked(reversed_at_stripe(transfer, 9_00)))

    refresh_due(), refresh_due()

    transfer.refresh_from_db()
    assert (transfer.status, transfer.refresh_due_at) == ("reversed", None)
