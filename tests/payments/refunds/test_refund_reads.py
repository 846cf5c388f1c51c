"""Reads and webhooks of a refund that contradict each other: which one wins, and who waits meanwhile."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from connect.models import ConnectedAccount
from connect.transfers.transfer_requests import send_due
from marketplace.models import License
from payments import tasks
from payments.hyperswitch import client
from payments.models import Refund
from payments.reconciliation import listings, refresh
from payments.refunds.refund_requests import PaymentInDoubt
from tests.buying import ago, deliver, deliver_refund, envelope, refund_object, refund_of
from tests.payments.builders import RECONCILE, make_due, open_reviews
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def pending(order) -> Refund:
    """12.00 of an order of 18.00 on its way back; nothing was heard of it."""
    return refund_of(order, item_ids=[order.items.get(net_minor=10_00).pk])


@pytest.fixture
def refund(sandbox, pending) -> Refund:
    """The same, succeeded at Hyperswitch an hour ago, as a webhook said."""
    at_hyperswitch(sandbox, pending, status="succeeded")
    deliver_refund(pending, updated_at=ago(hours=1))
    pending.refresh_from_db()
    return pending


def at_hyperswitch(sandbox, refund: Refund, **changes) -> None:
    """Change the refund at Hyperswitch; its webhook never comes."""
    sandbox.control(f"refunds/{refund.provider_key}", silent=True, **changes)


def read(refund: Refund) -> str:
    return refresh.refresh_refund(refund.pk, cause=RECONCILE)


def a_minute_later() -> None:
    Refund.objects.update(
        contradicted_at=F("contradicted_at") - timedelta(minutes=1),
        last_read_at=F("last_read_at") - timedelta(minutes=1),
    )


def state_of(refund: Refund) -> tuple[str, int, int]:
    """The refund's status and amount, and what went back by its payment, whose books are in order."""
    refund.refresh_from_db()
    assert prove_payment(refund.payment).differences == []
    return refund.status, refund.amount_minor, refund.payment.refunded_minor


def one_hour_ahead(**fields) -> None:
    """What was applied last carries a clock that is ahead of Hyperswitch's present answers."""
    Refund.objects.update(provider_updated_at=timezone.now() + timedelta(hours=1), **fields)


def test_one_read_undoes_no_refund_and_a_second_a_minute_later_does(sandbox, order, refund):
    at_hyperswitch(sandbox, refund, status="failed")

    for _ in range(2):
        read(refund)
    assert state_of(refund) == ("succeeded", 12_00, 12_00)
    assert open_reviews() == []

    a_minute_later()
    read(refund)
    assert state_of(refund) == ("bounced", 12_00, 0)
    assert open_reviews() == [("refund_returned", 12_00)]


@pytest.mark.parametrize("changes", [{"amount": 9_00}, {"amount": 0}, {"amount": 15_00, "currency": "USD"}])
def test_a_read_alone_lowers_no_refund_and_books_it_in_no_other_currency(sandbox, refund, changes):
    at_hyperswitch(sandbox, refund, **changes)

    read(refund)
    assert state_of(refund) == ("succeeded", 12_00, 12_00)
    a_minute_later()
    read(refund)

    assert state_of(refund)[1:] != (12_00, 12_00)


def test_a_read_raises_a_refund_at_once(sandbox, refund):
    at_hyperswitch(sandbox, refund, amount=15_00)

    read(refund)

    assert state_of(refund) == ("succeeded", 15_00, 15_00)


def test_a_lower_refund_is_confirmed_by_the_worker_a_minute_later(sandbox, refund):
    at_hyperswitch(sandbox, refund, amount=9_00)
    read(refund)
    refund.refresh_from_db()
    assert timedelta(seconds=50) < refund.next_attempt_at - timezone.now() < timedelta(seconds=70)

    a_minute_later()
    make_due(Refund)
    tasks.resend()

    assert state_of(refund) == ("succeeded", 9_00, 9_00)
    assert refund.next_attempt_at is None


def test_a_contradiction_that_the_second_read_does_not_repeat_is_over(sandbox, order, refund):
    transfer = order.transfers.get(amount_minor=4_50)
    account = sandbox.create_account()
    ConnectedAccount.objects.create(seller=transfer.seller, stripe_account_id=account, transfers_active=True)
    at_hyperswitch(sandbox, refund, status="failed")
    read(refund)
    send_due()
    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("pending", "payment")

    at_hyperswitch(sandbox, refund, status="succeeded")
    read(refund)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, state_of(refund)) == ("completed", ("succeeded", 12_00, 12_00))
    assert refund.next_attempt_at is None


def test_no_other_refund_is_opened_while_reads_contradict_one(sandbox, order, refund):
    at_hyperswitch(sandbox, refund, status="failed")
    read(refund)

    with pytest.raises(PaymentInDoubt):
        refund_of(order)


def test_reads_that_contradict_each_other_open_an_item_until_two_agree(sandbox, refund):
    for changes in ({"status": "failed"}, {"status": "succeeded", "amount": 9_00}):
        at_hyperswitch(sandbox, refund, **changes)
        read(refund)
    assert open_reviews() == [("refund_contradicted", 12_00)]

    a_minute_later()
    read(refund)

    assert state_of(refund) == ("succeeded", 9_00, 9_00)
    assert open_reviews() == [("refund_amount_differs", 3_00)]


def test_a_read_that_it_is_undecided_is_no_confirmation(sandbox, refund):
    for status in ("failed", "pending"):
        at_hyperswitch(sandbox, refund, status=status)
        read(refund)
        a_minute_later()
    at_hyperswitch(sandbox, refund, status="failed")

    read(refund)

    assert state_of(refund) == ("succeeded", 12_00, 12_00)


def test_a_contradiction_without_a_second_answer_stays_due(sandbox, refund):
    at_hyperswitch(sandbox, refund, status="failed")
    read(refund)
    sandbox.fault("status", refund.provider_key, method="GET", when="before", status=500)

    read(refund)

    refund.refresh_from_db()
    assert (refund.payment.is_in_doubt(), refund.next_attempt_at is None) == (True, False)


def test_an_entry_of_a_list_alone_undoes_no_refund(sandbox, refund):
    at_hyperswitch(sandbox, refund, status="failed")

    listings.compare(cause=RECONCILE)
    assert state_of(refund) == ("succeeded", 12_00, 12_00)
    a_minute_later()
    make_due(Refund)
    tasks.resend()

    assert state_of(refund) == ("bounced", 12_00, 0)


# The order of reads and webhooks


def test_of_two_reads_the_later_request_wins_whatever_its_clock(sandbox, pending):
    at_hyperswitch(sandbox, pending, status="succeeded")
    one_hour_ahead(last_read_at=timezone.now() - timedelta(seconds=1))

    read(pending)

    assert state_of(pending) == ("succeeded", 12_00, 12_00)


def test_a_read_that_was_requested_earlier_loses_when_it_comes_later(sandbox, pending, monkeypatch):
    at_hyperswitch(sandbox, pending, status="failed")
    before = client.read_refund(pending.provider_key)
    at_hyperswitch(sandbox, pending, status="succeeded")
    read(pending)
    monkeypatch.setattr(client, "read_refund", lambda *_args, **_options: before)

    assert read(pending) == "nothing new"
    assert (state_of(pending), pending.payment.is_in_doubt()) == (("succeeded", 12_00, 12_00), False)


def test_a_success_read_before_a_failure_was_returned_by_the_bank(sandbox, pending, monkeypatch):
    at_hyperswitch(sandbox, pending, status="succeeded")
    before = client.read_refund(pending.provider_key)
    at_hyperswitch(sandbox, pending, status="failed")
    read(pending)
    monkeypatch.setattr(client, "read_refund", lambda *_args, **_options: before)

    read(pending)

    assert state_of(pending) == ("bounced", 12_00, 0)


def test_a_read_requested_before_a_contradiction_does_not_end_it(sandbox, refund, monkeypatch):
    before = client.read_refund(refund.provider_key)
    at_hyperswitch(sandbox, refund, status="failed")
    read(refund)
    monkeypatch.setattr(client, "read_refund", lambda *_args, **_options: before)

    read(refund)

    refund.refresh_from_db()
    assert refund.payment.is_in_doubt()


def test_a_success_older_than_a_webhook_needs_a_second_read(sandbox, pending):
    at_hyperswitch(sandbox, pending, status="succeeded")
    deliver_refund(pending, status="failed", updated_at=ago(hours=-1))

    read(pending)
    assert state_of(pending) == ("failed", 12_00, 0)
    a_minute_later()
    read(pending)

    assert state_of(pending) == ("succeeded", 12_00, 12_00)


def test_a_newer_webhook_undoes_a_refund_without_a_read(refund):
    deliver_refund(refund, status="failed")

    assert state_of(refund) == ("bounced", 12_00, 0)


@pytest.mark.parametrize("updated_at", ["the same", None])
def test_a_webhook_without_a_newer_clock_is_read_before_it_undoes_a_refund(refund, updated_at):
    clock = refund.provider_updated_at.isoformat() if updated_at else None
    deliver_refund(refund, status="failed", updated_at=clock)
    refund.refresh_from_db()
    assert (refund.status, refund.payment.is_in_doubt()) == ("succeeded", True)

    tasks.resend()

    assert state_of(refund) == ("succeeded", 12_00, 12_00)
    assert not refund.payment.is_in_doubt()


@pytest.mark.parametrize("status", ["succeeded", "review"])
def test_a_late_webhook_stays_late_whatever_a_read_said(sandbox, refund, status):
    at_hyperswitch(sandbox, refund, status=status, amount=15_00)
    one_hour_ahead(last_read_at=timezone.now() - timedelta(seconds=1))
    read(refund)
    before = state_of(refund)

    deliver_refund(refund, status="failed", updated_at=ago(minutes=-30))

    assert state_of(refund) == before


def test_an_amount_older_than_the_last_is_stale(refund):
    deliver_refund(refund, amount=9_00)

    deliver_refund(refund, updated_at=ago(minutes=30))

    assert state_of(refund) == ("succeeded", 9_00, 9_00)


def test_a_failure_before_a_success_that_was_repeated_is_stale(order, refund):
    deliver_refund(refund)

    deliver_refund(refund, status="failed", updated_at=ago(minutes=30))

    assert state_of(refund) == ("succeeded", 12_00, 12_00)
    assert License.objects.filter(order=order, status="revoked").count() == 1


def test_a_review_repeated_by_a_webhook_is_stale(pending):
    raw = refund_object(pending, status="review")
    deliver(envelope("refund_failed", raw))

    assert deliver(envelope("refund_failed", raw)).json() == {"result": "skipped: stale"}


def test_an_older_failure_of_a_failed_refund_is_stale(pending):
    deliver_refund(pending, status="failed")

    deliver_refund(pending, status="failed", updated_at=ago(hours=1))

    assert state_of(pending) == ("failed", 12_00, 0)
