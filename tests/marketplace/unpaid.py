"""Orders that ended unpaid, and their way back."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from marketplace.models import LicenseOffer, Order
from marketplace.order_payments import RequestedOrder, request_payment
from payments import tasks
from payments.models import Payment
from tests.buying import BY_BUYER, deliver_payment, order_of
from tests.factories import OfferFactory
from tests.sandbox.process import Sandbox
from veza.core.ids import new_id


def payments_of(order: Order) -> list[Payment]:
    """All payments of an order, the oldest first."""
    return list(Payment.objects.of("order", order.pk))


def status_of(order: Order) -> str:
    return Order.objects.get(pk=order.pk).status


def decline(sandbox: Sandbox, order: Order, *, error_code: str = "card_declined") -> Order:
    """The buyer's last payment is declined, and its webhook arrives."""
    payment = payments_of(order)[-1]
    sandbox.pay(payment.provider_key, "decline")
    deliver_payment(payment, status="failed", error_code=error_code, amount_received=None)
    order.refresh_from_db()
    return order


def declined_order(sandbox: Sandbox, *offers: LicenseOffer, **fields: Any) -> Order:
    return decline(sandbox, order_of(*(offers or [OfferFactory(**fields)])))


def expired_order(*offers: LicenseOffer) -> Order:
    """An order whose page the worker has closed after its session."""
    order = order_of(*(offers or [OfferFactory()]))
    end_session(order)
    tasks.close_unpaid()
    order.refresh_from_db()
    return order


def end_session(order: Order) -> None:
    """The session of the order's last page ended a minute ago."""
    ago = timezone.now() - timedelta(days=1)
    last = payments_of(order)[-1].pk
    Payment.objects.filter(pk=last).update(first_sent_at=ago, close_due_at=ago)


def pay_again(order: Order) -> RequestedOrder:
    """The buyer asks for the way back."""
    return request_payment(order_id=order.pk, payment_id=new_id(), cause=BY_BUYER)
