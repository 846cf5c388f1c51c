"""A time of Hyperswitch in the future, by a clock that is wrong or a sender that lies, hides nothing that follows."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments.hyperswitch.objects import parse_payment
from payments.inbox.replay import replay
from payments.models import WebhookDelivery
from payments.reconciliation import refresh
from tests.buying import ago, deliver_payment, deliver_refund, payment_object, payment_of, refund_of
from tests.payments.builders import RECONCILE

pytestmark = pytest.mark.django_db
FUTURE = "2099-12-31T23:59:59Z"


@pytest.mark.parametrize("hours_ahead", [1, 1_000_000])
def test_a_success_after_a_failure_from_the_future_is_applied(captured_order, hours_ahead):
    payment = payment_of(captured_order)
    deliver_payment(payment, status="failed", amount_received=None, updated=ago(hours=-hours_ahead))

    assert deliver_payment(payment).json()["result"] == "ok"

    assert payment_of(captured_order).status == "succeeded"


def test_a_read_from_the_future_hides_no_webhook(sandbox, pending_order):
    payment = payment_of(pending_order)
    body = payment_object(payment, status="failed", amount_received=None, updated=FUTURE)
    sandbox.fault("status", "^/payments/", status=200, body=body)
    refresh.refresh_payment(payment.pk, cause=RECONCILE)

    deliver_payment(payment)

    assert payment_of(pending_order).status == "succeeded"


def test_a_refund_that_returns_after_a_success_from_the_future_is_booked(order):
    refund = refund_of(order)
    deliver_refund(refund, updated_at=FUTURE)

    deliver_refund(refund, status="failed")

    refund.refresh_from_db()
    assert refund.status == "bounced"


def test_a_replay_is_as_old_as_its_first_delivery(captured_order):
    payment = payment_of(captured_order)
    deliver_payment(payment, status="failed", amount_received=None, updated=FUTURE)
    first = WebhookDelivery.objects.get()
    deliver_payment(payment)

    replay(first.pk)

    assert payment_of(captured_order).status == "succeeded"
    assert (payment_of(captured_order).contradicted_at, WebhookDelivery.objects.get(pk=first.pk).attempts) == (None, 1)


def test_a_clock_a_little_ahead_is_believed():
    at = timezone.now()
    payload = {"payment_id": "pay_1", "status": "failed", "amount": 1, "currency": "EUR"}

    seen = [
        parse_payment({**payload, "updated": (at + ahead).isoformat()}, heard_at=at).updated_at - at
        for ahead in (timedelta(minutes=5), timedelta(minutes=5, seconds=1))
    ]

    assert seen == [timedelta(minutes=5), timedelta(0)]
