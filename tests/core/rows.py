"""A row of a machine, for tests of the machinery."""

from payments.models import Payment
from veza.core.ids import new_id
from veza.core.models import User


def make_payment(**fields) -> Payment:
    payer, _ = User.objects.get_or_create(email="payer@example.com")
    defaults = {"purpose": "order", "purpose_id": new_id(), "correlation_id": new_id(), "amount_minor": 12_50}
    defaults |= {"currency": "EUR", "return_url": "https://shop.example/", "session_seconds": 900}
    return Payment.objects.create(payer=payer, **defaults | fields)
