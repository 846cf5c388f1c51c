"""Giving up an order that nobody has paid, because a person decided so."""

from uuid import UUID

from marketplace.models import Order
from marketplace.states import OrderStatus
from payments.collection.payment_requests import cancel_payment
from payments.models import Payment
from payments.states import PAYMENT_OPEN
from veza.core.causes import Cause
from veza.core.errors import NotAllowed


class OrderNotCancellable(NotAllowed):
    code = "order_not_cancellable"


def cancel_order(*, order_id: UUID, cause: Cause) -> Order:
    """Close the payment page of an unpaid order and return the order as it then stands.

    It is cancelled when the provider says that nobody can pay it any more; one that is being paid goes on. Without an
    answer nothing changes. Raises OrderNotCancellable.
    """
    order = Order.objects.get(pk=order_id)
    if order.status != OrderStatus.PENDING:
        raise OrderNotCancellable(f"Only an unpaid order can be cancelled; this one is {order.status}.")
    for payment in Payment.objects.of(Payment.Purpose.ORDER, order_id).filter(status__in=PAYMENT_OPEN):
        cancel_payment(payment.pk, reason="requested_by_customer", cause=cause)
    order.refresh_from_db()
    return order
