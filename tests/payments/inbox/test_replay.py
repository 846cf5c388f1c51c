"""Deliveries without a final result are replayed, by the worker or by hand; nothing is applied twice."""

import io
import json
from datetime import timedelta

import pytest
import time_machine
from django.apps import apps
from django.core.management import call_command
from django.utils import timezone

from marketplace.models import License, Order
from payments import tasks
from payments.inbox.replay import ReplayForbidden, replay
from payments.models import Dispute, Payment, Posting, Refund, WebhookDelivery
from payments.retry_policy import REPLAY_SCHEDULE
from payments.reviews import mismatches
from tests.buying import (
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_object,
    refund_of,
    two_sellers_order,
)
from tests.factories import OfferFactory
from tests.payments.builders import BY_STAFF, make_deliveries_due
from veza.core.ids import new_id, provider_id
from veza.core.models import Heartbeat, ReviewItem, StatusChange

pytestmark = pytest.mark.django_db


def break_handler(monkeypatch):
    return monkeypatch.setattr("marketplace.licenses.grant", lambda *args: 1 / 0)


def test_a_failed_handler_is_retried_and_the_money_is_booked(sandbox, monkeypatch):
    order = order_of(OfferFactory())
    with monkeypatch.context() as patch:
        break_handler(patch)
        assert deliver_payment(payment_of(order)).status_code == 500
    make_deliveries_due()

    tasks.retry_deliveries()

    row = WebhookDelivery.objects.get()
    assert (row.processing_result, row.attempts, row.next_attempt_at) == ("ok", 2, None)
    assert Order.objects.get().status == "completed"
    assert Posting.objects.filter(leg="in").count() == 1
    assert StatusChange.objects.filter(machine="payments.payment", cause_id=row.pk, to_status="succeeded").exists()


def test_retries_grow_further_apart(sandbox, monkeypatch):
    break_handler(monkeypatch)
    deliver_payment(payment_of(order_of(OfferFactory())))
    pauses = []

    for _ in range(len(REPLAY_SCHEDULE) + 1):
        row = WebhookDelivery.objects.get()
        pauses.append(row.next_attempt_at - row.processed_at)
        make_deliveries_due()
        tasks.retry_deliveries()

    assert pauses == [*REPLAY_SCHEDULE, REPLAY_SCHEDULE[-1]]


def test_what_fails_for_a_day_is_reviewed_and_not_retried(sandbox, monkeypatch):
    break_handler(monkeypatch)
    deliver_payment(payment_of(order_of(OfferFactory())))
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    make_deliveries_due()

    tasks.retry_deliveries()

    row = WebhookDelivery.objects.get()
    assert (row.next_attempt_at, row.processing_result) == (None, "error: ZeroDivisionError: division by zero")
    item = ReviewItem.objects.get()
    assert (item.kind, item.subject_id) == ("delivery_unsettled", row.pk)


def test_the_review_item_closes_when_its_delivery_is_handled_after_all(sandbox, monkeypatch):
    with monkeypatch.context() as patch:
        break_handler(patch)
        deliver_payment(payment_of(order_of(OfferFactory())))
        WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
        make_deliveries_due()
        tasks.retry_deliveries()

    call_command("replay_webhooks", stdout=io.StringIO())

    assert Order.objects.get().status == "completed"
    assert ReviewItem.objects.get().closed_by == "veza"


def test_an_unmatched_delivery_is_reviewed_after_a_day(sandbox):
    payload = {"payment_id": provider_id("pay", new_id()), "status": "succeeded", "amount": 1, "currency": "EUR"}
    deliver(envelope("payment_succeeded", payload))
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    make_deliveries_due()

    tasks.retry_deliveries()

    assert ReviewItem.objects.get().kind == "delivery_unsettled"


@pytest.mark.parametrize("what", ["refund", "dispute"])
def test_what_waits_for_its_payment_is_due_once_that_is_booked(sandbox, what):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    if what == "refund":
        payload = {"refund_id": "ref_d", "payment_id": payment.provider_key, "status": "succeeded", "amount": 12_00}
        answer = deliver(envelope("refund_succeeded", {**payload, "currency": "EUR"}))
    else:
        answer = deliver_dispute(payment, "opened")
    assert answer.json() == {"result": "skipped: waiting"}

    paid(order)
    tasks.retry_deliveries()

    assert Refund.objects.count() + Dispute.objects.count() == 1
    assert not WebhookDelivery.objects.exclude(processing_result="ok").exists()


def test_a_late_payment_replays_a_failed_delivery_and_closes_its_review(sandbox):
    order = order_of(OfferFactory())
    deliver_dispute(payment_of(order), "opened")
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    make_deliveries_due()
    tasks.retry_deliveries()
    assert ReviewItem.objects.get().kind == "delivery_unsettled"

    paid(order)
    tasks.retry_deliveries()

    assert Dispute.objects.get().status == "opened"
    assert ReviewItem.objects.get(kind="delivery_unsettled").closed_by == "veza"


def test_a_retry_after_another_delivery_succeeded_is_a_duplicate(sandbox, monkeypatch):
    payment = payment_of(order_of(OfferFactory()))
    with monkeypatch.context() as patch:
        break_handler(patch)
        deliver_payment(payment, event_id="evt_1")
    deliver_payment(payment, event_id="evt_1")
    make_deliveries_due()

    tasks.retry_deliveries()

    results = WebhookDelivery.objects.order_by("received_at").values_list("processing_result", flat=True)
    assert list(results) == ["skipped: duplicate", "ok"]
    assert License.objects.count() == 1


def test_a_delivery_with_an_invalid_signature_is_never_replayed(sandbox):
    order = order_of(OfferFactory())
    deliver(envelope("payment_succeeded", payment_object(payment_of(order))), signature="00")

    with pytest.raises(ReplayForbidden):
        replay(WebhookDelivery.objects.get().pk)
    call_command("replay_webhooks", "--type", "payment_succeeded", stdout=io.StringIO())

    assert Order.objects.get().status == "pending"


def test_a_payload_that_is_not_what_was_signed_is_never_replayed(sandbox):
    order = order_of(OfferFactory())
    deliver(envelope("mandate_active", payment_object(payment_of(order))))
    row = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(payload=row.payload.replace("mandate_active", "payment_succeeded"))

    with pytest.raises(ReplayForbidden):
        replay(row.pk)


def deliver_a_day() -> None:
    """Purchases, a returned refund, disputes, decided mismatches, invalid signatures and unreadable bodies."""
    sale, disputed_sale = paid(two_sellers_order()), paid(two_sellers_order())
    deliver_payment(payment_of(sale), status="processing")
    refund = refund_of(sale)
    deliver(envelope("refund_failed", refund_object(refund, status="review")))
    deliver_refund(refund)
    deliver_refund(refund, status="failed")
    deliver_dispute(payment_of(disputed_sale), "opened")
    deliver_dispute(payment_of(disputed_sale), "lost")
    deliver_payment(payment_of(two_sellers_order()), status="failed", amount_received=None)
    deliver_payment(payment_of(two_sellers_order()), amount_received=5)
    deliver_mismatches_and_decisions()
    deliver(envelope("payout_success", {}))
    deliver(b"nonsense")
    deliver(b"{}", signature="00")


def deliver_mismatches_and_decisions() -> None:
    refunded_in_full, surplus, in_doubt, without_money = [payment_of(two_sellers_order()) for _ in range(4)]
    for payment, amount in ((refunded_in_full, 5), (surplus, 20_00), (in_doubt, 18_00)):
        deliver_payment(payment, amount_received=amount)
    deliver(envelope("action_required", payment_object(in_doubt, status="review")))
    deliver(envelope("action_required", payment_object(without_money, status="conflicted", amount_received=None)))
    for payment in (refunded_in_full, without_money):
        mismatches.refund_in_full(payment_id=payment.pk, cause=BY_STAFF)
    for payment in (surplus, in_doubt):
        mismatches.accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)
    for refund in Refund.objects.filter(source="late_payment"):
        deliver_refund(refund)


def all_rows() -> dict:
    models = [model for model in apps.get_models() if model is not Heartbeat]
    return {model._meta.label: sorted(map(str, model.objects.values())) for model in models}


def test_replaying_a_whole_day_changes_nothing(sandbox):
    deliver_a_day()
    before = all_rows()

    call_command("replay_webhooks", "--since", f"{timezone.now() - timedelta(days=1):%Y-%m-%d}", stdout=io.StringIO())

    after = all_rows()
    assert {name for name in after if after[name] != before[name]} == set()


@pytest.mark.parametrize("after", [{"hours": 1}, {"hours": 25}, {"days": 100}])
def test_a_day_sent_again_after_its_log_was_deleted_changes_nothing(sandbox, after):
    deliver_a_day()
    before = all_rows()
    bodies = [row.payload.encode() for row in WebhookDelivery.objects.filter(signature_valid=True).order_by("pk")]
    WebhookDelivery.objects.all().delete()

    with time_machine.travel(timedelta(**after)):
        for raw in bodies:
            deliver(raw)

    after = all_rows()
    assert {name for name in after if after[name] != before[name]} == {"payments.WebhookDelivery"}


def test_a_dry_run_names_what_it_would_replay(sandbox, monkeypatch):
    break_handler(monkeypatch)
    deliver_payment(payment_of(order_of(OfferFactory())))
    out = io.StringIO()

    call_command("replay_webhooks", "--dry-run", "--json", stdout=out)

    row = WebhookDelivery.objects.get()
    assert json.loads(out.getvalue())["would_handle"] == [str(row.pk)]
    assert (row.attempts, Payment.objects.get().status) == (1, "pending")


@pytest.mark.parametrize("by", ["--id", "--event", "--type", "--until"])
def test_deliveries_are_selected_by_id_type_and_time(sandbox, by):
    order = paid(order_of(OfferFactory()))
    deliver(envelope("refund_failed", refund_object(refund_of(order), status="failed")))
    selected_row = WebhookDelivery.objects.get(event_type="payment_succeeded")
    other = WebhookDelivery.objects.get(event_type="refund_failed")
    arguments = {
        "--id": ["--id", str(selected_row.pk)],
        "--event": ["--id", selected_row.event_id],
        "--type": ["--type", "payment_succeeded"],
        "--until": ["--until", other.received_at.isoformat()],
    }[by]
    out = io.StringIO()

    call_command("replay_webhooks", *arguments, "--dry-run", "--json", stdout=out)

    assert json.loads(out.getvalue())["would_handle"] == [str(selected_row.pk)]


def test_money_wakes_only_what_waits_for_it(sandbox):
    orders = [order_of(OfferFactory()) for _ in range(2)]
    for order in orders:
        deliver_payment(payment_of(order), status="processing", amount_received=None)
        deliver_dispute(payment_of(order), "opened", dispute_id=f"dp_{order.pk}")
    WebhookDelivery.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at="2100-01-01T00:00:00Z")

    paid(orders[0])

    due = WebhookDelivery.objects.filter(next_attempt_at__lte=timezone.now())
    assert [(row.correlation_id, row.processing_result) for row in due] == [(orders[0].pk, "skipped: waiting")]
