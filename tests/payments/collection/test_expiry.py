"""An unpaid order is closed by the worker: Hyperswitch sends no webhook for an abandoned session."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from payments import tasks
from payments.collection import expiry
from payments.collection.expiry import close_pages_soon
from payments.models import Payment
from tests.buying import deliver_payment, order_of, paid, payment_of
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db


def end_session() -> None:
    Payment.objects.filter(close_due_at__isnull=False).update(close_due_at=timezone.now() - timedelta(seconds=1))


def standing(order) -> tuple[str, str]:
    order.refresh_from_db()
    return order.status, payment_of(order).status


def remote_status(sandbox, order) -> str:
    return sandbox.hyperswitch("GET", f"/payments/{payment_of(order).provider_key}").json()["status"]


def test_a_page_lives_for_its_session_and_five_minutes(pending_order, settings):
    remaining = payment_of(pending_order).close_due_at - timezone.now()

    assert settings.ORDER_SESSION + timedelta(minutes=4) < remaining <= settings.ORDER_SESSION + timedelta(minutes=5)


def test_an_unpaid_order_expires_and_is_cancelled_at_the_provider(sandbox, pending_order):
    end_session()

    tasks.close_unpaid()

    assert standing(pending_order) == ("expired", "cancelled")
    assert remote_status(sandbox, pending_order) == "cancelled"


def test_the_webhook_of_our_cancellation_may_be_faster_than_its_answer(sandbox, pending_order):
    end_session()
    sandbox.fault("drop", "/cancel$", method="POST", when="after")
    tasks.close_unpaid()
    assert standing(pending_order) == ("pending", "pending")

    deliver_payment(payment_of(pending_order), status="cancelled", amount_received=None)

    assert standing(pending_order) == ("expired", "cancelled")


def test_a_page_that_the_provider_never_made_has_expired(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    order = order_of(OfferFactory())
    end_session()

    tasks.close_unpaid()

    assert standing(order) == ("expired", "cancelled")


def test_a_processing_payment_never_expires(sandbox, pending_order):
    sandbox.control(f"payments/{payment_of(pending_order).provider_key}", status="processing", silent=True)
    end_session()

    tasks.close_unpaid()

    assert standing(pending_order) == ("pending", "processing")
    assert payment_of(pending_order).close_due_at is None


def test_a_buyer_who_paid_in_the_last_second_gets_the_order(sandbox, pending_order):
    sandbox.pay(payment_of(pending_order).provider_key)
    end_session()

    tasks.close_unpaid()

    assert standing(pending_order) == ("completed", "succeeded")


@pytest.fixture
def declined_order(sandbox, pending_order):
    """An order whose buyer was declined, with the webhook about it applied."""
    sandbox.pay(payment_of(pending_order).provider_key, "decline")
    deliver_payment(payment_of(pending_order), status="failed", amount_received=None)
    assert standing(pending_order) == ("failed", "failed")
    return pending_order


def test_a_declined_buyer_who_paid_the_same_page_gets_the_order(sandbox, declined_order):
    sandbox.pay(payment_of(declined_order).provider_key)
    end_session()

    tasks.close_unpaid()

    assert standing(declined_order) == ("completed", "succeeded")
    assert payment_of(declined_order).close_due_at is None


def test_a_declined_payment_is_refreshed_once_after_its_session(sandbox, declined_order):
    end_session()

    tasks.close_unpaid()

    assert standing(declined_order) == ("failed", "failed")
    assert payment_of(declined_order).close_due_at is None


def test_a_declined_payment_with_a_closed_page_is_not_closed_again(sandbox, declined_order):
    sandbox.control(
        f"payments/{payment_of(declined_order).provider_key}", status="requires_customer_action", silent=True
    )
    end_session()

    tasks.close_unpaid()

    assert standing(declined_order) == ("failed", "failed")
    assert payment_of(declined_order).close_due_at is None
    assert remote_status(sandbox, declined_order) == "cancelled"


@pytest.mark.parametrize("path", ["/cancel$", "/payments/[^/]+$"])
def test_an_unanswered_declined_payment_is_refreshed_again(sandbox, declined_order, path):
    sandbox.fault("status", path, when="before", status=503, times=2)
    end_session()

    tasks.close_unpaid()

    assert payment_of(declined_order).close_due_at > timezone.now()


def test_a_declined_payment_without_a_page_is_never_closed(sandbox):
    refusal = {"error": {"type": "invalid_request", "code": "IR_39", "message": "No eligible connector"}}
    sandbox.fault("status", "^/payments$", method="POST", when="before", status=400, body=refusal)
    order = order_of(OfferFactory())
    end_session()

    tasks.close_unpaid()

    assert payment_of(order).close_due_at is None
    assert not [call for call in sandbox.calls() if call["path"].endswith("/cancel")]


def test_a_processing_payment_is_refreshed_after_its_session(sandbox, pending_order):
    deliver_payment(payment_of(pending_order), status="processing", amount_received=None)
    sandbox.pay(payment_of(pending_order).provider_key, "decline")
    deliver_payment(payment_of(pending_order), status="failed", amount_received=None)
    sandbox.pay(payment_of(pending_order).provider_key)
    end_session()

    tasks.close_unpaid()

    assert standing(pending_order) == ("completed", "succeeded")


def test_without_an_answer_the_order_stays_and_is_retried_later(sandbox, pending_order, caplog):
    caplog.set_level("INFO")
    end_session()
    sandbox.fault("status", "/cancel$", method="POST", when="before", status=503)

    tasks.close_unpaid()

    assert standing(pending_order) == ("pending", "pending")
    assert payment_of(pending_order).close_due_at > timezone.now()
    assert "unpaid_closed" not in caplog.text


def test_a_paid_order_is_never_closed(pending_order):
    paid(pending_order)

    assert payment_of(pending_order).close_due_at is None


def test_money_for_an_expired_order_completes_it(pending_order):
    end_session()
    tasks.close_unpaid()

    assert paid(pending_order).status == "completed"


def test_a_cancellation_at_the_provider_cancels_the_order(pending_order):
    deliver_payment(payment_of(pending_order), status="cancelled", amount_received=None)

    assert standing(pending_order) == ("cancelled", "cancelled")


def test_a_success_without_an_amount_keeps_its_page_due(sandbox, pending_order):
    sandbox.pay(payment_of(pending_order).provider_key)
    sandbox.control(f"payments/{payment_of(pending_order).provider_key}", amount_received=None, silent=True)
    end_session()

    tasks.close_unpaid()

    payment = payment_of(pending_order)
    assert (payment.status, payment.close_due_at is None) == ("pending", False)


def test_closing_again_keeps_the_time_of_the_first_attempt(sandbox, pending_order):
    sandbox.fault("drop", "/cancel$", method="POST", when="before", times=2)
    end_session()
    tasks.close_unpaid()
    first = payment_of(pending_order).closing_started_at

    end_session()
    tasks.close_unpaid()

    assert payment_of(pending_order).closing_started_at == first


@pytest.mark.parametrize(("status", "off_session"), [("pending", False), ("failed", False), ("pending", True)])
def test_every_page_of_a_paid_purchase_is_closed_and_no_charge(pending_order, status, off_session):
    payment = payment_of(pending_order)
    if status == "failed":
        deliver_payment(payment, status="failed", amount_received=None)
    if off_session:
        Payment.objects.update(off_session=True, close_due_at=None)

    close_pages_soon(payment.purpose, payment.purpose_id)

    assert expiry.to_close().filter(close_due_at__lte=Now()).exists() is not off_session
