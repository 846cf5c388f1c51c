"""A refund that somebody made at the provider's dashboard: its items, and from whom it is taken."""

from datetime import datetime

from marketplace.models import Order, OrderItem
from marketplace.refunds import keep_lines
from marketplace.shares import TAKEN, accounts_of, left_of, split
from payments import holdings
from payments.models import Payment, Refund
from payments.refund_news import divide_refund
from veza.core.causes import Cause


def refund_taken_in(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """Divide it as one of ours would be, over what is left of every item; nobody said which item it was for."""
    payment = refund.payment
    fulfilled = Order.objects.filter(pk=payment.purpose_id, completed_at__isnull=False)
    if payment.purpose != Payment.Purpose.ORDER or refund.currency != payment.held_currency or not fulfilled.exists():
        return
    left = left_of(list(OrderItem.objects.filter(order=payment.purpose_id).order_by("pk")), TAKEN)
    amount = min(refund.amount_minor, sum(part.total_minor for part in left))
    parts = split(amount, left)
    keep_lines(refund, parts)
    beyond = holdings.spread(refund.amount_minor - amount, holdings.unclaimed(payment))
    divide_refund(refund, accounts_of(parts) | beyond)
