"""Deliveries that no handler has finished are tried again, by the clock or by hand; nothing is done twice."""

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
from veza.core.causes import Cause
from veza.core.ids import new_id, provider_id
from veza.core.models import Heartbeat, ReviewItem, StatusChange

pytestmark = pytest.mark.django_db
BY_STAFF = Cause("staff", actor="finance@example.com", reason="agreed with the buyer")


def due_now() -> None:
    past = timezone.now() - timedelta(seconds=1)
    WebhookDelivery.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=past)


def failing(monkeypatch):
    return monkeypatch.setattr("marketplace.licenses.grant", lambda *args: 1 / 0)


def test_a_reaction_that_failed_is_tried_again_and_the_money_is_booked(sandbox, monkeypatch):
    order = order_of(OfferFactory())
    with monkeypatch.context() as broken:
        failing(broken)
        assert deliver_payment(payment_of(order)).status_code == 500
    due_now()

    tasks.retry_deliveries()

    row = WebhookDelivery.objects.get()
    assert (row.processing_result, row.attempts, row.next_attempt_at) == ("ok", 2, None)
    assert Order.objects.get().status == "completed"
    assert Posting.objects.filter(leg="in").count() == 1
    assert StatusChange.objects.filter(machine="payments.payment", cause_id=row.pk, to_status="succeeded").exists()


def test_tries_grow_further_apart(sandbox, monkeypatch):
    failing(monkeypatch)
    deliver_payment(payment_of(order_of(OfferFactory())))
    pauses = []

    for _ in range(len(REPLAY_SCHEDULE) + 1):
        row = WebhookDelivery.objects.get()
        pauses.append(row.next_attempt_at - row.processed_at)
        due_now()
        tasks.retry_deliveries()

    assert pauses == [*REPLAY_SCHEDULE, REPLAY_SCHEDULE[-1]]


def test_what_fails_for_a_day_becomes_a_case_and_is_left_alone(sandbox, monkeypatch):
    failing(monkeypatch)
    deliver_payment(payment_of(order_of(OfferFactory())))
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    due_now()

    tasks.retry_deliveries()

    row = WebhookDelivery.objects.get()
    assert (row.next_attempt_at, row.processing_result) == (None, "error: ZeroDivisionError: division by zero")
    case = ReviewItem.objects.get()
    assert (case.kind, case.subject_id) == ("delivery_unsettled", row.pk)


def test_a_case_closes_when_its_delivery_is_settled_after_all(sandbox, monkeypatch):
    with monkeypatch.context() as broken:
        failing(broken)
        deliver_payment(payment_of(order_of(OfferFactory())))
        WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
        due_now()
        tasks.retry_deliveries()

    call_command("replay_webhooks", stdout=io.StringIO())

    assert Order.objects.get().status == "completed"
    assert ReviewItem.objects.get().closed_by == "veza"


def test_an_unmatched_delivery_becomes_a_case_after_a_day(sandbox):
    payload = {"payment_id": provider_id("pay", new_id()), "status": "succeeded", "amount": 1, "currency": "EUR"}
    deliver(envelope("payment_succeeded", payload))
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    due_now()

    tasks.retry_deliveries()

    assert ReviewItem.objects.get().kind == "delivery_unsettled"


@pytest.mark.parametrize("what", ["refund", "dispute"])
def test_what_waits_for_its_payment_is_due_the_moment_that_is_booked(sandbox, what):
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


def test_a_delivery_given_up_is_handled_when_its_payment_is_booked_after_all_and_its_case_closes(sandbox):
    order = order_of(OfferFactory())
    deliver_dispute(payment_of(order), "opened")
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    due_now()
    tasks.retry_deliveries()
    assert ReviewItem.objects.get().kind == "delivery_unsettled"

    paid(order)
    tasks.retry_deliveries()

    assert Dispute.objects.get().status == "opened"
    assert ReviewItem.objects.get(kind="delivery_unsettled").closed_by == "veza"


def test_a_retry_of_what_another_delivery_has_done_meanwhile_is_a_duplicate(sandbox, monkeypatch):
    payment = payment_of(order_of(OfferFactory()))
    with monkeypatch.context() as broken:
        failing(broken)
        deliver_payment(payment, event_id="evt_1")
    deliver_payment(payment, event_id="evt_1")
    due_now()

    tasks.retry_deliveries()

    results = WebhookDelivery.objects.order_by("received_at").values_list("processing_result", flat=True)
    assert list(results) == ["skipped: duplicate", "ok"]
    assert License.objects.count() == 1


def test_a_forged_delivery_is_never_replayed(sandbox):
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


def a_day() -> None:
    """Purchases, a refund, a bounce, disputes, wrong money and what people decided about it, forgeries and nonsense."""
    refunded, argued = paid(two_sellers_order()), paid(two_sellers_order())
    deliver_payment(payment_of(refunded), status="processing")
    refund = refund_of(refunded)
    deliver(envelope("refund_failed", refund_object(refund, status="review")))
    deliver_refund(refund)
    deliver_refund(refund, status="failed")
    deliver_dispute(payment_of(argued), "opened")
    deliver_dispute(payment_of(argued), "lost")
    deliver_payment(payment_of(two_sellers_order()), status="failed", amount_received=None)
    deliver_payment(payment_of(two_sellers_order()), amount_received=5)
    wrong_money_that_people_decided_about()
    deliver(envelope("payout_success", {}))
    deliver(b"nonsense")
    deliver(b"{}", signature="00")


def wrong_money_that_people_decided_about() -> None:
    given_back, accepted, doubted, never_came = [payment_of(two_sellers_order()) for _ in range(4)]
    for payment, amount in ((given_back, 5), (accepted, 20_00), (doubted, 18_00)):
        deliver_payment(payment, amount_received=amount)
    deliver(envelope("action_required", payment_object(doubted, status="review")))
    deliver(envelope("action_required", payment_object(never_came, status="conflicted", amount_received=None)))
    for payment in (given_back, never_came):
        mismatches.refund_in_full(payment_id=payment.pk, cause=BY_STAFF)
    for payment in (accepted, doubted):
        mismatches.accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)
    for refund in Refund.objects.filter(source="late_payment"):
        deliver_refund(refund)


def everything() -> dict:
    models = [model for model in apps.get_models() if model is not Heartbeat]
    return {model._meta.label: sorted(map(str, model.objects.values())) for model in models}


def test_replaying_a_whole_day_changes_nothing(sandbox):
    a_day()
    before = everything()

    call_command("replay_webhooks", "--since", f"{timezone.now() - timedelta(days=1):%Y-%m-%d}", stdout=io.StringIO())

    after = everything()
    assert {name for name in after if after[name] != before[name]} == set()


@pytest.mark.parametrize("after", [{"hours": 1}, {"hours": 25}, {"days": 100}])
def test_a_whole_day_that_is_sent_again_when_nobody_remembers_its_events_changes_nothing(sandbox, after):
    a_day()
    before = everything()
    sent = [row.payload.encode() for row in WebhookDelivery.objects.filter(signature_valid=True).order_by("pk")]
    WebhookDelivery.objects.all().delete()

    with time_machine.travel(timedelta(**after)):
        for raw in sent:
            deliver(raw)

    after = everything()
    assert {name for name in after if after[name] != before[name]} == {"payments.WebhookDelivery"}


def test_a_dry_run_names_what_it_would_handle(sandbox, monkeypatch):
    failing(monkeypatch)
    deliver_payment(payment_of(order_of(OfferFactory())))
    out = io.StringIO()

    call_command("replay_webhooks", "--dry-run", "--json", stdout=out)

    row = WebhookDelivery.objects.get()
    assert json.loads(out.getvalue())["would_handle"] == [str(row.pk)]
    assert (row.attempts, Payment.objects.get().status) == (1, "pending")


@pytest.mark.parametrize("by", ["--id", "--event", "--type", "--until"])
def test_deliveries_are_chosen_by_id_type_and_time(sandbox, by):
    order = paid(order_of(OfferFactory()))
    deliver(envelope("refund_failed", refund_object(refund_of(order), status="failed")))
    chosen = WebhookDelivery.objects.get(event_type="payment_succeeded")
    other = WebhookDelivery.objects.get(event_type="refund_failed")
    arguments = {
        "--id": ["--id", str(chosen.pk)],
        "--event": ["--id", chosen.event_id],
        "--type": ["--type", "payment_succeeded"],
        "--until": ["--until", other.received_at.isoformat()],
    }[by]
    out = io.StringIO()

    call_command("replay_webhooks", *arguments, "--dry-run", "--json", stdout=out)

    assert json.loads(out.getvalue())["would_handle"] == [str(chosen.pk)]
