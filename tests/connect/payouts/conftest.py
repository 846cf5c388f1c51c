import pytest

from connect.models import ConnectedAccount


@pytest.fixture
def seller(seller):
    """A seller whom Stripe lets pay out."""
    ConnectedAccount.objects.filter(seller=seller).update(payouts_enabled=True)
    return seller
