"""Taking money back: tries that were not answered, overtaken, given up and taken up again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import ReversalNotRetryable, process_due, retry, reverse_transfer
from connect.stripe.objects import RemoteReversal
from connect.transfers.transfer_refresh import refresh_transfer
from payments.models import Posting
from tests.connect.conftest import looked, not_sent, refused, taken_back, transfer_seen, unknown
from tests.connect.factories import BY_TEST, completed, make_due, refund, to_reverse
from tests.connect.test_settle import bounce
from veza.core.models import ReviewItem, StatusChange

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)
# The sentence quoted by others, one that nobody has seen, and a code that Stripe may add one day.
ALREADY_REVERSED = [
    refused("", "The transfer tr_1 is already fully reversed."),
    refused("", "Nothing remains of this transfer."),
    refused("transfer_already_reversed", "Sorry."),
]


def reverse(transfer):
    reverse_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


def reversed_at_stripe(transfer, *amounts, our_id=""):
    """The transfer as Stripe shows it with these reversals, the newest first as Stripe lists them."""
    trr = [
        RemoteReversal(f"trr_{number}", transfer.stripe_transfer_id, amount, our_id)
        for number, amount in enumerate(amounts, start=1)
    ]
    return transfer_seen(transfer.stripe_transfer_id, reversed_minor=sum(amounts), reversals=tuple(reversed(trr)))


def test_a_transient_failure_waits_and_counts_a_retry(stripe, settings):
    settings.REVERSAL_BACKOFF_BASE = timedelta(minutes=1)
    stripe.will("create_reversal", unknown())

    transfer = reverse(to_reverse(retry_count=2))

    assert (transfer.status, transfer.retry_count) == ("reversal_pending", 3)
    assert timedelta(minutes=3.9) < transfer.next_retry_at - timezone.now() < timedelta(minutes=4.1)


def test_a_transient_failure_keeps_the_key(stripe):
    stripe.will("create_reversal", unknown(), unknown(), taken_back())
    transfer = to_reverse()

    for _ in range(3):
        reverse(transfer)

    assert len(set(stripe.keys())) == 1
    assert transfer.status == "reversed"


def test_the_wait_is_capped(stripe, settings):
    settings.REVERSAL_BACKOFF_BASE, settings.REVERSAL_BACKOFF_MAX = timedelta(seconds=1), timedelta(seconds=10)
    stripe.will("create_reversal", unknown())

    transfer = reverse(to_reverse(retry_count=4))

    assert timedelta(seconds=9) < transfer.next_retry_at - timezone.now() <= timedelta(seconds=10)


def test_retries_used_up_give_the_reversal_to_a_person(stripe, settings):
    stripe.will("create_reversal", unknown())

    transfer = reverse(to_reverse(retry_count=settings.REVERSAL_MAX_RETRIES))

    assert (transfer.status, transfer.next_retry_at) == ("permanently_failed", None)
    assert TransferReversal.objects.get(transfer=transfer).status == "sending"


def test_being_turned_away_counts_no_retry_and_stops_the_tick(stripe):
    transfers = [to_reverse() for _ in range(3)]
    stripe.will("create_reversal", not_sent(403))

    process_due()

    rows = SellerTransfer.objects.filter(pk__in=[row.pk for row in transfers])
    assert set(rows.values_list("status", "retry_count")) == {("reversal_pending", 0)}
    assert stripe.names() == ["create_reversal"]
    assert ReviewItem.objects.filter(kind="stripe_auth_rejected").count() == 1


def test_a_refund_during_the_call_is_taken_back_by_the_next(stripe):
    transfer = completed(amount_minor=9_00)
    refund(transfer.order, transfer.seller, 4_00)

    def refunded_meanwhile(given):
        refund(transfer.order, transfer.seller, 5_00)
        return taken_back()(given)

    stripe.will("create_reversal", refunded_meanwhile, taken_back())
    process_due()

    transfer.refresh_from_db()
    assert [given["amount_minor"] for _, given in stripe.params] == [4_00, 5_00]
    assert transfer.status == "reversed"


def test_an_intent_older_than_a_day_is_looked_at_before_it_is_sent_again(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", unknown())
    reverse(transfer)
    intent = TransferReversal.objects.get(transfer=transfer)
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)
    stripe.will("read_transfer", looked(reversed_at_stripe(transfer, 9_00, our_id=str(intent.pk))))

    reverse(transfer)

    assert (transfer.status, stripe.names()[-1]) == ("reversed", "read_transfer")
    assert not ReviewItem.objects.exists()
    assert TransferReversal.objects.get(transfer=transfer).stripe_reversal_id == "trr_1"


def test_an_old_intent_that_stripe_never_saw_is_sent_again(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", unknown(), taken_back())
    reverse(transfer)
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)
    stripe.will("read_transfer", looked(reversed_at_stripe(transfer)))

    assert reverse(transfer).status == "reversed"


def test_a_slow_worker_that_was_overtaken_books_the_same_reversal_once(stripe):
    transfer = to_reverse()

    def overtaken(given):
        reverse_transfer(transfer.pk, cause=BY_TEST)
        return taken_back("trr_1")(given)

    stripe.will("create_reversal", overtaken, taken_back("trr_1"))
    reverse(transfer)

    assert Posting.objects.filter(kind="reversal").count() == 1
    assert not ReviewItem.objects.exists()


def test_a_slow_worker_that_was_overtaken_may_not_say_that_it_was_refused(stripe):
    transfer = to_reverse()

    def overtaken(_given):
        reverse_transfer(transfer.pk, cause=BY_TEST)
        return refused("balance_insufficient")

    stripe.will("create_reversal", overtaken, unknown())
    reverse(transfer)

    assert TransferReversal.objects.get(transfer=transfer).status == "sending"
    assert transfer.waiting_for == ""


def test_a_poison_row_does_not_stop_the_others(stripe):
    to_reverse(), to_reverse()
    stripe.will("create_reversal", lambda _given: 1 / 0, taken_back())

    tally = process_due()

    assert (tally.done, tally.failed) == (1, 1)
    assert sorted(SellerTransfer.objects.values_list("retry_count", flat=True)) == [0, 1]


def test_a_reversal_that_was_given_up_can_be_tried_again(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refused("resource_missing", status=404), taken_back())
    reverse(transfer)

    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert reverse(transfer).status == "reversed"
    assert stripe.keys()[1].endswith(":1")


def test_a_transfer_that_was_not_given_up_is_not_retried():
    with pytest.raises(ReversalNotRetryable):
        retry(transfer_id=to_reverse().pk, cause=BY_TEST)


def test_a_replay_of_the_worker_changes_nothing_on_a_reversed_transfer(stripe):
    stripe.will("create_reversal", taken_back())
    transfer = reverse(to_reverse())
    before = SellerTransfer.objects.values().get(pk=transfer.pk)

    make_due(transfer.pk)
    SellerTransfer.objects.filter(pk=transfer.pk).update(next_retry_at=None)
    process_due()

    assert SellerTransfer.objects.values().get(pk=transfer.pk) == before
    assert StatusChange.objects.filter(subject_id=transfer.pk, to_status="reversed").count() == 1


def test_an_old_intent_that_a_reversal_by_hand_overtook_gives_way_to_the_rest(stripe):
    transfer = to_reverse(target=4_00)
    stripe.will("create_reversal", unknown(), taken_back("trr_9"))
    reverse(transfer)
    by_hand = looked(reversed_at_stripe(transfer, 3_00))
    stripe.will("read_transfer", by_hand, by_hand)
    refresh_transfer(transfer.pk, cause=BY_TEST)
    TransferReversal.objects.update(first_sent_at=timezone.now() - TWO_DAYS)

    reverse(transfer)
    assert (transfer.status, transfer.owed_minor) == ("reversal_pending", 1_00)
    reverse(transfer)

    assert (transfer.status, transfer.reversed_minor, stripe.params[-1][1]["amount_minor"]) == ("completed", 4_00, 1_00)


def test_what_could_not_be_listed_can_be_tried_again_under_another_key(stripe):
    transfer = to_reverse()
    strange = transfer_seen(transfer.stripe_transfer_id, reversed_minor=5_00)
    stripe.will("create_reversal", refused("", "No."), taken_back())
    stripe.will("read_transfer", looked(strange))
    assert reverse(transfer).status == "permanently_failed"

    retry(transfer_id=transfer.pk, cause=BY_TEST)

    assert reverse(transfer).status == "reversed"
    assert len(set(stripe.keys())) == 2


def test_the_case_is_closed_when_what_was_given_up_is_taken_back_after_all(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refused("resource_missing", status=404), taken_back())
    reverse(transfer)
    retry(transfer_id=transfer.pk, cause=BY_TEST)

    reverse(transfer)

    assert ReviewItem.objects.get(kind="reversal_failed").closed_by == "veza"


def test_what_is_owed_anew_waits_as_short_as_the_first_time(stripe):
    transfer = completed(amount_minor=9_00)
    stripe.will("create_reversal", *[refused("balance_insufficient")] * 3)
    given_back = refund(transfer.order, transfer.seller, 4_00)
    reverse(transfer)
    assert reverse(transfer).next_retry_at - timezone.now() > timedelta(days=1.9)

    bounce(given_back, transfer)
    refund(transfer.order, transfer.seller, 5_00)

    assert reverse(transfer).next_retry_at - timezone.now() < timedelta(days=1.1)
