"""Paying, cancelling and what banks report at the same moment: an order has one open payment and is paid once.

Every test fails without the lock, or the order of locks, that it is about.
"""

import pytest
from django.db import transaction
from django.utils import timezone

from marketplace.cart import check_out
from marketplace.models import CartItem, Order
from marketplace.offers import OrderNotPossible
from marketplace.order_payments import OrderNotPayable, cancel_order, open_next_payment, request_cancellation
from payments import tasks
from payments.collection.expiry import close_pages_soon
from payments.collection.payment_requests import PaymentUnderWay, send_opened, send_payment
from payments.models import Payment, Refund
from tests.buying import BY_BUYER, ago, deliver_payment, fill_cart, order_of, paid, payment_of
from tests.crowd import Rival, before_commit
from tests.factories import OfferFactory, PersonFactory
from tests.marketplace.unpaid import declined_order, pay_again, payments_of, status_of
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db(transaction=True)


def open_next(order: Order) -> tuple[Order, Payment, bool]:
    """The commit of a request to pay, before anything is sent."""
    return open_next_payment(
        order_id=order.pk, payment_id=new_id(), is_sent_now=True, cause=BY_BUYER, at=timezone.now()
    )


def test_two_requests_to_pay_at_once_open_one_payment(sandbox):
    order = declined_order(sandbox)

    (_, opened, _), rival = before_commit(lambda: open_next(order), lambda: open_next(order))

    _, found, is_new = rival.result()
    assert (rival.waited, found, is_new, len(payments_of(order))) == (True, opened, False, 2)


def test_a_request_to_pay_waits_for_a_late_success(sandbox):
    order = declined_order(sandbox)

    _, rival = before_commit(lambda: deliver_payment(payment_of(order)), lambda: open_next(order))

    assert isinstance(rival.result(), OrderNotPayable)
    assert (status_of(order), len(payments_of(order))) == ("completed", 1)


def test_a_late_success_after_a_request_to_pay_closes_the_new_page(sandbox):
    order = declined_order(sandbox)
    declined = payment_of(order)

    (_, opened, _), rival = before_commit(lambda: open_next(order), lambda: deliver_payment(declined))

    assert (rival.waited, rival.result().json(), status_of(order)) == (True, {"result": "ok"}, "completed")
    assert Payment.objects.get(pk=opened.pk).close_due_at <= timezone.now()


def test_a_request_to_pay_waits_for_a_report_about_the_old_payment(sandbox):
    order = declined_order(sandbox)
    declined = payment_of(order)

    _, rival = before_commit(
        lambda: deliver_payment(declined, status="processing", amount_received=None), lambda: open_next(order)
    )

    assert rival.waited
    assert isinstance(rival.result(), PaymentUnderWay)


def test_closing_the_other_pages_waits_for_no_payment(sandbox):
    """A webhook of the other payment has locked it and waits for the order, which we have locked."""
    order = declined_order(sandbox)
    pay_again(order)
    rival = Rival(lambda: deliver_payment(payments_of(order)[1]))

    with transaction.atomic():
        Order.objects.locked().get(pk=order.pk)
        rival.begin()
        close_pages_soon("order", order.pk)

    assert (rival.waited, rival.result().json()) == (True, {"result": "ok"})


def locked_elsewhere(order: Order) -> Rival:
    """The payment of an exclusive licence that arrives while a rival's payment row is locked."""
    exclusive = OfferFactory(license="exclusive", product=order.items.get().offer.product)
    sold = order_of(exclusive)
    return Rival(lambda: deliver_payment(payment_of(sold)))


def test_a_locked_rival_of_an_exclusive_licence_keeps_its_due_time(sandbox):
    order = order_of(OfferFactory())
    due_at, rival = payment_of(order).close_due_at, locked_elsewhere(order)

    with transaction.atomic():
        Payment.objects.locked().get(pk=payment_of(order).pk)
        rival.begin()
        assert (rival.waited, rival.result().json()) == (False, {"result": "ok"})

    assert payment_of(order).close_due_at == due_at
    Payment.objects.filter(purpose_id=order.pk).update(close_due_at=ago(seconds=1))
    tasks.close_unpaid()
    assert status_of(order) == "expired"


def test_a_page_that_is_due_to_be_closed_is_not_made(sandbox):
    """A slow process, or the worker, sends the payment after the exclusive licence was sold."""
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    order = order_of(OfferFactory())
    exclusive = OfferFactory(license="exclusive", product=order.items.get().offer.product)
    paid(order_of(exclusive))

    assert send_payment(payment_of(order).pk, cause=BY_BUYER) is None
    tasks.close_unpaid()

    assert (status_of(order), payment_of(order).payment_url) == ("expired", "")


def test_two_successes_at_once_are_one_sale_and_one_return(sandbox):
    order = declined_order(sandbox, price_minor=10_00)
    pay_again(order)
    first, second = payments_of(order)

    _, rival = before_commit(lambda: deliver_payment(first), lambda: deliver_payment(second))

    assert (rival.waited, rival.result().json()) == (True, {"result": "ok"})
    assert (status_of(order), Refund.objects.get().payment, Refund.objects.get().amount_minor) == (
        "completed",
        second,
        12_00,
    )


def test_two_failures_at_once_leave_no_order_pending(sandbox):
    order = declined_order(sandbox)
    declined = payment_of(order)
    pay_again(order)
    deliver_payment(declined, status="processing", amount_received=None)
    first, second = payments_of(order)

    before_commit(
        lambda: deliver_payment(first, status="failed", amount_received=None),
        lambda: deliver_payment(second, status="failed", amount_received=None),
    )

    assert status_of(order) == "failed"


def test_a_request_to_pay_waits_for_a_cancellation(sandbox):
    order = order_of(OfferFactory())

    _, rival = before_commit(
        lambda: request_cancellation(order_id=order.pk, at=timezone.now()), lambda: open_next(order)
    )

    assert rival.waited
    assert isinstance(rival.result(), OrderNotPayable)


def test_a_cancellation_waits_for_a_request_to_pay(sandbox):
    order = declined_order(sandbox)

    (_, opened, _), rival = before_commit(
        lambda: open_next(order), lambda: request_cancellation(order_id=order.pk, at=timezone.now())
    )

    assert (rival.waited, rival.result()) == (True, [opened.pk])


def test_a_page_that_is_made_after_the_cancellation_is_closed(sandbox):
    """The request for the page was under way when the buyer cancelled: Hyperswitch did not know the payment yet."""
    order = declined_order(sandbox)
    _, payment, _ = open_next(order)

    cancel_order(order_id=order.pk, cause=BY_BUYER)
    send_opened(payment, cause=BY_BUYER)
    tasks.close_unpaid()

    assert status_of(order) == "cancelled"
    assert sandbox.hyperswitch("GET", f"/payments/{payment.provider_key}").json()["status"] == "cancelled"


def test_two_checkouts_of_one_cart_at_once_are_one_order(sandbox):
    buyer, offer = PersonFactory(), OfferFactory()
    fill_cart(buyer, offer)

    _, rival = before_commit(*[lambda: check_out(order_id=new_id(), owner=buyer, cause=BY_BUYER)] * 2)

    assert rival.waited
    assert isinstance(rival.result(), OrderNotPossible)
    assert (Order.objects.count(), CartItem.objects.count()) == (1, 0)
