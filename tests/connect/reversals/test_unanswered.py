"""A reversal that failed without an answer: Stripe is read until it shows whether it was made, and that decides it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from connect.admin_actions import RetryReversal, WriteOffDebt
from connect.debts.write_offs import NothingToWriteOff, _write_off, write_off
from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_refresh import TransferNotReadable
from connect.reversals.reversal_requests import open_reversal, reverse_transfer
from connect.states import TransferStatus
from connect.transfers.transfer_refresh import refresh_due, refresh_transfer
from connect.transfers.transfer_requests import send_due
from connect.worker.retry_policy import READ_UNANSWERED_FOR
from payments.models import Posting, WriteOff
from tests.connect.builders import debt_of, fresh, movements, reverse, reversed_at_stripe, send
from tests.connect.factories import BY_TEST, long_ago, planned, refund
from tests.connect.proving import faults_of
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses, rejects_key, shows, times_out
from tests.factories import PersonFactory
from veza.core.admin_actions import ActionRequest
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed(stripe, seller, settings) -> SellerTransfer:
    """Sent, refunded, and its reversal without an answer until the worker stopped; the last attempt is long over."""
    settings.REVERSAL_MAX_RETRIES = 0
    stripe.will("create_transfer", accepts_transfer("tr_1"))
    row = send(planned(seller))
    refund(row.order, seller, 9_00)
    stripe.will("create_reversal", times_out())
    assert reverse(row).status == "permanently_failed"
    sent_ago(minutes=10)
    return fresh(row)


def sent_ago(**time) -> None:
    TransferReversal.objects.update(last_sent_at=timezone.now() - timedelta(**time))


def attempt() -> TransferReversal:
    return TransferReversal.objects.get()


def made(transfer, amount_minor: int = 9_00):
    """Stripe shows that it did reverse it."""
    return shows(reversed_at_stripe(transfer, amount_minor, our_id=str(attempt().pk)))


def not_made(transfer):
    return shows(reversed_at_stripe(transfer))


def press(action, transfer) -> str:
    return action.perform(transfer, cause=BY_TEST, params=ActionRequest(PersonFactory()))


def test_the_worker_reads_it_once_the_call_is_over(failed):
    assert timedelta(minutes=1.5) < failed.refresh_due_at - timezone.now() <= timedelta(minutes=2)
    assert "reads the transfer" in ReviewItem.objects.get(kind="reversal_failed").what_to_do


def test_what_stripe_shows_as_made_is_booked(stripe, failed):
    SellerTransfer.objects.update(refresh_due_at=long_ago())
    stripe.will("read_transfer", made(failed))

    refresh_due()

    row = fresh(failed)
    assert (row.status, row.outstanding_minor, row.refresh_due_at) == ("reversed", 0, None)
    assert (attempt().status, Posting.objects.filter(kind="reversal").count()) == ("made", 1)
    assert ReviewItem.objects.get(kind="reversal_failed").closed_by == "veza"


def test_what_stripe_does_not_show_is_closed_as_refused(stripe, failed):
    stripe.will("read_transfer", not_made(failed))

    refresh_transfer(failed.pk, cause=BY_TEST)

    row = fresh(failed)
    assert (row.status, row.outstanding_minor, row.key_epoch) == ("permanently_failed", 9_00, failed.key_epoch + 1)
    assert (attempt().status, attempt().error_code) == ("refused", "never_made")


def test_a_debt_that_was_not_reversed_is_offset_by_the_next_sale(stripe, failed, seller):
    stripe.will("read_transfer", not_made(failed))
    refresh_transfer(failed.pk, cause=BY_TEST)

    assert send(planned(seller)).withheld_minor == 9_00
    assert (fresh(failed).outstanding_minor, faults_of(failed.order_id)) == (0, [])


def test_an_unanswered_debt_is_not_offset(stripe, failed, seller):
    stripe.will("create_transfer", accepts_transfer())

    assert send(planned(seller)).withheld_minor == 0


def test_a_call_that_may_be_under_way_is_not_closed(stripe, failed):
    sent_ago(seconds=30)
    SellerTransfer.objects.update(refresh_due_at=long_ago())
    stripe.will("read_transfer", not_made(failed))

    refresh_due()

    assert attempt().status == "sending"
    assert fresh(failed).refresh_due_at > timezone.now()


def test_an_external_reversal_is_booked_and_ends_the_attempt(stripe, failed):
    stripe.will("read_transfer", shows(reversed_at_stripe(failed, 9_00)))

    refresh_transfer(failed.pk, cause=BY_TEST)

    assert (fresh(failed).status, fresh(failed).external_reversed_minor) == ("reversed", 0)
    assert list(TransferReversal.objects.order_by("pk").values_list("status", flat=True)) == ["refused", "made"]


@pytest.mark.parametrize("answer", [times_out(), rejects_key(), refuses("resource_missing", status=404)])
def test_without_an_answer_it_is_read_again_ever_later(stripe, failed, answer):
    sent_ago(hours=2)
    stripe.will("read_transfer", answer)

    refresh_transfer(failed.pk, cause=BY_TEST)

    assert timedelta(hours=1.9) < fresh(failed).refresh_due_at - timezone.now() < timedelta(hours=2.1)
    assert attempt().status == "sending"


def test_the_worker_stops_reading_after_a_week_and_asks_for_review(stripe, failed):
    ReviewItem.objects.all().delete()
    TransferReversal.objects.update(last_sent_at=timezone.now() - READ_UNANSWERED_FOR)
    stripe.will("read_transfer", times_out())

    refresh_transfer(failed.pk, cause=BY_TEST)

    assert fresh(failed).refresh_due_at is None
    assert "For 7 days" in ReviewItem.objects.get(kind="reversal_failed").why


def test_a_retry_books_what_was_made(stripe, failed):
    stripe.will("read_transfer", made(failed))

    assert "had reversed it already" in press(RetryReversal(), failed)
    assert (fresh(failed).status, attempt().status) == ("reversed", "made")


def test_a_retry_of_what_was_not_made_uses_another_key(stripe, failed):
    stripe.will("read_transfer", not_made(failed))
    stripe.will("create_reversal", accepts_reversal())

    assert "within a minute" in press(RetryReversal(), failed)

    assert reverse(failed).status == "reversed"
    first, second = stripe.keys()[-2:]
    assert (first.endswith("0-900:0"), second.endswith("0-900:1")) == (True, True)


def test_a_retry_of_a_reversal_made_in_part_reverses_the_rest(stripe, failed):
    SellerTransfer.objects.filter(pk=failed.pk).update(reversal_target_minor=9_00)
    TransferReversal.objects.update(to_minor=4_00)
    stripe.will("read_transfer", made(failed, 4_00))
    stripe.will("create_reversal", accepts_reversal())

    press(RetryReversal(), failed)

    assert reverse(failed).status == "reversed"
    assert stripe.params[-1][1]["amount_minor"] == 5_00


def test_a_write_off_of_what_was_made_writes_nothing_off(stripe, failed):
    stripe.will("read_transfer", made(failed))

    assert "Nothing was written off" in press(WriteOffDebt(), failed)
    assert (fresh(failed).status, WriteOff.objects.count()) == ("reversed", 0)


def test_a_write_off_of_what_was_not_made_is_a_loss(stripe, failed):
    stripe.will("read_transfer", not_made(failed))
    assert WriteOffDebt().is_available(failed)

    assert write_off(transfer_id=failed.pk, cause=BY_TEST) == 9_00

    row = fresh(failed)
    assert (row.status, row.written_off_minor, attempt().status) == ("completed", 9_00, "refused")
    assert faults_of(failed.order_id) == []


@pytest.mark.parametrize("answer", [times_out(), rejects_key(), refuses("resource_missing", status=404)])
@pytest.mark.parametrize("action", [RetryReversal(), WriteOffDebt()])
def test_an_action_that_cannot_read_stripe_changes_nothing(stripe, failed, action, answer):
    stripe.will("read_transfer", answer)
    before = SellerTransfer.objects.values().get(pk=failed.pk)

    with pytest.raises(TransferNotReadable, match="Nothing was changed"):
        press(action, failed)

    assert SellerTransfer.objects.values().get(pk=failed.pk) == before
    assert attempt().status == "sending"


@pytest.mark.parametrize("action", [RetryReversal(), WriteOffDebt()])
def test_an_action_waits_for_a_call_that_may_be_under_way(stripe, failed, action):
    sent_ago(seconds=30)
    stripe.will("read_transfer", not_made(failed))

    with pytest.raises(TransferNotReadable, match="two minutes"):
        press(action, failed)
    assert attempt().status == "sending"


def test_reversals_that_do_not_add_up_decide_nothing(stripe, failed):
    stripe.will("read_transfer", shows(replace(reversed_at_stripe(failed, 4_00), reversals=())))

    with pytest.raises(TransferNotReadable, match="add up"):
        write_off(transfer_id=failed.pk, cause=BY_TEST)
    assert (attempt().status, WriteOff.objects.count()) == ("sending", 0)


def test_an_answered_debt_is_written_off_without_a_read(stripe, seller):
    stripe.will("create_transfer", accepts_transfer())
    row = send(planned(seller))
    refund(row.order, seller, 9_00)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse(row)

    write_off(transfer_id=row.pk, cause=BY_TEST)

    assert "read_transfer" not in stripe.names()


def test_an_answer_after_the_attempt_was_closed_is_booked(stripe, failed):
    """The first call hangs for longer than anything may: Stripe makes the reversal after all."""
    stripe.will("read_transfer", not_made(failed))
    refresh_transfer(failed.pk, cause=BY_TEST)
    write_off(transfer_id=failed.pk, cause=BY_TEST)
    stripe.will("read_transfer", made(failed))

    refresh_transfer(failed.pk, cause=BY_TEST)

    row = fresh(failed)
    assert (row.status, row.external_reversed_minor, row.written_off_minor) == ("reversed", 0, 0)
    assert (WriteOff.objects.get().lost_minor, faults_of(failed.order_id)) == (0, [])


@pytest.mark.parametrize(("when", "status"), [("after", "reversed"), ("before", "permanently_failed")])
def test_the_sandbox_decides_what_its_stripe_did(sandbox, seller, settings, when, status):
    settings.REVERSAL_MAX_RETRIES = 0
    row = planned(seller)
    send_due()
    refund(row.order, seller, 9_00)
    sandbox.fault("status", "/reversals", method="POST", when=when, status=500)
    reverse_transfer(row.pk, cause=BY_TEST)
    assert fresh(row).status == TransferStatus.PERMANENTLY_FAILED
    sent_ago(minutes=10)
    SellerTransfer.objects.update(refresh_due_at=long_ago())

    refresh_due()

    assert fresh(row).status == status
    assert sum(movements(sandbox, "reversal")) == fresh(row).reversed_minor


def test_a_retry_within_the_time_of_a_call_books_what_was_made(stripe, failed):
    sent_ago(seconds=30)
    stripe.will("read_transfer", made(failed))

    assert "had reversed it already" in press(RetryReversal(), failed)


def test_what_is_still_undecided_is_not_written_off(failed):
    with pytest.raises(NothingToWriteOff):
        _write_off(failed.pk, cause=BY_TEST)
    assert fresh(failed).written_off_minor == 0


def test_a_reversal_under_way_is_not_offered_to_be_written_off(stripe, seller):
    debt = debt_of(stripe, seller)
    assert WriteOffDebt().is_available(debt)

    open_reversal(debt.pk, cause=BY_TEST)

    assert not WriteOffDebt().is_available(debt)
