"""Refunds that were made outside of Veza."""

from marketplace.models import Order
from tests.buying import ago, deliver, envelope, payment_of


def refund_at_dashboard(
    order: Order, amount: int, *, status: str = "succeeded", refund_id: str = "ref_external"
) -> None:
    """A refund that staff made in Hyperswitch's dashboard."""
    payload = {"refund_id": refund_id, "payment_id": payment_of(order).provider_key, "status": status}
    payload |= {"amount": amount, "currency": "EUR", "updated_at": ago(seconds=0)}
    answer = deliver(envelope(f"refund_{status}", payload))
    assert answer.json() == {"result": "ok"}
