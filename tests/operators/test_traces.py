"""A worker's log lines carry the request they go back to."""

import json
from datetime import timedelta

import pytest
import structlog
from django.db.models.functions import Now

from connect.models import ConnectedAccount
from connect.tasks import send_transfers
from payments.models import Payment
from tests.buying import deliver, envelope, order_of, payment_object, payment_of
from tests.factories import OfferFactory
from veza.core.sweeps import Queue, tick

pytestmark = pytest.mark.django_db
log = structlog.get_logger("tests.traces")
QUEUE = Queue(Payment.objects.all(), due="next_attempt_at", lease=timedelta(minutes=2))


def due_now() -> None:
    Payment.objects.update(next_attempt_at=Now())


def lines_of(caplog):
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


def test_a_sweeps_log_names_the_request_that_last_moved_the_row(sandbox, caplog):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    deliver(envelope("payment_succeeded", payment_object(payment)), **{"x-request-id": "webhook-7"})
    structlog.contextvars.clear_contextvars()
    due_now()

    tick("tests.sweep", QUEUE, lambda row: log.warning("looked"))

    (line,) = [line for line in lines_of(caplog) if line["event"] == "looked"]
    assert (line["request_id"], line["sweep"], line["row"]) == ("webhook-7", "tests.sweep", str(payment.pk))
    assert line["correlation_id"] == str(order.pk)


def test_a_row_that_raises_is_logged_and_the_next_starts_afresh(sandbox, caplog):
    rows = [payment_of(order_of(OfferFactory())) for _ in range(2)]
    due_now()

    def fail(_row: Payment) -> None:
        raise RuntimeError("not today")

    tick("tests.sweep", QUEUE, fail)

    failure = [line for line in lines_of(caplog) if line["event"] == "sweep_row_failed"]
    assert [line["correlation_id"] for line in failure] == [str(row.correlation_id) for row in rows]
    assert "row" not in structlog.contextvars.get_contextvars()


def test_a_failed_transfer_is_logged_under_the_request_that_planned_it(sandbox, caplog, settings):
    settings.TRANSFER_RETRY_MAX_RETRIES = 0
    offer = OfferFactory()
    account = sandbox.create_account()
    ConnectedAccount.objects.create(seller=offer.product.seller, stripe_account_id=account, transfers_active=True)
    body = json.dumps({"error": {"type": "invalid_request_error", "message": "No."}})
    sandbox.fault("status", "^/v1/transfers$", method="POST", status=400, body=body, times=0)
    payment = payment_of(order_of(offer))
    deliver(envelope("payment_succeeded", payment_object(payment)), **{"x-request-id": "webhook-8"})

    send_transfers()

    given_up = [line for line in lines_of(caplog) if line["event"] == "transfer_given_up"]
    assert [line["request_id"] for line in given_up] == ["webhook-8"]
