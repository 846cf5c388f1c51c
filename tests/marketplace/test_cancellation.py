"""A buyer cancels an unpaid order: its page is closed, however long the provider takes to say so."""

import pytest

from marketplace.models import Order
from payments import tasks
from payments.models import Payment
from tests.buying import deliver_payment, order_of, paid, payment_of
from tests.factories import OfferFactory, PersonFactory
from tests.marketplace.conftest import client_of
from tests.marketplace.unpaid import declined_order, pay_again, payments_of, status_of

pytestmark = pytest.mark.django_db


def cancel(order: Order, *, buyer=None):
    return client_of(buyer or order.buyer).post(f"/api/v1/marketplace/orders/{order.pk}/cancel")


def remote_status(sandbox, payment: Payment) -> str:
    return sandbox.hyperswitch("GET", f"/payments/{payment.provider_key}").json()["status"]


def test_an_unpaid_order_is_cancelled_at_the_provider(sandbox):
    order = order_of(OfferFactory())

    answer = cancel(order)

    assert (answer.status_code, answer.json()["status"], answer.json()["payment_url"]) == (200, "cancelled", None)
    assert remote_status(sandbox, payment_of(order)) == "cancelled"


def test_a_second_cancellation_answers_the_same(sandbox):
    order = order_of(OfferFactory())

    assert [cancel(order).status_code for _ in range(2)] == [200, 200]


def test_without_an_answer_the_worker_goes_on(sandbox):
    order = order_of(OfferFactory())
    sandbox.fault("drop", "/cancel$", method="POST", when="before")

    answer = cancel(order)
    Payment.objects.update(close_due_at=order.created_at)
    tasks.close_unpaid()

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert status_of(order) == "cancelled"


def test_an_order_that_is_being_cancelled_cannot_be_paid_again(sandbox):
    order = order_of(OfferFactory())
    sandbox.fault("drop", "/cancel$", method="POST", when="before")
    cancel(order)

    answer = client_of(order.buyer).post(f"/api/v1/marketplace/orders/{order.pk}/pay")

    assert answer.json()["code"] == "order_not_payable"


def test_a_decline_during_the_cancellation_leaves_it_cancelled(sandbox):
    order = order_of(OfferFactory())
    sandbox.fault("drop", "/cancel$", method="POST", when="before")
    cancel(order)

    deliver_payment(payment_of(order), status="failed", amount_received=None)

    assert status_of(order) == "cancelled"


def test_money_that_was_faster_completes_the_order(sandbox):
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)

    cancel(order)

    assert status_of(order) == "completed"


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_an_order_that_is_paid_or_over_cannot_be_cancelled(sandbox, status):
    order = paid(order_of(OfferFactory())) if status == "completed" else declined_order(sandbox)

    answer = cancel(order)

    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_cancellable")
    assert status_of(order) == status


def test_a_payment_in_progress_is_not_cancelled(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), status="processing", amount_received=None)

    answer = cancel(order)

    assert (answer.status_code, answer.json()["code"]) == (409, "payment_under_way")


def test_an_order_of_another_buyer_is_not_found(sandbox):
    order = order_of(OfferFactory())

    assert cancel(order, buyer=PersonFactory()).status_code == 404
    assert status_of(order) == "pending"


def test_an_order_that_is_paid_again_can_be_cancelled(sandbox):
    order = declined_order(sandbox)
    pay_again(order)

    assert cancel(order).json()["status"] == "cancelled"
    assert remote_status(sandbox, payments_of(order)[-1]) == "cancelled"
