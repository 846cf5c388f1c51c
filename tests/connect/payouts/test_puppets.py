"""A seller buys from themselves under another name, takes the money out, and has the purchase refunded."""

from datetime import timedelta

import pytest
from django.db.models import F

from connect.funds import PayoutExceedsBalance, PayoutNotMature
from connect.models import ConnectedAccount, SellerTransfer
from connect.payouts import request_payout
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from marketplace.models import Order
from marketplace.refund_decisions import grant_refund
from marketplace.refunds import RefundWindowExpired
from tests.buying import application_of, deliver_refund, order_of, paid, payment_of, refund_of, support
from tests.connect.builders import movements
from tests.connect.factories import BY_TEST
from tests.factories import OfferFactory
from veza.backoffice.verification import faults_of_ledger
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(sandbox, seller):
    """A puppet's order of 90.00, of which the seller's share of 81.00 is at Stripe."""
    ConnectedAccount.objects.update(payouts_enabled=True)
    order = paid(order_of(OfferFactory(product__seller=seller, price_minor=90_00, tax_basis_points=0)))
    send_due()
    return order


def cash_out(seller):
    return request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=81_00, currency="EUR", cause=BY_TEST)


def pass_days(order, days):
    age = timedelta(days=days)
    Order.objects.update(completed_at=F("completed_at") - age, refund_deadline=F("refund_deadline") - age)
    SellerTransfer.objects.update(created_at=F("created_at") - age)
    order.refresh_from_db()


@pytest.mark.parametrize("days", [0, 1, 13])
def test_the_share_of_a_puppets_order_stays_while_it_may_be_given_back(sandbox, seller, order, days):
    pass_days(order, days)

    with pytest.raises(PayoutNotMature, match=r"Only 0\.00 EUR can be paid out now"):
        cash_out(seller)

    assert movements(sandbox, "payout") == []


def test_the_reversal_of_a_puppets_refund_finds_its_money(sandbox, seller, order):
    with pytest.raises(PayoutNotMature):
        cash_out(seller)
    deliver_refund(refund_of(order))

    process_due()

    assert SellerTransfer.objects.get().status == "reversed"
    assert (movements(sandbox, "transfer"), movements(sandbox, "reversal")) == ([81_00], [81_00])
    assert list(faults_of_ledger()) == []


def test_after_the_window_the_seller_is_paid_and_the_puppet_keeps_the_work(sandbox, seller, order):
    pass_days(order, 14)

    payout = cash_out(seller)

    assert (payout.status, movements(sandbox, "payout")) == ("pending", [81_00])
    with pytest.raises(RefundWindowExpired):
        refund_of(order)


def test_a_share_does_not_leave_between_a_puppets_request_and_its_decision(sandbox, seller, order, settings):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    other = paid(order_of(OfferFactory(), buyer=order.buyer))
    sandbox.pay(payment_of(other).provider_key)
    deliver_refund(refund_of(other))
    application = application_of(order)
    pass_days(order, 15)

    with pytest.raises(PayoutExceedsBalance, match=r"Only 0\.00 EUR can be paid out now"):
        cash_out(seller)
    deliver_refund(grant_refund(application_id=application.pk, granted_by=support(), cause=BY_TEST))
    process_due()

    assert (movements(sandbox, "payout"), movements(sandbox, "reversal")) == ([], [81_00])


def test_without_maturity_the_puppets_refund_leaves_a_debt(sandbox, seller, order, settings):
    settings.PAYOUT_AFTER = timedelta(0)
    cash_out(seller)
    deliver_refund(refund_of(order))

    process_due()

    row = SellerTransfer.objects.get()
    assert (row.status, row.waiting_for, movements(sandbox, "reversal")) == ("reversal_pending", "debt", [])
