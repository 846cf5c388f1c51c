"""A buyer, a seller, their API clients, and a paid order."""

import pytest
from rest_framework.test import APIClient

from marketplace.models import Order
from tests.buying import paid, payment_of, two_sellers_order
from tests.factories import PersonFactory, SellerFactory
from veza.core.models import User


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def buyer() -> User:
    return PersonFactory()


@pytest.fixture
def api(buyer) -> APIClient:
    """The API as the buyer uses it."""
    return client_of(buyer)


@pytest.fixture
def seller() -> User:
    """A seller whose plan includes selling."""
    return SellerFactory()


@pytest.fixture
def seller_api(seller) -> APIClient:
    """The API as the seller uses it."""
    return client_of(seller)


@pytest.fixture
def order(sandbox) -> Order:
    """A paid order of two sellers: 12.00 for one item, 6.00 for the other."""
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order
