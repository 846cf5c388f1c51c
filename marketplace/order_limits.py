"""What a buyer may order at most, and at least. Asked whenever a payment of an order is opened."""

from uuid import UUID

from django.conf import settings

from marketplace.models import Order
from marketplace.offers import OrderNotPossible
from marketplace.states import OrderStatus
from veza.core.errors import NotAllowed
from veza.core.money import format_amount


class TooManyOpenOrders(NotAllowed):
    code = "too_many_open_orders"
    http_status = 409


class OrderTotalTooLow(OrderNotPossible):
    code = "order_total_too_low"


def refuse_beyond_limits(buyer_id: UUID, total_minor: int, currency: str) -> None:
    """Refuse to open a payment of `total_minor` for a locked buyer. Raises OrderTotalTooLow, TooManyOpenOrders."""
    least_minor = settings.ORDER_MIN_TOTAL.get(currency, 0)
    if total_minor < least_minor:
        total, least = format_amount(total_minor, currency), format_amount(least_minor, currency)
        raise OrderTotalTooLow(f"The total is {total}; the smallest that can be paid is {least}. Add an item.")
    limit = settings.OPEN_ORDERS_PER_BUYER
    if not limit:
        return
    unpaid = Order.objects.filter(buyer=buyer_id, status=OrderStatus.PENDING).order_by("created_at")
    open_ids = [str(key) for key in unpaid.values_list("pk", flat=True)[:limit]]
    if len(open_ids) >= limit:
        error = TooManyOpenOrders(
            f"You have {limit} unpaid orders. Pay or cancel one, or wait until they expire: {', '.join(open_ids)}."
        )
        error.members = {"open_orders": open_ids}
        raise error
