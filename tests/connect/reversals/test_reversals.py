"""Reversals: one test for each of Stripe's answers, and for each event that may come meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import TransferReversal
from connect.reversals.reversal_requests import process_due
from payments.models import Posting
from tests.connect.builders import reverse, reversed_at_stripe
from tests.connect.factories import completed, planned, refund, to_reverse
from tests.connect.stripe_double import accepts_reversal, refuses, shows, times_out
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
TWO_DAYS = timedelta(days=2)
# The sentence quoted by others, one that is invented, and a code that Stripe may add one day.
ALREADY_REVERSED = [
    refuses("", "The transfer tr_1 is already fully reversed."),
    refuses("", "Nothing remains of this transfer."),
    refuses("transfer_already_reversed", "Sorry."),
]


def test_a_reversal_is_made_stored_and_booked(stripe):
    stripe.will("create_reversal", accepts_reversal("trr_1"))

    transfer = reverse(to_reverse(amount_minor=9_00))

    assert (transfer.status, transfer.reversed_minor) == ("reversed", 9_00)
    assert (transfer.stripe_reversal_id, transfer.next_retry_at) == ("trr_1", None)
    posting = Posting.objects.get(kind="reversal")
    assert (posting.leg, posting.amount_minor) == ("back", 9_00)
    assert (posting.debit_id, posting.credit_id) == ("stripe_balance", f"seller:{transfer.seller_id}")


def test_the_amount_is_always_sent_and_the_key_names_both_ends(stripe):
    stripe.will("create_reversal", accepts_reversal())

    transfer = reverse(to_reverse(amount_minor=9_00, target=4_00))

    params = stripe.params[0][1]
    assert (params["amount_minor"], params["stripe_transfer_id"]) == (4_00, transfer.stripe_transfer_id)
    assert params["idempotency_key"] == f"{transfer.pk}:reversal:0-400:0"


def test_a_partial_reversal_leaves_the_rest_completed(stripe):
    stripe.will("create_reversal", accepts_reversal())

    transfer = reverse(to_reverse(amount_minor=9_00, target=4_00))

    assert (transfer.status, transfer.reversed_minor, transfer.next_retry_at) == ("completed", 4_00, None)


def test_part_part_and_rest_are_three_reversals_with_three_keys(stripe):
    stripe.will("create_reversal", accepts_reversal("trr_1"), accepts_reversal("trr_2"), accepts_reversal("trr_3"))
    transfer = completed(amount_minor=9_00)

    for amount in (3_00, 3_00, 3_00):
        refund(transfer.order, transfer.seller, amount)
        reverse(transfer)

    steps = ["0-300", "300-600", "600-900"]
    assert stripe.keys() == [f"{transfer.pk}:reversal:{step}:0" for step in steps]
    assert (transfer.status, transfer.stripe_reversal_id) == ("reversed", "trr_3")


def test_the_intent_is_committed_before_the_call(stripe):
    transfer = to_reverse()
    during = []

    def answer(params):
        during.append(TransferReversal.objects.get(transfer=transfer).status)
        return accepts_reversal()(params)

    stripe.will("create_reversal", answer)
    reverse(transfer)

    assert during == ["sending"]
    assert TransferReversal.objects.get(transfer=transfer).status == "made"


@pytest.mark.parametrize("answer", ALREADY_REVERSED, ids=["the sentence", "another sentence", "a code"])
def test_already_reversed_is_known_by_the_amounts_and_ends_reversed(stripe, answer):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", answer)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 9_00)))

    reverse(transfer)

    assert (transfer.status, transfer.reversed_minor, transfer.stripe_reversal_id) == ("reversed", 9_00, "trr_1")
    assert Posting.objects.get(kind="reversal").amount_minor == 9_00
    assert ReviewItem.objects.filter(kind="external_reversal").exists()


@pytest.mark.parametrize("answer", ALREADY_REVERSED, ids=["the sentence", "another sentence", "a code"])
def test_a_refusal_as_already_reversed_is_checked_against_the_amounts(stripe, answer):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", answer)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer)))

    reverse(transfer)

    assert (transfer.status, transfer.reversed_minor) == ("permanently_failed", 0)


def test_already_reversed_but_unreadable_is_tried_again_under_the_same_key(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", *ALREADY_REVERSED[:2])
    stripe.will("read_transfer", times_out(), shows(reversed_at_stripe(transfer, 9_00)))

    reverse(transfer)
    assert (transfer.status, transfer.retry_count) == ("reversal_pending", 1)

    assert reverse(transfer).status == "reversed"
    assert len(set(stripe.keys())) == 1


def test_a_partial_external_reversal_is_imported_and_the_rest_reversed(stripe):
    transfer = to_reverse(amount_minor=9_00)
    stripe.will("create_reversal", refuses("", "greater than unreversed amount"), accepts_reversal("trr_9"))
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 4_00)))

    reverse(transfer)
    assert (transfer.status, transfer.reversed_minor) == ("reversal_pending", 4_00)

    assert reverse(transfer).status == "reversed"
    assert stripe.params[-1][1]["amount_minor"] == 5_00


def test_a_transfer_not_found_fails_after_one_call(stripe):
    stripe.will("create_reversal", refuses("resource_missing", "No such transfer: 'tr_1'", status=404))

    transfer = reverse(to_reverse())

    assert (transfer.status, transfer.next_retry_at) == ("permanently_failed", None)
    assert stripe.names() == ["create_reversal"]
    assert ReviewItem.objects.get(kind="reversal_failed").amount_minor == 9_00


def test_another_refusal_fails(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refuses("parameter_invalid_integer"))
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer)))

    assert reverse(transfer).status == "permanently_failed"


def test_a_transfer_without_an_id_fails_without_a_call(stripe):
    transfer = reverse(to_reverse(stripe_transfer_id=None))

    assert (transfer.status, stripe.params) == ("permanently_failed", [])


@pytest.mark.parametrize("code", ["balance_insufficient", "insufficient_funds"])
def test_a_sellers_balance_too_low_is_a_debt_that_waits_for_days(stripe, code):
    stripe.will("create_reversal", refuses(code))

    transfer = reverse(to_reverse())

    assert (transfer.status, transfer.waiting_for, transfer.retry_count) == ("reversal_pending", "debt", 0)
    assert timedelta(hours=23) < transfer.next_retry_at - timezone.now() <= timedelta(days=1)


def test_a_debt_is_retried_under_a_new_key_each_time(stripe):
    stripe.will("create_reversal", *[refuses("balance_insufficient")] * 3, accepts_reversal())
    transfer, waits = to_reverse(), []

    for _ in range(3):
        reverse(transfer)
        waits.append(round((transfer.next_retry_at - timezone.now()) / timedelta(days=1)))
    reverse(transfer)

    assert waits == [1, 2, 4]
    assert len(set(stripe.keys())) == 4
    assert (transfer.status, transfer.waiting_for) == ("reversed", "")


def test_only_transfers_to_be_reversed_are_taken(stripe):
    completed(), planned(), to_reverse(next_retry_at=timezone.now() + timedelta(minutes=5))
    due = to_reverse()
    stripe.will("create_reversal", accepts_reversal())

    process_due()

    assert [params["stripe_transfer_id"] for _, params in stripe.params] == [due.stripe_transfer_id]


@pytest.mark.parametrize("make", [completed, planned])
def test_a_transfer_that_is_not_to_be_reversed_is_never_reversed(stripe, make):
    transfer = make()
    before = transfer.status

    assert reverse(transfer).status == before
    assert stripe.params == []


def test_a_row_whose_time_has_not_come_is_left_alone(stripe):
    to_reverse(next_retry_at=timezone.now() + timedelta(minutes=5))

    assert process_due().done == 0
