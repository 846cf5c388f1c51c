"""An order that nobody pays ends by our clock: an abandoned session sends no webhook."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments import tasks
from payments.models import Payment
from tests.buying import deliver_payment, order_of, paid, payment_of
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(sandbox):
    return order_of(OfferFactory())


def session_over() -> None:
    Payment.objects.filter(close_due_at__isnull=False).update(close_due_at=timezone.now() - timedelta(seconds=1))


def standing(order) -> tuple[str, str]:
    order.refresh_from_db()
    return order.status, payment_of(order).status


def test_a_page_lives_for_its_session_and_five_minutes(order, settings):
    left = payment_of(order).close_due_at - timezone.now()

    assert settings.ORDER_SESSION + timedelta(minutes=4) < left <= settings.ORDER_SESSION + timedelta(minutes=5)


def test_an_unpaid_order_expires_and_is_cancelled_at_the_provider(sandbox, order):
    session_over()

    tasks.close_unpaid()

    assert standing(order) == ("expired", "cancelled")
    assert sandbox.hyperswitch("GET", f"/payments/{payment_of(order).provider_key}").json()["status"] == "cancelled"


def test_the_webhook_of_our_cancel_may_be_faster_than_its_answer(sandbox, order):
    session_over()
    sandbox.fault("drop", "/cancel$", method="POST", when="after")
    tasks.close_unpaid()
    assert standing(order) == ("pending", "pending")

    deliver_payment(payment_of(order), status="cancelled", amount_received=None)

    assert standing(order) == ("expired", "cancelled")


def test_a_page_that_the_provider_never_made_has_expired(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    order = order_of(OfferFactory())
    session_over()

    tasks.close_unpaid()

    assert standing(order) == ("expired", "cancelled")


def test_a_payment_under_way_never_expires(sandbox, order):
    sandbox.control(f"payments/{payment_of(order).provider_key}", status="processing", silent=True)
    session_over()

    tasks.close_unpaid()

    assert standing(order) == ("pending", "processing")
    assert payment_of(order).close_due_at is None


def test_a_buyer_who_paid_in_the_last_second_gets_the_order(sandbox, order):
    sandbox.pay(payment_of(order).provider_key)
    session_over()

    tasks.close_unpaid()

    assert standing(order) == ("completed", "succeeded")


@pytest.fixture
def declined(sandbox, order):
    """An order whose buyer was declined, as we were told."""
    sandbox.pay(payment_of(order).provider_key, "decline")
    deliver_payment(payment_of(order), status="failed", amount_received=None)
    assert standing(order) == ("failed", "failed")
    return order


def test_a_declined_buyer_who_paid_on_the_same_page_gets_the_order_though_nobody_told_us(sandbox, declined):
    sandbox.pay(payment_of(declined).provider_key)
    session_over()

    tasks.close_unpaid()

    assert standing(declined) == ("completed", "succeeded")
    assert payment_of(declined).close_due_at is None


def test_a_declined_payment_that_nobody_paid_again_is_asked_about_once_when_its_page_is_over(sandbox, declined):
    session_over()

    tasks.close_unpaid()

    assert standing(declined) == ("failed", "failed")
    assert payment_of(declined).close_due_at is None


def test_a_declined_payment_whose_page_is_closed_at_the_provider_has_no_end_any_more(sandbox, declined):
    sandbox.control(f"payments/{payment_of(declined).provider_key}", status="requires_customer_action", silent=True)
    session_over()

    tasks.close_unpaid()

    assert standing(declined) == ("failed", "failed")
    assert payment_of(declined).close_due_at is None
    assert sandbox.hyperswitch("GET", f"/payments/{payment_of(declined).provider_key}").json()["status"] == "cancelled"


@pytest.mark.parametrize("path", ["/cancel$", "/payments/[^/]+$"])
def test_without_an_answer_a_declined_payment_is_asked_about_again(sandbox, declined, path):
    sandbox.fault("status", path, when="before", status=503, times=2)
    session_over()

    tasks.close_unpaid()

    assert payment_of(declined).close_due_at > timezone.now()


def test_a_declined_payment_that_has_no_page_has_no_end(sandbox):
    refusal = {"error": {"type": "invalid_request", "code": "IR_39", "message": "No eligible connector"}}
    sandbox.fault("status", "^/payments$", method="POST", when="before", status=400, body=refusal)
    order = order_of(OfferFactory())
    session_over()

    tasks.close_unpaid()

    assert payment_of(order).close_due_at is None
    assert not [call for call in sandbox.calls() if call["path"].endswith("/cancel")]


def test_a_page_under_way_is_still_asked_about_when_its_session_is_over(sandbox, order):
    deliver_payment(payment_of(order), status="processing", amount_received=None)
    sandbox.pay(payment_of(order).provider_key, "decline")
    deliver_payment(payment_of(order), status="failed", amount_received=None)
    sandbox.pay(payment_of(order).provider_key)
    session_over()

    tasks.close_unpaid()

    assert standing(order) == ("completed", "succeeded")


def test_without_an_answer_the_order_stays_and_is_tried_again_later(sandbox, order, caplog):
    caplog.set_level("INFO")
    session_over()
    sandbox.fault("status", "/cancel$", method="POST", when="before", status=503)

    tasks.close_unpaid()

    assert standing(order) == ("pending", "pending")
    assert payment_of(order).close_due_at > timezone.now()
    assert "unpaid_closed" not in caplog.text


def test_a_paid_order_has_no_end(order):
    paid(order)

    assert payment_of(order).close_due_at is None


def test_money_that_comes_for_an_expired_order_completes_it(order):
    session_over()
    tasks.close_unpaid()

    assert paid(order).status == "completed"


def test_a_cancel_that_was_not_ours_cancels_the_order(order):
    deliver_payment(payment_of(order), status="cancelled", amount_received=None)

    assert standing(order) == ("cancelled", "cancelled")
