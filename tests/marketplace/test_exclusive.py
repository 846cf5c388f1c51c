"""An exclusive licence is sold once; the second buyer is refunded automatically."""

import pytest

from connect.models import SellerTransfer
from marketplace.models import License
from marketplace.offers import ExclusiveSold
from payments.models import Refund
from payments.tasks import resend
from tests.buying import deliver_payment, deliver_refund, order_of, paid, payment_of
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def second(sandbox):
    """An order that was placed before the first buyer paid, and paid after that."""
    exclusive, other = OfferFactory(license="exclusive"), OfferFactory()
    first, second = order_of(exclusive), order_of(exclusive, other)
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))
    second.refresh_from_db()
    return second


def test_an_exclusive_license_that_is_sold_cannot_be_ordered(sandbox):
    offer = OfferFactory(license="exclusive")
    paid(order_of(offer))

    with pytest.raises(ExclusiveSold, match="is already sold"):
        order_of(offer)


def test_the_second_buyer_gets_the_other_items_and_a_refund_of_that_one(second):
    refund = Refund.objects.get()

    assert second.status == "refund_pending"
    assert [row.item.license for row in License.objects.filter(order=second)] == ["personal"]
    assert (refund.source, refund.amount_minor, refund.send_after is not None) == ("late_payment", 12_00, True)


def test_no_seller_is_paid_for_a_withheld_item(second):
    transfers = SellerTransfer.objects.filter(order=second)

    assert [transfer.amount_minor for transfer in transfers] == [9_00]


def test_a_sweep_sends_the_refund_and_the_ledger_balances(second, sandbox):
    resend()
    assert [call["path"] for call in sandbox.calls() if call["method"] == "POST"][-1] == "/refunds"
    deliver_refund(Refund.objects.get())

    second.refresh_from_db()
    assert second.status == "completed"
    assert prove_payment(payment_of(second)).is_balanced


def test_an_order_with_no_other_item_is_refunded_in_full(sandbox):
    offer = OfferFactory(license="exclusive")
    first, second = order_of(offer), order_of(offer)
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))

    resend()
    deliver_refund(Refund.objects.get())

    second.refresh_from_db()
    assert second.status == "refunded"
    assert prove_payment(payment_of(second)).is_balanced


def test_a_late_payment_of_an_order_bought_again_is_refunded(sandbox):
    offer, buyer = OfferFactory(), PersonFactory()
    failed_order = order_of(offer, buyer=buyer)
    deliver_payment(payment_of(failed_order), status="failed", amount_received=None)
    paid(order_of(offer, buyer=buyer))

    deliver_payment(payment_of(failed_order))

    assert License.objects.filter(holder=buyer).count() == 1
    assert Refund.objects.get().source == "late_payment"
