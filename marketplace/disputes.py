"""What a dispute does to an order: licences are suspended while it is open, revoked when it is lost, and restored."""

from datetime import datetime

from marketplace.models import Order
from marketplace.orders import follow_money
from payments.models import Dispute, Payment
from veza.core.causes import Cause
from veza.core.facts import announce


def dispute_moved(dispute: Dispute, /, *, cause: Cause, at: datetime) -> None:
    """A dispute was opened, decided or taken back: order, licences and sellers' shares follow from the facts."""
    if dispute.payment.purpose != Payment.Purpose.ORDER:
        return
    order = Order.objects.locked().get(pk=dispute.payment.purpose_id)
    follow_money(order, cause=cause, at=at)
    announce("order.dispute_moved", order, cause=cause, at=at)
