"""While a bank asks for an order's money, what was not sent yet waits; once it is decided, the share is sent or not."""

import pytest
from django.utils import timezone

from connect.models import SellerTransfer
from connect.settle import settle_order
from connect.transfers import send_transfer
from payments.accounts import seller_account
from payments.models import Dispute, Payment
from tests.connect.conftest import sent, unknown
from tests.connect.factories import BY_TEST, completed, planned
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def disputed(transfer, held_at="suspense"):
    """A dispute over all of the seller's share, as its floor keeps it."""
    payment = Payment.objects.get(purpose_id=transfer.order_id)
    return Dispute.objects.create(
        payment=payment,
        story_id=payment.story_id,
        hyperswitch_dispute_id=f"dp_{new_id().hex}",
        status="opened",
        stage="dispute",
        amount_minor=transfer.amount_minor,
        currency="EUR",
        legs={seller_account(transfer.seller_id): transfer.amount_minor},
        held_at=held_at,
    )


def decided(dispute, transfer, *, held_at):
    """It ends: lost at the bank, or won and nowhere any more."""
    legs = dispute.legs if held_at else {}
    Dispute.objects.filter(pk=dispute.pk).update(held_at=held_at, legs=legs)
    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())


def send(transfer):
    send_transfer(transfer.pk, cause=BY_TEST)
    return SellerTransfer.objects.get(pk=transfer.pk)


def test_an_unsent_transfer_waits_while_a_dispute_is_open(stripe):
    transfer = planned()
    disputed(transfer)

    waiting = send(transfer)

    assert (waiting.status, waiting.waiting_for, waiting.in_doubt_since) == ("pending", "dispute", None)
    assert stripe.asked == []


def test_a_transfer_in_doubt_is_asked_about_all_the_same(stripe):
    transfer = planned()
    stripe.will("create_transfer", unknown(), sent())
    send(transfer)
    disputed(transfer)

    assert send(transfer).status == "completed"


def test_a_dispute_that_is_won_lets_the_transfer_go_at_once(stripe):
    transfer = planned()
    dispute = disputed(transfer)
    send(transfer)

    decided(dispute, transfer, held_at="")

    assert SellerTransfer.objects.unsent().due().get() == transfer
    stripe.will("create_transfer", sent())
    assert send(transfer).status == "completed"


def test_a_dispute_that_is_lost_cancels_the_transfer_that_waited(stripe):
    transfer = planned()
    dispute = disputed(transfer)
    send(transfer)

    decided(dispute, transfer, held_at="bank")

    assert SellerTransfer.objects.get(pk=transfer.pk).status == "cancelled"


def test_a_dispute_that_is_lost_takes_back_what_was_sent():
    transfer = completed()
    dispute = disputed(transfer)

    decided(dispute, transfer, held_at="bank")

    row = SellerTransfer.objects.get(pk=transfer.pk)
    assert (row.status, row.owed_minor) == ("reversal_pending", 9_00)


def test_a_dispute_that_is_opened_and_not_decided_takes_nothing_back():
    transfer = completed()
    disputed(transfer)

    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())

    assert SellerTransfer.objects.get(pk=transfer.pk).owed_minor == 0


def test_one_of_two_disputes_that_ends_lets_nothing_go():
    transfer = planned()
    first, _second = disputed(transfer), disputed(transfer)
    SellerTransfer.objects.filter(pk=transfer.pk).update(waiting_for="dispute", next_retry_at="2099-01-01T00:00Z")

    decided(first, transfer, held_at="")

    assert SellerTransfer.objects.get(pk=transfer.pk).waiting_for == "dispute"
