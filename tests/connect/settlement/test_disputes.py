"""While a dispute is open, what was not sent yet waits; once it is closed, the seller's share is sent or not."""

import pytest
from django.utils import timezone

from connect.models import ConnectedAccount, SellerTransfer
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import reverse_transfer
from connect.settlement.reconcile_seller import settle_order
from connect.transfers.transfer_requests import send_due
from payments.ledger.chart_of_accounts import seller_account
from payments.models import Dispute, Payment
from tests.buying import deliver_dispute, order_of, paid, payment_of
from tests.connect.builders import send
from tests.connect.factories import BY_TEST, completed, planned, refund
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses, times_out
from tests.factories import OfferFactory
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def open_dispute(transfer, funds_location="suspense", amount_minor=None):
    """A dispute over the seller's share, by default all of it, as its floor keeps it."""
    amount_minor = transfer.amount_minor if amount_minor is None else amount_minor
    payment = Payment.objects.get(purpose_id=transfer.order_id)
    return Dispute.objects.create(
        payment=payment,
        correlation_id=payment.correlation_id,
        hyperswitch_dispute_id=f"dp_{new_id().hex}",
        status="opened",
        stage="dispute",
        amount_minor=amount_minor,
        currency="EUR",
        allocation={seller_account(transfer.seller_id): amount_minor},
        allocation_currency="EUR",
        funds_location=funds_location,
    )


def close(dispute, transfer, *, funds_location):
    """The dispute ends: lost to the bank, or won."""
    allocation = dispute.allocation if funds_location else {}
    Dispute.objects.filter(pk=dispute.pk).update(funds_location=funds_location, allocation=allocation)
    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())


def test_an_unsent_transfer_waits_while_a_dispute_is_open(stripe):
    transfer = planned()
    open_dispute(transfer)

    waiting = send(transfer)

    assert (waiting.status, waiting.waiting_for, waiting.in_doubt_since) == ("pending", "dispute", None)
    assert stripe.params == []


def test_a_transfer_in_doubt_is_sent_during_a_dispute_too(stripe):
    transfer = planned()
    stripe.will("create_transfer", times_out(), accepts_transfer())
    send(transfer)
    open_dispute(transfer)

    assert send(transfer).status == "completed"


def test_a_dispute_that_is_won_lets_the_transfer_go_at_once(stripe):
    transfer = planned()
    dispute = open_dispute(transfer)
    send(transfer)

    close(dispute, transfer, funds_location="")

    assert SellerTransfer.objects.unsent().due().get() == transfer
    stripe.will("create_transfer", accepts_transfer())
    assert send(transfer).status == "completed"


def test_a_dispute_that_is_lost_cancels_the_transfer_that_waited(stripe):
    transfer = planned()
    dispute = open_dispute(transfer)
    send(transfer)

    close(dispute, transfer, funds_location="bank")

    assert SellerTransfer.objects.get(pk=transfer.pk).status == "cancelled"


def test_a_dispute_that_is_lost_reverses_what_was_sent():
    transfer = completed()
    dispute = open_dispute(transfer)

    close(dispute, transfer, funds_location="bank")

    row = SellerTransfer.objects.get(pk=transfer.pk)
    assert (row.status, row.outstanding_minor) == ("reversal_pending", 9_00)


def test_a_dispute_that_is_still_open_reverses_nothing():
    transfer = completed()
    open_dispute(transfer)

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    assert SellerTransfer.objects.get(pk=transfer.pk).outstanding_minor == 0


def test_one_of_two_disputes_that_ends_lets_nothing_go():
    transfer = planned()
    first, _second = open_dispute(transfer), open_dispute(transfer)
    SellerTransfer.objects.filter(pk=transfer.pk).update(waiting_for="dispute", next_retry_at="2099-01-01T00:00Z")

    close(first, transfer, funds_location="")

    assert SellerTransfer.objects.get(pk=transfer.pk).waiting_for == "dispute"


@pytest.mark.parametrize("then", [None, "won", "lost"])
def test_what_a_bank_argues_about_is_no_debt_of_the_sellers(sandbox, then):
    offer = OfferFactory(price_minor=10_00)
    account = sandbox.create_account()
    ConnectedAccount.objects.create(seller=offer.product.seller, stripe_account_id=account, transfers_active=True)
    order = paid(order_of(offer))
    send_due()

    for status in filter(None, ("opened", then)):
        deliver_dispute(payment_of(order), status)

    (balance,) = balances_of(offer.product.seller_id)
    assert (balance.debt_minor, balance.debts) == (0, [])


def test_a_dispute_lost_and_then_won_pays_by_a_new_transfer(stripe):
    transfer = completed(amount_minor=9_00)
    dispute = open_dispute(transfer)
    close(dispute, transfer, funds_location="bank")
    stripe.will("create_reversal", accepts_reversal())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    close(dispute, transfer, funds_location="")

    rows = SellerTransfer.objects.filter(order=transfer.order).order_by("seq")
    assert [(row.status, row.amount_minor) for row in rows] == [("reversed", 9_00), ("pending", 9_00)]


def after_refund(transfer, amount_minor):
    """The seller's refund that came before the dispute, and the transfer as it then stands."""
    refund(transfer.order, transfer.seller, amount_minor)
    return SellerTransfer.objects.get(pk=transfer.pk)


def rows_of(transfer):
    rows = SellerTransfer.objects.filter(order=transfer.order).order_by("seq")
    return [(row.status, row.amount_minor, row.reversal_target_minor) for row in rows]


def test_a_dispute_lost_while_a_reversal_is_pending_raises_its_target():
    transfer = after_refund(completed(amount_minor=9_00), 4_00)
    dispute = open_dispute(transfer, amount_minor=5_00)

    close(dispute, transfer, funds_location="bank")

    assert rows_of(transfer) == [("reversal_pending", 9_00, 9_00)]


def test_a_dispute_won_before_its_reversal_leaves_only_the_refund():
    transfer = after_refund(completed(amount_minor=9_00), 4_00)
    dispute = open_dispute(transfer, amount_minor=5_00)
    close(dispute, transfer, funds_location="bank")

    close(dispute, transfer, funds_location="")

    assert rows_of(transfer) == [("reversal_pending", 9_00, 4_00)]


def test_a_dispute_won_before_any_reversal_changes_nothing():
    transfer = completed(amount_minor=9_00)
    dispute = open_dispute(transfer)
    close(dispute, transfer, funds_location="bank")

    close(dispute, transfer, funds_location="")

    assert rows_of(transfer) == [("completed", 9_00, 0)]


def test_a_dispute_won_during_an_unanswered_reversal_pays_again(stripe):
    transfer = completed(amount_minor=9_00)
    dispute = open_dispute(transfer)
    close(dispute, transfer, funds_location="bank")
    stripe.will("create_reversal", times_out())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    close(dispute, transfer, funds_location="")

    assert rows_of(transfer) == [("reversal_pending", 9_00, 9_00), ("pending", 9_00, 0)]


def test_a_dispute_lost_twice_changes_nothing_on_a_reversed_transfer(stripe):
    transfer = completed(amount_minor=9_00)
    dispute = open_dispute(transfer)
    close(dispute, transfer, funds_location="bank")
    stripe.will("create_reversal", accepts_reversal())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    close(dispute, transfer, funds_location="bank")

    assert rows_of(transfer) == [("reversed", 9_00, 9_00)]


def test_a_dispute_lost_after_a_failed_reversal_raises_the_review_amount(stripe):
    transfer = after_refund(completed(amount_minor=9_00), 4_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)
    dispute = open_dispute(transfer, amount_minor=5_00)

    close(dispute, transfer, funds_location="bank")

    assert rows_of(transfer) == [("permanently_failed", 9_00, 9_00)]
    assert ReviewItem.objects.get(kind="reversal_failed").amount_minor == 9_00


def test_a_dispute_won_after_a_failed_reversal_closes_the_review_item(stripe):
    transfer = completed(amount_minor=9_00)
    dispute = open_dispute(transfer)
    close(dispute, transfer, funds_location="bank")
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    close(dispute, transfer, funds_location="")

    assert rows_of(transfer) == [("completed", 9_00, 0)]
    assert ReviewItem.objects.get(kind="reversal_failed").closed_by == "veza"


def test_a_dispute_lost_after_a_transfer_failed_unsent_cancels_it(stripe):
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", refuses("resource_missing"))
    send(transfer)
    dispute = open_dispute(transfer)

    close(dispute, transfer, funds_location="bank")

    assert rows_of(transfer) == [("cancelled", 9_00, 0)]
    assert ReviewItem.objects.get(kind="transfer_failed").closed_by == "veza"
