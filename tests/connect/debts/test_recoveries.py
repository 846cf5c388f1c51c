"""What comes back of a debt that was written off reduces our loss: once, by a posting of its own."""

import pytest
from django.utils import timezone

from connect.admin_actions import ReissueTransfer
from connect.debts.write_offs import write_off
from connect.models import ConnectedAccount, SellerTransfer
from connect.reporting.balance import balances_of
from connect.reporting.statement import statement_of
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_refresh import refresh_transfer
from connect.transfers.transfer_requests import send_due
from payments import timeline
from payments.ledger.chart_of_accounts import DISPUTE_LOSS, seller_account
from payments.ledger.postings import balances
from payments.models import Posting, Refund, WriteOff
from tests.buying import ago, answer_dispute, deliver_dispute, deliver_refund, order_of, paid, payment_of, refund_of
from tests.connect.builders import debt_of, fresh, return_by_bank, reverse, reversed_at_stripe, rows_of, send
from tests.connect.factories import BY_TEST, planned, refund
from tests.connect.proving import faults_of
from tests.connect.stripe_double import accepts_transfer, refuses, shows
from tests.factories import OfferFactory
from veza.backoffice.account_proof import account_faults
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("staff", actor="finance@staff.example", reason="They closed their shop.")


@pytest.fixture
def debt(stripe, seller) -> SellerTransfer:
    """4.00 that the seller owes and that finance has written off."""
    row = debt_of(stripe, seller, 4_00)
    write_off(transfer_id=row.pk, cause=BY_FINANCE)
    return fresh(row)


@pytest.fixture
def order(sandbox, stripe):
    """Of 18.00, of which its seller was sent 13.50."""
    offer = OfferFactory(price_minor=15_00)
    ConnectedAccount.objects.create(
        seller=offer.product.seller, stripe_account_id="acct_1", transfers_active=True, country="DE"
    )
    order = paid(order_of(offer))
    stripe.will("create_transfer", accepts_transfer())
    send_due()
    return order


def reverse_at_stripe(stripe, transfer, *amounts) -> SellerTransfer:
    """Support reverses it in Stripe's dashboard, and Veza reads it."""
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, *amounts)))
    refresh_transfer(transfer.pk, cause=BY_TEST)
    return fresh(transfer)


def sent(stripe, seller, amount_minor) -> SellerTransfer:
    stripe.will("create_transfer", accepts_transfer())
    return send(planned(seller, amount_minor=amount_minor))


def leave_owed(stripe, transfer) -> None:
    """The seller's balance is too low to reverse what is owed."""
    stripe.will("create_reversal", refuses("balance_insufficient"))
    assert reverse(transfer).waiting_for == "debt"


def later(minutes: int = 1) -> str:
    """A time after what Hyperswitch has reported so far, as it writes it."""
    return ago(minutes=-minutes)


def loss(transfer) -> int:
    return -balances(correlation_id=transfer.order_id).get((DISPUTE_LOSS, "EUR"), 0)


def written_off_debt(stripe) -> SellerTransfer:
    """The sale's transfer after nothing of it could be reversed and finance wrote it off."""
    stripe.will("create_reversal", refuses("balance_insufficient"))
    process_due()
    row = SellerTransfer.objects.get()
    assert write_off(transfer_id=row.pk, cause=BY_FINANCE) == 13_50
    return row


def differences(order) -> list:
    return [*prove_payment(payment_of(order)).differences, *account_faults()]


def test_a_refund_returned_after_a_write_off_sends_nothing_again(debt):
    return_by_bank(Refund.objects.get(), debt)

    assert rows_of(debt) == [(1, "completed", 4_00, 0)]
    assert (fresh(debt).written_off_minor, fresh(debt).offset_minor, loss(debt)) == (0, 0, 0)
    assert faults_of(debt.order_id) == []


def test_a_recovery_is_a_posting_of_its_own_from_the_seller(debt):
    return_by_bank(Refund.objects.get(), debt)

    write_off_row, posting = WriteOff.objects.get(), Posting.objects.get(kind="write_off", number=1)
    assert (write_off_row.amount_minor, write_off_row.recovered_minor, write_off_row.recoveries) == (4_00, 4_00, 1)
    assert (posting.debit_id, posting.credit_id) == (seller_account(debt.seller_id), DISPUTE_LOSS)
    assert posting.amount_minor == 4_00


def test_a_return_of_more_than_was_written_off_lowers_the_target_next(debt, stripe, seller):
    row = debt_of(stripe, seller, 9_00)
    send(planned(seller, amount_minor=5_00))
    write_off(transfer_id=row.pk, cause=BY_FINANCE)

    return_by_bank(Refund.objects.get(correlation_id=row.order_id), row)

    assert rows_of(row) == [(1, "completed", 9_00, 0), (2, "pending", 5_00, 0)]
    assert (fresh(row).offset_minor, loss(row), faults_of(row.order_id)) == (5_00, 0, [])


def test_a_loss_is_recovered_before_a_later_reversal_is_given_up(stripe, seller):
    row = sent(stripe, seller, 9_00)
    refund(row.order, seller, 4_00)
    leave_owed(stripe, row)
    write_off(transfer_id=row.pk, cause=BY_FINANCE)
    later = refund(row.order, seller, 3_00)

    return_by_bank(later, row)

    assert (loss(row), fresh(row).written_off_minor, fresh(row).outstanding_minor) == (1_00, 1_00, 3_00)
    assert faults_of(row.order_id) == []


def test_a_reversal_in_the_dashboard_pays_what_was_written_off(debt, stripe, seller):
    row = reverse_at_stripe(stripe, debt, 4_00)

    assert (row.status, row.external_reversed_minor, row.written_off_minor) == ("reversed", 0, 0)
    assert [(one.unsent_minor, one.debt_minor) for one in balances_of(seller.pk)] == [(0, 0)]
    assert (loss(row), faults_of(row.order_id)) == (0, [])


def test_what_pays_a_loss_is_not_offered_to_be_reissued(debt, stripe):
    row = reverse_at_stripe(stripe, debt, 3_00)

    assert not ReissueTransfer().is_available(row)
    assert "Reissue transfer" not in ReviewItem.objects.get(kind="external_reversal").what_to_do
    assert (row.written_off_minor, loss(row)) == (1_00, 1_00)


def test_a_reversal_in_the_dashboard_beyond_the_loss_is_external(stripe, seller):
    row = sent(stripe, seller, 9_00)
    refund(row.order, seller, 4_00)
    leave_owed(stripe, row)
    write_off(transfer_id=row.pk, cause=BY_FINANCE)

    row = reverse_at_stripe(stripe, row, 6_00)

    assert (row.external_reversed_minor, row.reissuable_minor, loss(row)) == (2_00, 2_00, 0)
    assert [one.unsent_minor for one in balances_of(seller.pk)] == [2_00]
    assert faults_of(row.order_id) == []


def test_what_is_owed_is_paid_before_a_loss(debt, stripe, seller):
    row = sent(stripe, seller, 9_00)
    refund(row.order, seller, 4_00)
    leave_owed(stripe, row)
    write_off(transfer_id=row.pk, cause=BY_FINANCE)
    refund(row.order, seller, 3_00)

    row = reverse_at_stripe(stripe, row, 5_00)

    assert (row.outstanding_minor, row.written_off_minor, loss(row)) == (0, 2_00, 2_00)


def test_the_same_reversal_recovers_a_loss_once(debt, stripe):
    for _ in range(2):
        reverse_at_stripe(stripe, debt, 3_00)

    assert (WriteOff.objects.get().recovered_minor, WriteOff.objects.get().recoveries) == (3_00, 1)


def test_a_return_after_a_recovery_pays_the_seller_again(debt, stripe):
    reverse_at_stripe(stripe, debt, 4_00)

    return_by_bank(Refund.objects.get(), debt)

    assert rows_of(debt) == [(1, "reversed", 4_00, 4_00), (2, "pending", 4_00, 0)]
    assert (loss(debt), faults_of(debt.order_id)) == (0, [])


def test_what_is_owed_again_after_a_recovery_is_written_off_again(debt, stripe):
    return_by_bank(Refund.objects.get(), debt)
    refund(debt.order, debt.seller, 4_00)
    leave_owed(stripe, debt)

    assert write_off(transfer_id=debt.pk, cause=BY_FINANCE) == 4_00
    assert (loss(debt), fresh(debt).written_off_minor, faults_of(debt.order_id)) == (4_00, 4_00, [])


def test_a_won_dispute_after_a_write_off_sends_the_share_once(order, stripe):
    deliver_dispute(payment_of(order), "lost")
    debt = written_off_debt(stripe)
    assert differences(order) == []

    answer_dispute(payment_of(order), "won")

    row = SellerTransfer.objects.get()
    assert (row.pk, row.status, row.written_off_minor, loss(row)) == (debt.pk, "completed", 0, 0)
    assert differences(order) == []


def test_a_returned_refund_after_a_write_off_leaves_the_books_exact(order, stripe):
    refund_row = refund_of(order)
    deliver_refund(refund_row)
    written_off_debt(stripe)

    for _ in range(2):
        deliver_refund(refund_row, status="failed", updated_at=later())

    assert SellerTransfer.objects.get().status == "completed"
    assert [one.unsent_minor for one in balances_of(SellerTransfer.objects.get().seller_id)] == [0]
    assert differences(order) == []


def test_a_refund_that_wavers_after_a_write_off_is_lost_or_not(order, stripe):
    refund_row = refund_of(order)
    deliver_refund(refund_row)
    written_off_debt(stripe)

    deliver_refund(refund_row, status="failed", updated_at=later(1))
    deliver_refund(refund_row, updated_at=later(2))

    row = SellerTransfer.objects.get()
    assert (row.status, row.outstanding_minor, loss(row)) == ("reversal_pending", 13_50, 0)
    assert differences(order) == []


def test_a_statement_says_why_a_debt_ended_and_came_back(debt, stripe, seller):
    reverse_at_stripe(stripe, debt, 4_00)

    lines = list(statement_of(seller.pk, since=debt.created_at, until=timezone.now()))

    corrections = [(line.amount_minor, line.note) for line in lines if line.kind == "correction"]
    assert corrections == [(4_00, "What you owed was written off."), (-4_00, "What had been written off came back.")]
    assert lines[-1].balance_minor == 0


def test_the_orders_history_tells_of_a_write_off_and_its_recovery(debt, stripe, seller):
    reverse_at_stripe(stripe, debt, 3_00)

    texts = [line.text for line in timeline.lines(debt.order_id)]

    who = f"{seller.email} owed was written off as our loss by finance@staff.example: They closed their shop."
    assert f"4.00 EUR that {who}" in texts
    assert "3.00 EUR of what had been written off was recovered." in texts
