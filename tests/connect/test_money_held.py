"""While staff hold a seller's money, nothing leaves to them: neither what they earned nor what they ask for."""

import pytest
from django.utils import timezone

from connect.funds import MoneyHeld
from connect.models import SellerPayout
from connect.payouts import advance_due, request_payout
from connect.transfers.transfer_requests import send_due
from marketplace.models import SellerRestriction
from tests.connect.builders import send
from tests.connect.factories import BY_TEST, long_ago, make_seller, planned
from tests.connect.stripe_double import accepts_payout, accepts_transfer
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def hold(seller, kind="hold") -> SellerRestriction:
    now = timezone.now()
    return SellerRestriction.objects.create(seller=seller, kind=kind, reason="R.", imposed_by="s", review_at=now)


@pytest.fixture
def seller():
    seller = make_seller()
    type(seller.connected_account).objects.update(payouts_enabled=True)
    return seller


@pytest.mark.parametrize("kind", ["hold", "suspension"])
def test_a_transfer_waits_for_staff_and_is_looked_at_again(stripe, kind):
    transfer = planned()
    hold(transfer.seller, kind)

    waiting = send(transfer)

    assert (waiting.status, waiting.waiting_for, waiting.in_doubt_since) == ("pending", "release", None)
    assert waiting.next_retry_at > timezone.now()
    assert (waiting.retry_count, stripe.params) == (0, [])


def test_a_released_transfer_is_sent(stripe):
    transfer = planned()
    restriction = hold(transfer.seller)
    send(transfer)
    SellerRestriction.objects.filter(pk=restriction.pk).update(ended_at=timezone.now())
    type(transfer).objects.update(next_retry_at=long_ago())
    stripe.will("create_transfer", accepts_transfer())

    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("completed", "")


def test_a_transfer_that_may_have_arrived_is_asked_for_again(stripe):
    transfer = planned(in_doubt_since=timezone.now(), destination="acct_1")
    hold(transfer.seller)
    stripe.will("create_transfer", accepts_transfer())

    assert send(transfer).status == "completed"


def test_a_held_seller_is_paid_nothing_out(stripe, seller):
    hold(seller)

    with pytest.raises(MoneyHeld, match="staff hold your money"):
        request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=5_00, currency="EUR", cause=BY_TEST)

    assert not SellerPayout.objects.exists()


@pytest.mark.parametrize(("in_doubt", "calls"), [(False, 0), (True, 1)])
def test_a_payout_without_an_answer_is_sent_only_if_it_may_be_there(stripe, seller, in_doubt, calls):
    account = seller.connected_account.stripe_account_id
    SellerPayout.objects.create(
        seller=seller,
        stripe_account_id=account,
        amount_minor=5_00,
        currency="EUR",
        in_doubt=in_doubt,
        next_attempt_at=long_ago(),
    )
    hold(seller)
    stripe.will("create_payout", accepts_payout("po_1"))

    advance_due()

    assert len(stripe.params) == calls
