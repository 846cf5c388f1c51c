"""A transfer at Stripe shows its newest ten reversals: the older ones are listed, and none stays undecided."""

import pytest

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import reverse_transfer
from connect.states import ReversalStatus
from connect.transfers.transfer_refresh import UNLISTED, refresh_transfer
from tests.connect.builders import send
from tests.connect.factories import BY_TEST, planned, refund
from tests.connect.proving import faults_of
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def sent_transfer(seller) -> SellerTransfer:
    return send(planned(seller, amount_minor=9_00))


def reverse_at_dashboard(sandbox, transfer: SellerTransfer, times: int) -> None:
    for _ in range(times):
        sandbox.control(f"transfers/{transfer.stripe_transfer_id}/reverse", amount=1)


def refresh(transfer: SellerTransfer) -> SellerTransfer:
    refresh_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


@pytest.mark.parametrize("times", [10, 11, 30])
def test_every_external_reversal_is_imported(sandbox, seller, times):
    transfer = sent_transfer(seller)
    reverse_at_dashboard(sandbox, transfer, times)

    refresh(transfer)

    assert (transfer.reversed_minor, transfer.reversals.count()) == (times, times)
    assert not ReviewItem.objects.filter(kind=UNLISTED).exists()
    assert faults_of(transfer.order_id) == []


def test_the_older_reversals_are_listed_page_by_page(sandbox, seller, monkeypatch):
    monkeypatch.setattr("connect.stripe.client._PAGE", 4)
    transfer = sent_transfer(seller)
    reverse_at_dashboard(sandbox, transfer, 19)

    assert refresh(transfer).reversed_minor == 19
    assert sum(call["path"].endswith("/reversals") for call in sandbox.calls()) == 3


def test_nothing_is_booked_when_the_older_ones_cannot_be_listed(sandbox, seller):
    transfer = sent_transfer(seller)
    reverse_at_dashboard(sandbox, transfer, 11)
    sandbox.fault("status", "/reversals$", method="GET", status=500, times=0)

    assert refresh(transfer).reversed_minor == 0

    sandbox.clear_faults()
    assert refresh(transfer).reversed_minor == 11


def test_an_unanswered_reversal_is_found_behind_ten_external_ones(sandbox, seller):
    transfer = sent_transfer(seller)
    refund(transfer.order, seller, 4_00)
    sandbox.fault("drop", "/reversals$", method="POST", when="after")
    reverse_transfer(transfer.pk, cause=BY_TEST)
    intent = TransferReversal.objects.get()
    reverse_at_dashboard(sandbox, transfer, 12)

    refresh(transfer)

    intent.refresh_from_db()
    assert (intent.status, transfer.reversed_minor) == (ReversalStatus.MADE, 4_12)
    assert (transfer.external_reversed_minor, faults_of(transfer.order_id)) == (12, [])
