"""The payment of an unpaid order: its page, another payment after one that failed or expired, or no payment at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from marketplace.cart_lines import take_out_of_cart
from marketplace.models import License, Order, OrderItem
from marketplace.offers import read_offers, refusals_of
from marketplace.order_limits import refuse_beyond_limits
from marketplace.states import HELD_STATUSES, PAYABLE_AGAIN, OrderStatus
from payments.collection.expiry import close_pages_soon, close_unpaid
from payments.collection.payment_requests import (
    PaymentUnderWay,
    cancel_payment,
    check_payment,
    client_secret_of,
    may_send_now,
    open_payment,
    send_now,
    send_opened,
)
from payments.models import Payment
from payments.retry_policy import CLOSE_AGAIN_AFTER
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.states import move


class OrderNotPayable(NotAllowed):
    code = "order_not_payable"
    http_status = 409


class OrderNotCancellable(NotAllowed):
    code = "order_not_cancellable"
    http_status = 409


@dataclass(frozen=True)
class RequestedOrder:
    """The order, the client secret for paying it, if Hyperswitch has answered, and whether a payment was opened."""

    order: Order
    client_secret: str = ""
    payment: Payment | None = None
    is_new_payment: bool = True

    @property
    def payment_url(self) -> str:
        """Where to pay; empty when there is nothing to pay, or while Hyperswitch has not answered yet."""
        is_payable = self.payment is not None and self.payment.status == PaymentStatus.PENDING
        return self.payment.payment_url if self.payment is not None and is_payable else ""


def open_order_payment(
    order: Order, items: Sequence[OrderItem], *, payment_id: UUID, is_sent_now: bool, is_first: bool
) -> Payment:
    """Open a payment of the order's total, in the caller's transaction; parameters as of `open_payment`."""
    payment = open_payment(
        payment_id=payment_id,
        purpose=Payment.Purpose.ORDER,
        purpose_id=order.pk,
        correlation_id=order.pk,
        payer_id=order.buyer_id,
        amount_minor=order.total_minor,
        currency=order.currency,
        description=", ".join(item.title for item in items)[:200],
        return_url=f"{settings.PUBLIC_BASE_URL}/paid",
        is_sent_now=is_sent_now,
        is_first=is_first,
    )
    assert payment.currency == order.currency, "an order and its payment have one currency"
    assert payment.amount_minor == order.total_minor > 0, "the payment of an order is of its total"
    return payment


def request_payment(*, order_id: UUID, payment_id: UUID, cause: Cause) -> RequestedOrder:
    """Get the page on which an unpaid order can be paid: the open one, or that of a new payment.

    A new payment is opened for an order that failed or expired, under `payment_id` and at the order's own price, while
    every item is still for sale. Requesting again with the same id returns that payment. When Hyperswitch does not
    answer, there is no client secret. Raises OrderNotPayable, PaymentUnderWay.
    """
    is_sent_now = may_send_now()
    if is_sent_now:
        _refresh_last_payment(order_id, cause=cause, at=timezone.now())
    order, payment, is_new = open_next_payment(
        order_id=order_id, payment_id=payment_id, is_sent_now=is_sent_now, cause=cause, at=timezone.now()
    )
    secret = ""
    if is_new and is_sent_now:
        secret = send_opened(payment, cause=cause)
    elif payment.status == PaymentStatus.CREATED:
        secret = send_now(payment.pk, cause=cause)
    elif payment.status == PaymentStatus.PENDING and is_sent_now:
        secret = client_secret_of(payment)
    order.refresh_from_db()
    payment.refresh_from_db()
    return RequestedOrder(order, secret, payment, is_new_payment=payment.pk == payment_id)


def _refresh_last_payment(order_id: UUID, *, cause: Cause, at: datetime) -> None:
    """Close the last payment's page if its session has ended; read a failed payment again from Hyperswitch."""
    payments = list(Payment.objects.of(Payment.Purpose.ORDER, order_id))
    if not payments:
        return
    payment = _open_one(payments) or payments[-1]
    if payment.status in PAYMENT_OPEN and not payment.is_page_open(at=at):
        close_unpaid(payment.pk, cause=cause)
    elif payment.status == PaymentStatus.FAILED and payment.hyperswitch_payment_id:
        check_payment(payment.pk, cause=cause)  # The buyer may have paid on the same page since.


@writes.atomic()
def open_next_payment(
    *, order_id: UUID, payment_id: UUID, is_sent_now: bool, cause: Cause, at: datetime
) -> tuple[Order, Payment, bool]:
    """Commit the payment to pay an order with: the open one, or a new one. Returns whether it was opened now.

    With a new one the order is pending again, and its lines leave the buyer's cart. Raises OrderNotPayable,
    PaymentUnderWay.
    """
    list(Payment.objects.of(Payment.Purpose.ORDER, order_id).locked())
    order = Order.objects.locked().get(pk=order_id)
    payments = list(Payment.objects.of(Payment.Purpose.ORDER, order_id))  # Another request may have opened one.
    if earlier := next((payment for payment in payments if payment.pk == payment_id), None):
        return order, earlier, False
    _refuse_unless_payable(order, payments, at=at)
    if (waiting := _open_one(payments)) is not None:
        return order, waiting, False
    items = list(order.items.order_by("pk"))
    lock_open_account(order.buyer_id)
    _refuse_unless_for_sale(order, items)
    refuse_beyond_limits(order.buyer_id, order.total_minor, order.currency)
    close_pages_soon(Payment.Purpose.ORDER, order.pk)  # A declined buyer may still pay on the last page.
    payment = open_order_payment(order, items, payment_id=payment_id, is_sent_now=is_sent_now, is_first=False)
    move(order, OrderStatus.PENDING, cause=cause, at=at, reopened_at=at)
    take_out_of_cart(order.buyer_id, [item.offer_id for item in items])
    return order, payment, True


def _refuse_unless_payable(order: Order, payments: Sequence[Payment], *, at: datetime) -> None:
    if order.completed_at is not None:
        raise OrderNotPayable("This order is paid already.")
    if order.cancel_requested_at is not None or order.status == OrderStatus.CANCELLED:
        raise OrderNotPayable("This order was cancelled. If you still want these works, order them again.")
    if any(payment.status == PaymentStatus.MISMATCHED for payment in payments):
        raise PaymentUnderWay("The amount received for this order is being checked. We will write to you.")
    if any(payment.status == PaymentStatus.PROCESSING for payment in payments):
        raise PaymentUnderWay("A payment of this order is in progress. Try again in a minute.")
    last = _open_one(payments)
    if last is not None and not last.is_page_open(at=at):
        raise PaymentUnderWay("The last payment page of this order is being closed. Try again in a minute.")
    within = settings.PAY_AGAIN_WITHIN
    if order.status in PAYABLE_AGAIN and within and at - order.created_at > within:
        raise OrderNotPayable("This order is too old to be paid at its price. Order the works again.")


def _open_one(payments: Sequence[Payment]) -> Payment | None:
    """The payment that waits for the buyer: an order has at most one."""
    return next((payment for payment in payments if payment.status in PAYMENT_OPEN), None)


def _refuse_unless_for_sale(order: Order, items: Sequence[OrderItem]) -> None:
    offer_ids = [item.offer_id for item in items]
    refusals = refusals_of(read_offers(Q(pk__in=offer_ids)), buyer_id=order.buyer_id)
    if refusals:
        raise OrderNotPayable(f"{' '.join(refusal.text for refusal in refusals.values())} Order the others again.")
    licenses = License.objects.filter(holder=order.buyer_id, offer__in=offer_ids, status__in=HELD_STATUSES)
    if (title := licenses.values_list("item__title", flat=True).first()) is not None:
        raise OrderNotPayable(f"You have bought {title!r} with another order since.")


def cancel_order(*, order_id: UUID, cause: Cause) -> Order:
    """Close the payment page of an unpaid order and return the order with its new status.

    It is cancelled once Hyperswitch confirms that the page is closed; without an answer it is pending, and a worker
    tries again. One that is cancelled already is returned. Raises OrderNotCancellable, PaymentUnderWay.
    """
    for payment_id in request_cancellation(order_id=order_id, at=timezone.now()):
        cancel_payment(payment_id, reason="requested_by_customer", cause=cause)
    return Order.objects.get(pk=order_id)


@writes.atomic()
def request_cancellation(*, order_id: UUID, at: datetime) -> list[UUID]:
    """Commit that an order is being cancelled, and return the payments whose page is to be closed."""
    payments = list(Payment.objects.of(Payment.Purpose.ORDER, order_id).locked())
    order = Order.objects.locked().get(pk=order_id)
    if order.status == OrderStatus.CANCELLED:
        return []
    if order.status != OrderStatus.PENDING:
        raise OrderNotCancellable(f"Only an unpaid order can be cancelled; this one is {order.status}.")
    open_payments = Payment.objects.of(Payment.Purpose.ORDER, order_id).filter(status__in=PAYMENT_OPEN)
    if not open_payments.exists():
        raise PaymentUnderWay("A payment of this order is in progress. Try again in a minute.")
    assert payments, "an order that is to be paid has a payment"
    writes.update(order, cancel_requested_at=order.cancel_requested_at or at)
    open_payments.update(close_due_at=at + CLOSE_AGAIN_AFTER)
    return list(open_payments.values_list("pk", flat=True))
