"""An invoice's money goes back without a request to Veza: by a dispute, or by an external refund."""

import pytest
from django.db import transaction
from django.utils import timezone

from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch.objects import RemoteDispute, parse_dispute
from payments.models import Dispute, Payment
from tests.buying import deliver, deliver_refund, envelope
from tests.subscriptions.subscribing import (
    SWEEP,
    activate_by_webhook,
    is_proved,
    last_invoice,
    last_payment,
    refund_invoice,
)

pytestmark = pytest.mark.django_db


def deliver_dispute(payment: Payment, status: str, *, amount_minor: int | None = None):
    """A dispute of the whole payment, unless an amount is given."""
    payload = {
        "dispute_id": "dp_1",
        "payment_id": payment.provider_key,
        "amount": str(amount_minor or payment.amount_minor),
        "currency": payment.currency,
        "dispute_stage": "dispute",
        "dispute_status": f"dispute_{status}",
    }
    return deliver(envelope(f"dispute_{status}", payload))


def refund_at_dashboard(payment: Payment, amount_minor: int):
    """An external refund: Veza did not request it."""
    payload = {
        "refund_id": f"ref_dashboard_{amount_minor}",
        "payment_id": payment.provider_key,
        "status": "succeeded",
        "amount": amount_minor,
        "currency": payment.currency,
        "updated_at": "2099-01-01T00:00:00.000Z",
    }
    return deliver(envelope("refund_succeeded", payload))


def test_a_dispute_ends_the_access_when_it_is_lost(sandbox):
    subscription, statuses = activate_by_webhook(sandbox), []

    for status in ("opened", "lost"):
        deliver_dispute(last_payment(subscription), status)
        subscription.refresh_from_db()
        statuses.append((subscription.status, last_invoice(subscription).status))

    assert statuses == [("active", "paid"), ("expired", "refunded")]
    assert is_proved(subscription)


def test_a_dispute_that_is_won_changes_nothing(sandbox):
    subscription = activate_by_webhook(sandbox)

    for status in ("opened", "won"):
        deliver_dispute(last_payment(subscription), status)

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status, is_proved(subscription)) == ("active", "paid", True)


def test_a_partial_refund_and_a_lost_dispute_of_the_rest_end_the_access(sandbox):
    subscription = activate_by_webhook(sandbox)
    deliver_refund(refund_invoice(last_invoice(subscription), 5_00))

    deliver_dispute(last_payment(subscription), "lost", amount_minor=7_00)

    subscription.refresh_from_db()
    assert (subscription.status, is_proved(subscription)) == ("expired", True)


def test_a_dispute_won_after_a_loss_restores_the_access(sandbox):
    subscription = activate_by_webhook(sandbox)
    deliver_dispute(last_payment(subscription), "lost")
    dispute = last_payment(subscription).disputes.get()

    with transaction.atomic():
        apply_dispute(remote_dispute_won(dispute), cause=SWEEP, at=timezone.now(), is_answer=True)

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status, is_proved(subscription)) == ("active", "paid", True)


def remote_dispute_won(dispute: Dispute) -> RemoteDispute:
    """Hyperswitch's answer when the dispute is refreshed."""
    payload = {
        "dispute_id": dispute.hyperswitch_dispute_id,
        "payment_id": dispute.payment.provider_key,
        "amount": str(dispute.amount_minor),
        "currency": dispute.currency,
        "dispute_stage": "dispute",
        "dispute_status": "dispute_won",
    }
    return parse_dispute(payload)


@pytest.mark.parametrize(("amounts", "status"), [((12_00,), "expired"), ((5_00,), "active"), ((5_00, 7_00), "expired")])
def test_external_refunds_count_like_ours(sandbox, amounts, status):
    subscription = activate_by_webhook(sandbox)

    for amount_minor in amounts:
        refund_at_dashboard(last_payment(subscription), amount_minor)

    subscription.refresh_from_db()
    assert (subscription.status, is_proved(subscription)) == (status, True)
