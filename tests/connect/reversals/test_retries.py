"""Reversals: attempts without an answer, overtaken attempts, failures and retries."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import ReversalNotRetryable, process_due, retry, reverse_transfer
from connect.transfers.transfer_refresh import refresh_transfer
from payments.models import Posting
from tests.connect.builders import return_by_bank, reverse, reversed_at_stripe
from tests.connect.factories import BY_TEST, completed, make_due, refund, to_reverse
from tests.connect.stripe_double import accepts_reversal, refuses, rejects_key, remote_transfer, shows, times_out
from veza.core.models import ReviewItem, StatusChange

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)
# The sentence quoted by others, one that is invented, and a code that Stripe may add one day.
ALREADY_REVERSED = [
    refuses("", "The transfer tr_1 is already fully reversed."),
    refuses("", "Nothing remains of this transfer."),
    refuses("transfer_already_reversed", "Sorry."),
]


def test_a_transient_failure_waits_and_counts_a_retry(stripe, settings):
    settings.REVERSAL_BACKOFF_BASE = timedelta(minutes=1)
    stripe.will("create_reversal", times_out())

    transfer = reverse(to_reverse(retry_count=2))

    assert (transfer.status, transfer.retry_count) == ("reversal_pending", 3)
    assert timedelta(minutes=3.9) < transfer.next_retry_at - timezone.now() < timedelta(minutes=4.1)


def test_a_transient_failure_keeps_the_key(stripe):
    stripe.will("create_reversal", times_out(), times_out(), accepts_reversal())
    transfer = to_reverse()

    for _ in range(3):
        reverse(transfer)

    assert len(set(stripe.keys())) == 1
    assert transfer.status == "reversed"


def test_the_wait_is_capped(stripe, settings):
    settings.REVERSAL_BACKOFF_BASE, settings.REVERSAL_BACKOFF_MAX = timedelta(seconds=1), timedelta(seconds=10)
    stripe.will("create_reversal", times_out())

    transfer = reverse(to_reverse(retry_count=4))

    assert timedelta(seconds=9) < transfer.next_retry_at - timezone.now() <= timedelta(seconds=10)


def test_a_reversal_out_of_retries_needs_review(stripe, settings):
    stripe.will("create_reversal", times_out())

    transfer = reverse(to_reverse(retry_count=settings.REVERSAL_MAX_RETRIES))

    assert (transfer.status, transfer.next_retry_at) == ("permanently_failed", None)
    assert TransferReversal.objects.get(transfer=transfer).status == "sending"


def test_a_rejected_key_counts_no_retry_and_stops_the_tick(stripe):
    transfers = [to_reverse() for _ in range(3)]
    stripe.will("create_reversal", rejects_key(403))

    process_due()

    rows = SellerTransfer.objects.filter(pk__in=[row.pk for row in transfers])
    assert set(rows.values_list("status", "retry_count")) == {("reversal_pending", 0)}
    assert stripe.names() == ["create_reversal"]
    assert ReviewItem.objects.filter(kind="stripe_auth_rejected").count() == 1


def test_a_refund_during_the_call_is_reversed_by_the_next(stripe):
    transfer = completed(amount_minor=9_00)
    refund(transfer.order, transfer.seller, 4_00)

    def refund_meanwhile(params):
        refund(transfer.order, transfer.seller, 5_00)
        return accepts_reversal()(params)

    stripe.will("create_reversal", refund_meanwhile, accepts_reversal())
    process_due()

    transfer.refresh_from_db()
    assert [params["amount_minor"] for _, params in stripe.params] == [4_00, 5_00]
    assert transfer.status == "reversed"


def test_an_intent_older_than_a_day_is_read_before_it_is_sent_again(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", times_out())
    reverse(transfer)
    intent = TransferReversal.objects.get(transfer=transfer)
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 9_00, our_id=str(intent.pk))))

    reverse(transfer)

    assert (transfer.status, stripe.names()[-1]) == ("reversed", "read_transfer")
    assert not ReviewItem.objects.exists()
    assert TransferReversal.objects.get(transfer=transfer).stripe_reversal_id == "trr_1"


def test_an_old_intent_that_stripe_never_saw_is_sent_again(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", times_out(), accepts_reversal())
    reverse(transfer)
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer)))

    assert reverse(transfer).status == "reversed"


def test_a_slow_worker_that_was_overtaken_books_the_same_reversal_once(stripe):
    transfer = to_reverse()

    def overtake(params):
        reverse_transfer(transfer.pk, cause=BY_TEST)
        return accepts_reversal("trr_1")(params)

    stripe.will("create_reversal", overtake, accepts_reversal("trr_1"))
    reverse(transfer)

    assert Posting.objects.filter(kind="reversal").count() == 1
    assert not ReviewItem.objects.exists()


def test_a_refusal_of_an_overtaken_attempt_does_not_close_the_intent(stripe):
    transfer = to_reverse()

    def overtake(_params):
        reverse_transfer(transfer.pk, cause=BY_TEST)
        return refuses("balance_insufficient")

    stripe.will("create_reversal", overtake, times_out())
    reverse(transfer)

    assert TransferReversal.objects.get(transfer=transfer).status == "sending"
    assert transfer.waiting_for == ""


def test_a_poison_row_does_not_stop_the_others(stripe):
    to_reverse(), to_reverse()
    stripe.will("create_reversal", lambda _params: 1 / 0, accepts_reversal())

    tally = process_due()

    assert (tally.done, tally.failed) == (1, 1)
    assert sorted(SellerTransfer.objects.values_list("retry_count", flat=True)) == [0, 1]


def test_a_failed_reversal_can_be_retried(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refuses("resource_missing", status=404), accepts_reversal())
    reverse(transfer)

    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert reverse(transfer).status == "reversed"
    assert stripe.keys()[1].endswith(":1")


def test_a_transfer_that_did_not_fail_is_not_retried():
    with pytest.raises(ReversalNotRetryable):
        retry(transfer_id=to_reverse().pk, cause=BY_TEST)


def test_a_replay_of_the_worker_changes_nothing_on_a_reversed_transfer(stripe):
    stripe.will("create_reversal", accepts_reversal())
    transfer = reverse(to_reverse())
    before = SellerTransfer.objects.values().get(pk=transfer.pk)

    make_due(transfer.pk)
    SellerTransfer.objects.filter(pk=transfer.pk).update(next_retry_at=None)
    process_due()

    assert SellerTransfer.objects.values().get(pk=transfer.pk) == before
    assert StatusChange.objects.filter(subject_id=transfer.pk, to_status="reversed").count() == 1


def test_an_external_reversal_replaces_an_old_intent_by_the_rest(stripe):
    transfer = to_reverse(target=4_00)
    stripe.will("create_reversal", times_out(), accepts_reversal("trr_9"))
    reverse(transfer)
    external = shows(reversed_at_stripe(transfer, 3_00))
    stripe.will("read_transfer", external, external)
    refresh_transfer(transfer.pk, cause=BY_TEST)
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)

    reverse(transfer)
    assert (transfer.status, transfer.outstanding_minor) == ("reversal_pending", 1_00)
    reverse(transfer)

    assert (transfer.status, transfer.reversed_minor, stripe.params[-1][1]["amount_minor"]) == ("completed", 4_00, 1_00)


def test_reversals_that_do_not_add_up_can_be_retried_with_another_key(stripe):
    transfer = to_reverse()
    unlisted = remote_transfer(transfer.stripe_transfer_id, reversed_minor=5_00)
    stripe.will("create_reversal", refuses("", "No."), accepts_reversal())
    stripe.will("read_transfer", shows(unlisted))
    assert reverse(transfer).status == "permanently_failed"

    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert reverse(transfer).status == "reversed"
    assert len(set(stripe.keys())) == 2


def test_the_review_item_closes_when_a_failed_reversal_succeeds(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refuses("resource_missing", status=404), accepts_reversal())
    reverse(transfer)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    reverse(transfer)

    assert ReviewItem.objects.get(kind="reversal_failed").closed_by == "veza"


def test_a_new_debt_waits_as_short_as_the_first(stripe):
    transfer = completed(amount_minor=9_00)
    stripe.will("create_reversal", *[refuses("balance_insufficient")] * 3)
    refund_row = refund(transfer.order, transfer.seller, 4_00)
    reverse(transfer)
    assert reverse(transfer).next_retry_at - timezone.now() > timedelta(days=1.9)

    return_by_bank(refund_row, transfer)
    refund(transfer.order, transfer.seller, 5_00)

    assert reverse(transfer).next_retry_at - timezone.now() < timedelta(days=1.1)
