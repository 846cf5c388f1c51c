"""The fixtures that the rooms share: Stripe's double, and sellers."""

import pytest
from rest_framework.test import APIClient

from connect.stripe import client
from tests.connect.factories import make_seller
from tests.connect.stripe_double import BY_ID, BY_PARAMS, Stripe
from veza.core.models import User


@pytest.fixture
def stripe(monkeypatch) -> Stripe:
    """Stripe as a test tells it to answer: no call leaves the process."""
    double = Stripe()
    for name in BY_PARAMS:
        monkeypatch.setattr(client, name, lambda _name=name, **params: double.answer(_name, params))
    for name in BY_ID:
        monkeypatch.setattr(client, name, lambda key, _name=name, **params: double.answer(_name, {"id": key, **params}))
    return double


@pytest.fixture
def seller(request) -> User:
    """A seller who can receive transfers: in a test with the sandbox, on an account of the sandbox's Stripe."""
    if "sandbox" not in request.fixturenames:
        return make_seller()
    return make_seller(stripe_account_id=request.getfixturevalue("sandbox").create_account())


@pytest.fixture
def api(seller) -> APIClient:
    """The API as the seller uses it."""
    api = APIClient()
    api.force_authenticate(seller)
    return api
