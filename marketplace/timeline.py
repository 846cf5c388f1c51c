"""What an order was and what became of its licences, in sentences."""

from uuid import UUID

from marketplace.models import License, Order
from marketplace.states import OrderStatus
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """The order as it was placed, and the licences it gave."""
    told = []
    for order in Order.objects.filter(pk=correlation_id).select_related("buyer").prefetch_related("items__seller"):
        wanted = "; ".join(f"{item.title} ({item.license}, sold by {item.seller.name})" for item in order.items.all())
        total, tax = format_amount(order.total_minor, order.currency), format_amount(order.tax_minor, order.currency)
        told.append(
            TimelineLine(order.created_at, f"{order.buyer.email} ordered {wanted} for {total}, tax {tax}.", "open")
        )
    for given in License.objects.filter(order=correlation_id).select_related("item"):
        told.append(
            TimelineLine(
                given.created_at,
                f"A {given.item.license} licence of {given.item.title} was given.",
                "open",
            )
        )
    return told


def next_steps(correlation_id: UUID) -> list[str]:
    """What may still happen to the order."""
    order = Order.objects.filter(pk=correlation_id).first()
    if order is None or order.status != OrderStatus.COMPLETED or order.refund_deadline is None:
        return []
    return [f"The buyer may ask for a refund until {order.refund_deadline:%d %B %Y, %H:%M} UTC."]
