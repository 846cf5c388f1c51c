"""A shortfall is our loss once finance writes it off, and the proof adds it back."""

import pytest

from payments import timeline
from payments.ledger.postings import balances
from payments.models import Dispute, Refund, WriteOff
from payments.reviews.conversions import enter_converted_amount
from payments.reviews.write_offs import NothingToWriteOff, open_shortfall, shortfall_minor, write_off_shortfall
from tests.buying import (
    ago,
    answer_dispute,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    payment_of,
    refund_of,
)
from tests.payments.builders import balances_of
from veza.backoffice.account_proof import account_faults
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
PAID = {"psp_clearing": -18_00, "seller": 13_50, "platform_fee": 1_50, "tax": 3_00}
BY_FINANCE = Cause("staff", actor="finance@staff.example", reason="The bank will not listen.")


@pytest.fixture
def dispute(order):
    """A lost dispute of 2.00 more than the payment."""
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00)
    return Dispute.objects.get()


def test_a_shortfall_written_off_is_our_loss_and_the_proof_still_holds(order, dispute):
    assert write_off_shortfall(dispute, cause=BY_FINANCE) == 2_00

    assert balances_of(order) == {"psp_clearing": 2_00, "dispute_loss": -2_00}
    assert prove_payment(payment_of(order)).differences == []


def test_its_review_item_is_closed_with_who_and_why(dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    item = ReviewItem.objects.get(kind="dispute_exceeds_payment")
    assert (item.closed_by, item.note) == (BY_FINANCE.actor, BY_FINANCE.reason)


def test_it_is_written_off_once(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(dispute, cause=BY_FINANCE)
    assert (open_shortfall(dispute), shortfall_minor(dispute)) == (None, 0)


def test_what_a_bank_may_still_return_is_not_written_off(order):
    deliver_dispute(payment_of(order), "opened", amount_minor=20_00)

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(Dispute.objects.get(), cause=BY_FINANCE)


def test_a_dispute_within_the_payment_leaves_nothing_to_write_off(order):
    deliver_dispute(payment_of(order), "lost")

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(Dispute.objects.get(), cause=BY_FINANCE)


def loss_of(row) -> tuple[int, int]:
    """What of it is our loss, and what was recovered."""
    write_off = WriteOff.objects.get(subject_id=row.pk)
    return write_off.lost_minor, write_off.recovered_minor


def test_a_dispute_won_after_a_write_off_leaves_no_loss(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    answer_dispute(payment_of(order), "won", amount_minor=20_00)

    assert balances_of(order) == PAID
    assert loss_of(dispute) == (0, 2_00)
    assert [*prove_payment(payment_of(order)).differences, *account_faults()] == []


def test_a_dispute_that_takes_less_recovers_that_much(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    answer_dispute(payment_of(order), "lost", amount_minor=19_00)

    assert balances_of(order) == {"psp_clearing": 1_00, "dispute_loss": -1_00}
    assert loss_of(dispute) == (1_00, 1_00)
    assert prove_payment(payment_of(order)).differences == []


def test_a_loss_that_was_written_off_does_not_outlive_its_currency(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    answer_dispute(payment_of(order), "lost", amount_minor=19_50, currency="USD")

    assert loss_of(dispute) == (0, 2_00)
    assert balances(currency="EUR", payment=payment_of(order))["dispute_loss", "EUR"] == 0
    assert balances(payment=payment_of(order))["psp_clearing", "USD"] == 19_50
    assert [*prove_payment(payment_of(order)).differences, *account_faults()] == []


def test_a_loss_in_a_former_currency_is_restored_once(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    for amount, currency in ((19_50, "USD"), (30_00, "USD"), (20_00, "EUR")):
        answer_dispute(payment_of(order), "lost", amount_minor=amount, currency=currency)

    assert loss_of(dispute) == (0, 2_00)
    assert balances_of(order) == {"psp_clearing": 2_00, "recoverable": -2_00}
    assert shortfall_minor(Dispute.objects.get()) == 2_00


def test_a_loss_in_a_converted_amount_ends_with_the_conversion(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=19_50, currency="USD")
    enter_converted_amount(Dispute.objects.get(), amount_minor=20_00, cause=BY_FINANCE)
    item = ReviewItem.objects.get(kind="dispute_exceeds_payment", closed_at=None)
    assert (item.amount_minor, item.currency, "2.00 EUR" in item.why) == (2_00, "EUR", True)
    write_off_shortfall(Dispute.objects.get(), cause=BY_FINANCE)

    answer_dispute(payment_of(order), "lost", amount_minor=30_00, currency="USD")

    assert loss_of(Dispute.objects.get()) == (0, 2_00)
    assert [*prove_payment(payment_of(order)).differences, *account_faults()] == []


def test_the_proof_names_the_currency_in_which_a_loss_is_booked(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=19_50, currency="USD")
    enter_converted_amount(Dispute.objects.get(), amount_minor=20_00, cause=BY_FINANCE)
    write_off_shortfall(Dispute.objects.get(), cause=BY_FINANCE)

    WriteOff.objects.update(amount_minor=3_00)

    texts = [str(fault) for fault in prove_payment(payment_of(order)).differences]
    assert any("3.00 EUR of it is written off, and 2.00 EUR of it is recoverable" in text for text in texts)


def test_a_loss_in_another_currency_than_the_dispute_is_a_difference(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    WriteOff.objects.update(currency="USD")

    texts = [str(fault) for fault in prove_payment(payment_of(order)).differences]
    assert any("2.00 USD of it is written off, and 0.00 USD of it is recoverable" in text for text in texts)


def test_a_dispute_lost_again_is_written_off_again(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)
    answer_dispute(payment_of(order), "won", amount_minor=20_00)
    answer_dispute(payment_of(order), "lost", amount_minor=20_00)

    assert write_off_shortfall(dispute, cause=BY_FINANCE) == 2_00
    assert balances_of(order) == {"psp_clearing": 2_00, "dispute_loss": -2_00}
    assert prove_payment(payment_of(order)).differences == []


def test_what_was_written_off_opens_no_second_review_item(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    answer_dispute(payment_of(order), "challenged", amount_minor=20_00)
    answer_dispute(payment_of(order), "lost", amount_minor=20_00)

    assert loss_of(dispute) == (2_00, 0)
    assert not ReviewItem.objects.filter(kind="dispute_exceeds_payment", closed_at__isnull=True).exists()


def test_a_refund_returned_after_a_write_off_leaves_no_loss(order):
    refund = refund_beyond(order)
    assert write_off_shortfall(refund, cause=BY_FINANCE) == 18_00
    assert balances_of(order) == {"psp_clearing": 18_00, "dispute_loss": -18_00}

    for _ in range(2):
        deliver_refund(refund, status="failed", updated_at=ago(minutes=-1))

    assert (balances_of(order), loss_of(refund)) == ({}, (0, 18_00))
    assert [*prove_payment(payment_of(order)).differences, *account_faults()] == []


@pytest.mark.parametrize("written_off", [False, True])
def test_an_excess_covered_in_part_is_asked_for_without_that_part(order, written_off):
    refund = refund_of(order, amount_minor=6_00)
    deliver_refund(refund)
    deliver_refund(refund_of(order, amount_minor=4_00))
    deliver_payment(payment_of(order), status="failed")
    void = Refund.objects.get(source="void")
    if written_off:
        write_off_shortfall(void, cause=BY_FINANCE)

    deliver_refund(refund, status="failed")

    loss = {"dispute_loss": -4_00} if written_off else {"recoverable": -4_00}
    assert balances_of(order) == {"psp_clearing": 4_00} | loss
    assert shortfall_minor(Refund.objects.get(pk=void.pk)) == (0 if written_off else 4_00)
    assert (open_shortfall(void) is None) == written_off
    assert prove_payment(payment_of(order)).differences == []


def test_a_dispute_covered_by_a_returned_refund_recovers_its_loss(order):
    refund = refund_of(order)
    deliver_refund(refund)
    deliver_dispute(payment_of(order), "lost", amount_minor=18_00)
    dispute = Dispute.objects.get()
    assert write_off_shortfall(dispute, cause=BY_FINANCE) == 18_00

    deliver_refund(refund, status="failed", updated_at=ago(minutes=-1))

    assert (balances_of(order), loss_of(dispute)) == ({}, (0, 18_00))
    assert prove_payment(payment_of(order)).differences == []


def test_two_shortfalls_are_written_off_each_for_its_own(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)
    deliver_dispute(payment_of(order), "lost", amount_minor=3_00, dispute_id="dp_2")

    assert shortfall_minor(dispute) == 0
    assert write_off_shortfall(Dispute.objects.get(hyperswitch_dispute_id="dp_2"), cause=BY_FINANCE) == 3_00


def test_a_loss_beyond_what_was_taken_is_a_difference(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)
    Dispute.objects.update(allocation={})

    texts = [fault.text for fault in prove_payment(payment_of(order)).differences]

    assert any("2.00 EUR of it is written off" in text for text in texts)


def test_a_loss_for_nothing_of_its_payment_is_a_difference(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)
    WriteOff.objects.update(subject_id=order.pk)

    faults = prove_payment(payment_of(order)).differences
    assert [fault.amount_minor for fault in faults if "is for nothing of this payment" in str(fault)] == [2_00]


def test_the_orders_history_tells_of_a_shortfall_and_its_recovery(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)
    answer_dispute(payment_of(order), "won", amount_minor=20_00)

    texts = [line.text for line in timeline.lines(order.pk)]

    who = "written off as our loss by finance@staff.example: The bank will not listen."
    assert f"2.00 EUR that could not be recovered was {who}" in texts
    assert "2.00 EUR of what had been written off was recovered." in texts


def refund_beyond(order):
    """A refund of everything that failed at first and succeeded after another one had."""
    first = refund_of(order)
    deliver_refund(first, status="failed")
    deliver_refund(refund_of(order))
    deliver_refund(first, updated_at=ago(minutes=-0.5))
    first.refresh_from_db()
    return first
