import pytest

from marketplace.models import Order
from tests.buying import order_of, paid, payment_of, two_sellers_order
from tests.factories import OfferFactory


@pytest.fixture
def order(sandbox) -> Order:
    """A paid order of 18.00 from two sellers: captured at Hyperswitch, and its webhook applied."""
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order


@pytest.fixture
def pending_order(sandbox) -> Order:
    """An order of 12.00 whose page waits for its buyer."""
    return order_of(OfferFactory())


@pytest.fixture
def captured_order(sandbox, pending_order) -> Order:
    """The same, captured at Hyperswitch; its webhook has not arrived."""
    sandbox.pay(payment_of(pending_order).provider_key)
    return pending_order
