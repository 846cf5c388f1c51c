"""Reads and webhooks that contradict each other: which one wins, and who waits meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import ConnectedAccount
from connect.transfers.transfer_requests import send_due
from marketplace.allocation import is_on_hold
from marketplace.models import License
from payments import tasks
from payments.hyperswitch import client
from payments.models import Payment
from payments.reconciliation import refresh
from payments.reviews.mismatches import accept_received_amount
from tests.buying import ago, deliver, deliver_payment, envelope, order_of, paid, payment_object, payment_of
from tests.factories import OfferFactory
from tests.payments.voiding import (
    BY_STAFF,
    a_minute_later,
    at_provider,
    deliver_action,
    open_items,
    read,
    sums_of,
)
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def pending(sandbox):
    """12.00 with tax, paid at Hyperswitch; nothing was heard of it."""
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)
    return order


@pytest.fixture
def order(pending):
    return paid(pending)


def with_account(sandbox, order):
    transfer = order.transfers.get()
    account = sandbox.create_account()
    ConnectedAccount.objects.create(seller=transfer.seller, stripe_account_id=account, transfers_active=True)
    return transfer


def one_second_ahead(**fields) -> None:
    """What was applied last carries a clock that is ahead of Hyperswitch's present answers."""
    Payment.objects.update(provider_updated_at=timezone.now() + timedelta(seconds=1), **fields)


def test_of_two_reads_the_later_request_wins_whatever_its_clock(pending):
    one_second_ahead(last_read_at=timezone.now() - timedelta(seconds=1))

    read(pending)

    pending.refresh_from_db()
    assert (pending.status, payment_of(pending).status) == ("completed", "succeeded")


def test_a_read_that_was_requested_earlier_loses_when_it_comes_later(pending, monkeypatch):
    at_provider_before = client.read_payment(payment_of(pending).provider_key)
    deliver_payment(payment_of(pending), updated=ago(seconds=-5))
    Payment.objects.update(last_read_at=timezone.now())
    monkeypatch.setattr(client, "read_payment", lambda *_args, **_options: at_provider_before)

    assert read(pending) == "nothing new"


def test_a_success_older_than_a_webhook_needs_a_second_read(pending):
    deliver_payment(payment_of(pending), status="processing", amount_received=None, updated=ago(seconds=-1))

    read(pending)
    assert payment_of(pending).status == "processing"
    a_minute_later()
    read(pending)

    assert sums_of(pending) == ("succeeded", 12_00, 0)


@pytest.mark.parametrize("status", ["failed", "cancelled_post_capture", "cancelled"])
def test_a_read_alone_voids_nothing_and_a_second_one_a_minute_later_does(sandbox, order, status):
    at_provider(sandbox, order, status=status)

    for _ in range(2):
        read(order)
    assert sums_of(order) == ("succeeded", 12_00, 0)
    assert License.objects.get().status == "active"

    a_minute_later()
    read(order)
    assert sums_of(order) == ("cancelled", 12_00, 12_00)
    assert License.objects.get().status == "revoked"
    assert prove_payment(payment_of(order)).is_balanced


def test_a_lower_amount_is_confirmed_by_the_worker_a_minute_later(sandbox, order):
    at_provider(sandbox, order, amount_received=7_00)
    read(order)
    due_in = payment_of(order).next_attempt_at - timezone.now()
    assert timedelta(seconds=50) < due_in < timedelta(seconds=70)

    a_minute_later()
    Payment.objects.update(next_attempt_at=ago())
    tasks.resend()

    assert sums_of(order) == ("succeeded", 12_00, 5_00)
    assert payment_of(order).next_attempt_at is None


def test_a_contradiction_that_the_second_read_does_not_repeat_is_over(sandbox, order):
    transfer = with_account(sandbox, order)
    at_provider(sandbox, order, status="failed")
    read(order)
    send_due()
    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("pending", "payment")

    at_provider(sandbox, order, status="succeeded")
    read(order)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, sums_of(order)) == ("completed", ("succeeded", 12_00, 0))
    assert payment_of(order).next_attempt_at is None


def test_reads_that_contradict_each_other_open_an_item_until_two_agree(sandbox, order):
    for status in ("failed", "cancelled_post_capture"):
        at_provider(sandbox, order, status=status)
        read(order)
    assert open_items() == {("payment_contradicted", 12_00)}

    a_minute_later()
    read(order)

    assert open_items() == {("payment_voided", 12_00)}


def test_a_read_of_a_review_undoes_a_success_when_it_is_repeated(sandbox, order):
    at_provider(sandbox, order, status="review")

    read(order)
    assert payment_of(order).status == "succeeded"
    a_minute_later()
    read(order)

    assert (payment_of(order).status, open_items()) == ("mismatched", {("payment_mismatch", 12_00)})


def test_a_webhook_that_a_paid_page_was_cancelled_is_read_first(sandbox, order):
    transfer = with_account(sandbox, order)
    deliver(envelope("payment_cancelled", payment_object(payment_of(order), status="cancelled", amount_received=None)))
    assert is_on_hold(order.pk)

    tasks.resend()
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, sums_of(order)) == ("completed", ("succeeded", 12_00, 0))


def test_transfers_wait_for_a_payment_in_doubt_and_are_sent_after_it(sandbox, order):
    transfer = with_account(sandbox, order)
    deliver_action(order, "review")
    send_due()
    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("pending", "payment")

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"


def test_a_doubt_that_hyperswitch_ends_itself_wakes_the_transfer(sandbox, order):
    transfer = with_account(sandbox, order)
    deliver_action(order, "review")
    send_due()
    transfer.refresh_from_db()
    assert transfer.status == "pending"

    deliver_payment(payment_of(order))
    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"


def test_a_contradiction_without_a_second_answer_stays_due(sandbox, order):
    at_provider(sandbox, order, status="failed")
    read(order)
    sandbox.fault("status", payment_of(order).provider_key, method="GET", when="before", status=500)

    read(order)

    payment = payment_of(order)
    assert payment.is_in_doubt()
    assert payment.next_attempt_at is not None
    assert refresh.refresh_payment(payment.pk, cause=BY_STAFF) == "skipped: waiting"


def test_a_decided_mismatch_is_not_opened_again_by_a_read_of_it(sandbox, order):
    at_provider(sandbox, order, status="review")
    deliver_action(order, "review", updated=ago(seconds=-60))
    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    Payment.objects.update(provider_updated_at=client.read_payment(payment_of(order).provider_key).value.updated_at)

    read(order)
    a_minute_later()
    read(order)

    assert (payment_of(order).status, open_items()) == ("succeeded", set())


def test_a_stale_webhook_leaves_a_contradicted_payment_due(sandbox, order):
    at_provider(sandbox, order, status="failed")
    read(order)

    deliver_payment(payment_of(order))

    assert payment_of(order).next_attempt_at is not None


def test_a_stale_webhook_leaves_an_open_payment_due(pending):
    deliver_payment(payment_of(pending), status="processing", amount_received=None)
    Payment.objects.update(next_attempt_at=timezone.now())

    deliver_action(pending, "requires_payment_method", updated=ago(hours=1))

    assert payment_of(pending).next_attempt_at is not None
