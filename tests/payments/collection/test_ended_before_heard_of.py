"""What was refunded or disputed of a payment that had lost its money before we heard that it was captured."""

import pytest
from django.utils import timezone

from payments.ledger.postings import balances
from payments.models import Dispute, Refund, WebhookDelivery
from payments.reconciliation.refresh import refresh_payment
from tests.buying import ago, deliver, deliver_dispute, deliver_payment, envelope, order_of, payment_of
from tests.factories import OfferFactory
from tests.payments.builders import BY_STAFF, handle_waiting_deliveries, open_kinds
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(sandbox):
    """12.00 with tax, voided at Hyperswitch; the report of the capture comes never, or too late."""
    order = order_of(OfferFactory())
    sandbox.control(f"payments/{payment_of(order).provider_key}", status="cancelled_post_capture")
    deliver_payment(payment_of(order), status="cancelled_post_capture")
    return order


def refund_5_there(order) -> str:
    """The result of a dashboard refund's webhook."""
    payload = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "amount": 5_00}
    payload |= {"currency": "EUR", "status": "succeeded", "updated_at": ago()}
    return deliver(envelope("refund_succeeded", payload)).json()["result"]


def replay() -> None:
    WebhookDelivery.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
    handle_waiting_deliveries()


def read_and_replay(order) -> None:
    refresh_payment(payment_of(order).pk, cause=BY_STAFF)
    replay()


def test_a_refund_of_it_waits_until_the_payment_is_read(order):
    assert refund_5_there(order) == "skipped: waiting"

    assert payment_of(order).next_attempt_at is not None
    replay()
    assert not Refund.objects.exists()


def test_a_refund_of_it_is_ours_to_recover(order):
    refund_5_there(order)
    read_and_replay(order)

    assert balances() == {("psp_clearing", "EUR"): 5_00, ("recoverable", "EUR"): -5_00}
    assert "refund_exceeds_payment" in open_kinds()
    assert prove_payment(payment_of(order)).is_balanced


def test_a_lost_dispute_of_it_is_ours_to_recover(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=12_00)
    read_and_replay(order)

    assert Dispute.objects.get().funds_location == "bank"
    assert balances()["recoverable", "EUR"] == -12_00
    assert "dispute_exceeds_payment" in open_kinds()
    assert prove_payment(payment_of(order)).is_balanced


def test_money_that_comes_after_all_covers_the_refund(order):
    refund_5_there(order)
    read_and_replay(order)

    deliver_payment(payment_of(order))

    assert (payment_of(order).status, balances()["unapplied", "EUR"]) == ("mismatched", 7_00)
    assert balances()["recoverable", "EUR"] == 0
    assert prove_payment(payment_of(order)).is_balanced


def test_a_refund_that_comes_before_a_second_attempts_success_waits_for_it(sandbox, order):
    refund_5_there(order)
    sandbox.control(f"payments/{payment_of(order).provider_key}", status="succeeded", amount_received=12_00)

    read_and_replay(order)

    order.refresh_from_db()
    assert (order.status, payment_of(order).refunded_minor, open_kinds()) == ("completed", 5_00, {"external_refund"})
