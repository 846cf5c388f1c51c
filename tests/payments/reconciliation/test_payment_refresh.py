"""Payments without a webhook are refreshed by the worker, and applied by the webhook's own handler."""

import io
import json
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from django.core.management import call_command
from django.utils import timezone

from marketplace.models import License, Order
from payments import tasks
from payments.hyperswitch import client as hyperswitch_api
from payments.models import Payment, WebhookDelivery
from payments.reconciliation import refresh as reconcile
from tests.buying import (
    ago,
    deliver,
    deliver_payment,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    two_sellers_order,
)
from tests.factories import OfferFactory
from tests.payments.builders import RECONCILE, make_older, refresh_calls
from tests.subscriptions.subscribing import PlanFactory, last_invoice, last_payment, subscribe
from veza.core.models import ProviderCall, StatusChange

pytestmark = pytest.mark.django_db


@pytest.fixture
def stuck(sandbox):
    """An order whose buyer paid, and whose webhook never arrived."""
    order = two_sellers_order()
    sandbox.pay(payment_of(order).provider_key)
    make_older(Payment, minutes=31)
    return order


def test_a_stuck_order_is_completed_as_its_webhook_would_have(stuck):
    reconcile.run(cause=RECONCILE)

    stuck.refresh_from_db()
    assert (stuck.status, License.objects.count()) == ("completed", 2)
    assert set(StatusChange.objects.filter(to_status="completed").values_list("cause_kind", flat=True)) == {"reconcile"}


def test_an_older_report_leaves_the_next_refresh_of_an_unpaid_payment(sandbox):
    payment, due_at = payment_of(two_sellers_order()), timezone.now() + timedelta(minutes=5)
    for status, minutes in (("requires_customer_action", 2), ("requires_payment_method", 3)):
        Payment.objects.update(next_attempt_at=due_at)
        snapshot = payment_object(payment, status=status, amount_received=None, updated=ago(minutes=minutes))
        answer = deliver(envelope("action_required", snapshot))

    assert answer.json() == {"result": "skipped: stale"}
    assert Payment.objects.get().next_attempt_at == due_at


def test_a_refresh_leaves_no_row_in_the_webhook_log(stuck):
    reconcile.run(cause=RECONCILE)

    assert not WebhookDelivery.objects.exists()
    assert ProviderCall.objects.filter(method="GET", outcome="accepted").count() == 1


def test_the_real_webhook_after_the_reconciler_changes_nothing(stuck):
    reconcile.run(cause=RECONCILE)
    before = payment_of(stuck).succeeded_at

    assert deliver_payment(payment_of(stuck)).json() == {"result": "skipped: stale"}
    assert payment_of(stuck).succeeded_at == before


def test_a_stuck_invoice_is_paid_by_a_refresh_and_its_webhook_is_stale(sandbox):
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)
    make_older(Payment, minutes=31)

    reconcile.run(cause=RECONCILE)

    paid_at = last_payment(subscription).succeeded_at
    assert deliver_payment(last_payment(subscription)).json() == {"result": "skipped: stale"}
    subscription.refresh_from_db()
    after = (subscription.status, last_invoice(subscription).status, last_payment(subscription).succeeded_at)
    assert after == ("active", "paid", paid_at)


def test_a_recent_order_is_left_alone(sandbox):
    order = two_sellers_order()
    sandbox.pay(payment_of(order).provider_key)

    reconcile.run(cause=RECONCILE)

    assert refresh_calls(sandbox) == 0


def test_a_completed_order_is_left_alone(sandbox):
    paid(two_sellers_order())
    make_older(Payment, hours=3)

    reconcile.run(cause=RECONCILE)

    assert refresh_calls(sandbox) == 0


def test_an_unacknowledged_payment_is_left_to_the_sweep_that_sends(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    two_sellers_order()
    make_older(Payment, hours=3)

    reconcile.run(cause=RECONCILE)

    assert refresh_calls(sandbox) == 0


@pytest.mark.parametrize("status", [500, 429, 404])
def test_an_unanswered_row_waits_and_the_others_do_not(sandbox, stuck, status):
    other = two_sellers_order()
    sandbox.pay(payment_of(other).provider_key)
    make_older(Payment, minutes=31)
    sandbox.fault("status", payment_of(stuck).provider_key, method="GET", when="before", status=status, times=0)

    for _ in range(2):
        reconcile.run(cause=RECONCILE)

    row = payment_of(stuck)
    assert (row.status, row.attempts) == ("pending", 1)
    assert row.next_attempt_at > timezone.now()
    assert payment_of(other).status == "succeeded"


def test_each_unanswered_refresh_doubles_the_wait(sandbox, stuck):
    sandbox.fault("status", "^/payments/", method="GET", when="before", status=500, times=0)
    waits = []

    for _ in range(3):
        Payment.objects.update(next_attempt_at=None)
        reconcile.run(cause=RECONCILE)
        waits.append(round((payment_of(stuck).next_attempt_at - timezone.now()).total_seconds() / 60))

    assert waits == [1, 2, 4]


def test_a_success_without_an_amount_is_refreshed_by_the_next_sweep(sandbox):
    order = two_sellers_order()
    sandbox.pay(payment_of(order).provider_key)
    deliver_payment(payment_of(order), amount_received=None)

    tasks.resend()

    order.refresh_from_db()
    assert order.status == "completed"
    assert replayed_delivery().processing_result == "skipped: stale"
    assert payment_of(order).next_attempt_at is None


def test_a_success_without_an_amount_ends_when_a_refresh_finds_too_little(sandbox):
    order = two_sellers_order()
    key = payment_of(order).provider_key
    sandbox.pay(key)
    sandbox.control(f"payments/{key}", amount_received=5_00, silent=True)
    deliver_payment(payment_of(order), amount_received=None, updated=updated_at_the_provider(key))

    tasks.resend()

    assert payment_of(order).status == "mismatched"
    assert replayed_delivery().processing_result == "skipped: stale"


def replayed_delivery() -> WebhookDelivery:
    """The one delivery, after its next replay."""
    WebhookDelivery.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
    tasks.retry_deliveries()
    row = WebhookDelivery.objects.get()
    assert row.next_attempt_at is None
    return row


def updated_at_the_provider(key: str) -> str:
    outcome = hyperswitch_api.read_payment(key)
    return outcome.value.updated_at.isoformat()


def test_a_failed_payment_that_succeeded_is_refreshed_until_it_is_answered(sandbox):
    order = two_sellers_order()
    deliver_payment(payment_of(order), status="failed", amount_received=None)
    deliver_payment(payment_of(order), amount_received=None)
    sandbox.fault("status", "^/payments/", method="GET", when="before", status=500)

    tasks.resend()

    assert timezone.now() < payment_of(order).next_attempt_at < timezone.now() + timedelta(seconds=70)


def test_a_refresh_without_a_change_is_nothing_new(sandbox):
    order = two_sellers_order()

    assert reconcile.refresh_payment(payment_of(order).pk, cause=RECONCILE) == "nothing new"


def test_a_large_backlog_is_drained_past_the_rows_that_fail(sandbox, monkeypatch):
    monkeypatch.setattr(reconcile, "BATCH", 3)
    offer = OfferFactory()
    orders = [order_of(offer) for _ in range(10)]
    for order in orders:
        sandbox.pay(payment_of(order).provider_key)
    make_older(Payment, minutes=31)
    for order in orders[:4]:
        sandbox.fault("status", payment_of(order).provider_key, method="GET", when="before", status=500, times=0)

    reconcile.run(cause=RECONCILE)

    assert Order.objects.filter(status="completed").count() == 6
    assert refresh_calls(sandbox) == 10


@pytest.mark.django_db(transaction=True)
def test_calls_run_side_by_side_and_each_row_is_refreshed_once(sandbox, monkeypatch):
    together, read_payment = Barrier(4), hyperswitch_api.read_payment

    def with_the_others(payment_id: str, **options):
        together.wait(timeout=10)
        return read_payment(payment_id, **options)

    for order in [two_sellers_order() for _ in range(8)]:
        sandbox.pay(payment_of(order).provider_key)
    make_older(Payment, minutes=31)
    monkeypatch.setattr(hyperswitch_api, "read_payment", with_the_others)
    monkeypatch.setattr(reconcile, "CONCURRENT_CALLS", 4)

    tally = reconcile.run(cause=RECONCILE)["payments"]

    assert (tally.done, tally.failed, refresh_calls(sandbox)) == (8, 0, 8)
    assert Order.objects.filter(status="completed").count() == 8


@pytest.mark.django_db(transaction=True)
def test_calls_side_by_side_keep_the_providers_rate(sandbox, settings):
    for _ in range(8):
        two_sellers_order()
    make_older(Payment, minutes=31)
    settings.HYPERSWITCH_RATE_PER_SECOND = 20

    reconcile.run(cause=RECONCILE)

    times = sorted(datetime.fromisoformat(call["at"]) for call in sandbox.calls() if call["method"] == "GET")
    took = (times[-1] - times[0]).total_seconds()
    assert len(times) == 8
    assert took >= 0.3, "seven gaps of 50 ms, less what the way there may vary"


def test_a_backlog_of_one_kind_does_not_delay_another(sandbox, stuck, monkeypatch):
    two_sellers_order()
    make_older(Payment, minutes=31)
    monkeypatch.setattr(reconcile, "TICK_FOR", timedelta(0))

    tallies = reconcile.run(cause=RECONCILE)

    assert (tallies["payments"].done, tallies["payments"].unfinished) == (1, True)
    assert set(tallies) == {"payments", "refunds", "orphans", "disputes"}


def test_one_round_of_the_command_goes_on_until_nothing_is_due(sandbox, stuck, monkeypatch):
    two_sellers_order()
    make_older(Payment, minutes=31)
    monkeypatch.setattr(reconcile, "TICK_FOR", timedelta(0))
    monkeypatch.setattr(reconcile, "BATCH", 1)

    call_command("reconcile_hyperswitch", "--once", stdout=io.StringIO())

    assert refresh_calls(sandbox) == 2


def test_one_failing_row_does_not_stop_the_others(sandbox, stuck, monkeypatch):
    other = two_sellers_order()
    sandbox.pay(payment_of(other).provider_key)
    make_older(Payment, minutes=31)
    complete = Order.objects.get(pk=other.pk).pk
    grant = "marketplace.licenses.grant"
    monkeypatch.setattr(grant, lambda order, items: None if order.pk == complete else 1 / 0)

    tallies = reconcile.run(cause=RECONCILE)

    assert (tallies["payments"].done, tallies["payments"].failed) == (1, 1)
    assert {payment_of(stuck).status, payment_of(other).status} == {"pending", "succeeded"}


def test_the_log_names_the_order_with_age_and_status(stuck, caplog):
    caplog.set_level("INFO")

    reconcile.run(cause=RECONCILE)

    lines = [record.getMessage() for record in caplog.records if "'reconcile'" in record.getMessage()]
    assert any(all(word in line for word in ("age_seconds", "pending", "succeeded", str(stuck.pk))) for line in lines)


def test_the_command_refreshes_one_order_however_young(sandbox):
    order, other = two_sellers_order(), two_sellers_order()
    for each in (order, other):
        sandbox.pay(payment_of(each).provider_key)

    call_command("reconcile_hyperswitch", "--order", str(order.pk), stdout=io.StringIO())

    assert (payment_of(order).status, payment_of(other).status) == ("succeeded", "pending")


def test_a_dry_run_of_the_command_makes_no_call(sandbox, stuck):
    out = io.StringIO()

    call_command("reconcile_hyperswitch", "--dry-run", "--json", stdout=out)

    assert json.loads(out.getvalue())["would_ask"] == [str(payment_of(stuck).pk)]
    assert refresh_calls(sandbox) == 0


def test_one_round_of_the_command_answers_in_json(stuck):
    out = io.StringIO()

    call_command("reconcile_hyperswitch", "--once", "--json", stdout=out)

    assert json.loads(out.getvalue()) == {
        "asked": 1,
        "failed": 0,
        "payments": 1,
        "refunds": 0,
        "orphans": 0,
        "disputes": 0,
    }


def test_a_large_backlog_becomes_due_batch_by_batch(sandbox, monkeypatch):
    monkeypatch.setattr(reconcile, "BATCH", 2)
    for _ in range(3):
        order_of(OfferFactory())
    make_older(Payment, hours=1)
    Payment.objects.update(next_attempt_at=None)
    left = []
    monkeypatch.setattr(reconcile, "refresh_payment", lambda *_, **__: left.append(unscheduled()) or "refreshed")

    tasks.reconcile_stuck()

    assert left[0] == 1


def unscheduled() -> int:
    return Payment.objects.filter(next_attempt_at=None).count()
