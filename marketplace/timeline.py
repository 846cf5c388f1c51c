"""The marketplace's part of an order history: the order as it was placed, and its licences."""

from uuid import UUID

from marketplace.models import License, Order
from marketplace.states import OrderStatus
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """The order as it was placed, and the licences it granted."""
    entries = []
    for order in Order.objects.filter(pk=correlation_id).select_related("buyer").prefetch_related("items__seller"):
        contents = "; ".join(f"{item.title} ({item.license}, sold by {item.seller.name})" for item in order.items.all())
        total, tax = format_amount(order.total_minor, order.currency), format_amount(order.tax_minor, order.currency)
        sentence = f"{order.buyer.email} ordered {contents} for {total}, incl. {tax} tax."
        entries.append(TimelineLine(order.created_at, sentence, "open"))
    for row in License.objects.filter(order=correlation_id).select_related("item"):
        sentence = f"A {row.item.license} licence of {row.item.title} was granted."
        entries.append(TimelineLine(row.created_at, sentence, "open"))
    return entries


def next_steps(correlation_id: UUID) -> list[str]:
    """What may still happen to the order."""
    order = Order.objects.filter(pk=correlation_id).first()
    if order is None or order.status != OrderStatus.COMPLETED or order.refund_deadline is None:
        return []
    return [f"The buyer may request a refund until {order.refund_deadline:%d %b %Y, %H:%M} UTC."]
