"""A sale in a currency with decimals of its own, over HTTP: the sandbox's providers read what was meant."""

from functools import partial

import pytest

from connect.funds import PayoutNotExact
from connect.models import ConnectedAccount
from connect.payouts import request_payout
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from marketplace.models import Order
from payments.models import Payment
from payments.reconciliation.refresh import refresh_payment, refresh_refund
from tests.buying import order_of, payment_of, refund_of
from tests.connect.builders import movements
from tests.connect.factories import BY_TEST
from tests.factories import OfferFactory, ProductFactory
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db

# The price in minor units, what Hyperswitch collects, and the share that Stripe transfers: our fee is a tenth.
SALES = [
    ("ISK", 500, 50000, 45000),
    ("UGX", 500, 500, 45000),
    ("MGA", 505_00, 505, 454),
    ("KWD", 5_150, 5150, 4630),
    ("JPY", 505, 505, 454),
]


@pytest.fixture
def sell(sandbox, seller):
    """A sale of that price, paid for, and its transfer."""

    def sale(currency: str, price_minor: int) -> Payment:
        sandbox.control("balances", account=None, currency=currency.lower(), amount_minor=10_000_000)
        product = ProductFactory(seller=seller)
        offer = OfferFactory(product=product, price_minor=price_minor, currency=currency, tax_basis_points=0)
        payment = payment_of(order_of(offer))
        sandbox.pay(payment.provider_key)
        refresh_payment(payment.pk, cause=BY_TEST)
        send_due()
        return payment

    return sale


@pytest.mark.parametrize(("currency", "price_minor", "collected", "transferred"), SALES)
def test_a_sale_moves_the_same_money_at_both(sandbox, sell, currency, price_minor, collected, transferred):
    payment = sell(currency, price_minor)

    payment.refresh_from_db()
    assert (payment.status, payment.received_minor) == ("succeeded", price_minor)
    assert (movements(sandbox, "payment"), movements(sandbox, "transfer")) == ([collected], [transferred])


def test_a_refund_takes_back_the_same_money_at_both(sandbox, sell):
    payment = sell("ISK", 500)
    refund = refund_of(Order.objects.get(pk=payment.purpose_id))
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded")
    refresh_refund(refund.pk, cause=BY_TEST)
    process_due()

    assert (movements(sandbox, "refund"), movements(sandbox, "reversal")) == ([50000], [45000])


def test_a_payout_of_part_of_a_forint_is_refused_before_stripe_is_asked(sandbox, seller):
    account = seller.connected_account.stripe_account_id
    ConnectedAccount.objects.update(payouts_enabled=True)
    sandbox.control("balances", account=account, currency="huf", amount_minor=10_45)
    payout = partial(request_payout, seller_id=seller.pk, currency="HUF", cause=BY_TEST)

    with pytest.raises(PayoutNotExact, match=r"multiples of 1\.00 HUF, and 10\.45 HUF is none"):
        payout(payout_id=new_id(), amount_minor=10_45)
    payout(payout_id=new_id(), amount_minor=10_00)
    assert movements(sandbox, "payout") == [1000]
