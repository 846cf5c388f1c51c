"""Refunds are refreshed: stuck ones become final, orphans are acknowledged, failed or sent again."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import tasks
from payments.hyperswitch import client
from payments.models import Payment, Posting, Refund
from payments.reconciliation import listings as listings
from payments.reconciliation import refresh as reconcile
from payments.refunds import refund_requests as refunds
from payments.refunds.refund_requests import check_refund, is_orphan
from tests.buying import deliver, deliver_refund, envelope, payment_of, refund_object, refund_of
from tests.payments.builders import RECONCILE, make_due, make_older, refresh_calls
from veza.core.models import StatusChange
from veza.core.outcomes import Call, NotSent

pytestmark = pytest.mark.django_db


def test_the_real_webhook_of_a_refund_after_the_reconciler_changes_nothing(sandbox, order):
    refund = refund_of(order)
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
    make_older(Refund, minutes=31)
    reconcile.run(cause=RECONCILE)
    before = Posting.objects.count()

    assert deliver_refund(refund).json() == {"result": "skipped: stale"}
    assert Posting.objects.count() == before


@pytest.mark.parametrize(
    ("outcome", "status", "order_status"),
    [("succeeded", "succeeded", "refunded"), ("failed", "failed", "completed")],
)
def test_a_stuck_refund_is_final_after_a_refresh_with_its_error(sandbox, order, outcome, status, order_status):
    refund = refund_of(order)
    payload = {"error_code": "54", "error_message": "No credit possible."} if outcome == "failed" else {}
    sandbox.control(f"refunds/{refund.provider_key}", status=outcome, silent=True, **payload)
    make_older(Refund, minutes=31)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, refund.error_message) == (status, payload.get("error_message", ""))
    assert order.status == order_status


def orphan(sandbox, order, *, when: str) -> Refund:
    """A refund without an answer: it was lost, or Hyperswitch never received the request."""
    sandbox.fault("drop", "^/refunds$", method="POST", when=when)
    refund = refund_of(order)
    assert refund.hyperswitch_refund_id is None
    return refund


def test_an_orphan_that_the_provider_knows_is_acknowledged(sandbox, order):
    refund = orphan(sandbox, order, when="after")
    make_older(Refund, minutes=6)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)


def test_an_orphan_the_provider_does_not_know_fails_and_restores_the_order(sandbox, order, caplog):
    refund = orphan(sandbox, order, when="before")
    make_older(Refund, minutes=6)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, order.status) == ("failed", "completed")
    (payload,) = [record for record in caplog.records if "orphan failed" in record.getMessage()]
    assert payload.levelname == "ERROR"
    assert all(word in payload.getMessage() for word in ("'age_seconds': 36", "'status': 'pending'"))


def test_a_process_that_wakes_after_the_orphan_failed_sends_nothing(sandbox, order):
    refund = orphan(sandbox, order, when="before")
    make_older(Refund, minutes=6)
    reconcile.run(cause=RECONCILE)
    posts = sum(call["method"] == "POST" for call in sandbox.calls())

    assert refunds.send_refund(refund.pk, cause=RECONCILE) is None

    assert sum(call["method"] == "POST" for call in sandbox.calls()) == posts


def test_an_orphan_is_left_as_it_is_without_an_answer(sandbox, order):
    refund = orphan(sandbox, order, when="before")
    make_older(Refund, minutes=6)
    sandbox.fault("status", "^/refunds/", method="GET", when="before", status=503, times=0)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.error_code) == ("pending", "")


def test_a_recent_orphan_is_left_alone(sandbox, order):
    refund = orphan(sandbox, order, when="before")

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refresh_calls(sandbox, "refunds")) == ("pending", 0)


def test_the_sweep_leaves_the_orphan_of_a_requested_refund(sandbox, order):
    refund = orphan(sandbox, order, when="before")
    make_older(Refund, minutes=6)

    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.next_attempt_at) == ("pending", None)
    assert sum(call["method"] == "POST" and call["path"] == "/refunds" for call in sandbox.calls()) == 1


def posts_of_refunds(sandbox) -> int:
    return sum(call["method"] == "POST" and call["path"] == "/refunds" for call in sandbox.calls())


def test_a_stuck_refund_is_refreshed_once_an_interval_by_any_sweep(sandbox, order, settings, caplog):
    caplog.set_level("INFO")
    refund = refund_of(order)
    make_older(Refund, hours=2)
    make_due(Refund)

    tasks.resend()

    refund.refresh_from_db()
    assert refund.next_attempt_at > timezone.now() + settings.RECONCILE_INTERVAL - timedelta(minutes=1)
    assert refresh_calls(sandbox, "refunds") == 1
    assert [line for line in caplog.messages if "'reconcile'" in line and str(refund.pk) in line]


def test_what_follows_from_a_sweeps_refresh_is_caused_by_reconcile(sandbox, order):
    refund = refund_of(order)
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
    make_due(Refund)

    tasks.resend()

    assert StatusChange.objects.get(subject_id=refund.pk, to_status="succeeded").cause_kind == "reconcile"


@pytest.mark.parametrize("check", [tasks.resend, lambda: check_refund(Refund.objects.get().pk, cause=RECONCILE)])
def test_an_external_refund_is_refreshed_and_never_sent(sandbox, order, check):
    key = payment_of(order).provider_key
    remote = sandbox.control("dashboard_refunds", payment_id=key, amount=5_00, status="pending", silent=True)
    listings.compare(cause=RECONCILE)
    make_due(Refund)

    check()

    refund = Refund.objects.get()
    assert (refund.source, refund.status, refund.hyperswitch_refund_id) == ("external", "pending", remote["refund_id"])
    assert (posts_of_refunds(sandbox), refresh_calls(sandbox, "refunds")) == (0, 1)


def test_an_unanswered_refund_is_updated_after_its_payment_is_locked(sandbox, order):
    refund = orphan(sandbox, order, when="after")

    with CaptureQueriesContext(connection) as ran:
        check_refund(refund.pk, cause=RECONCILE)

    payload = [query["sql"] for query in ran.captured_queries]
    payment_locked = next(
        at for at, sql in enumerate(payload) if 'FROM "payments_payment"' in sql and "FOR NO KEY" in sql
    )
    refund_updated = next(at for at, sql in enumerate(payload) if 'UPDATE "refunds"' in sql)
    assert payment_locked < refund_updated


@pytest.mark.parametrize("status", ["succeeded", "pending"])
def test_a_final_row_is_not_refreshed_again_after_an_answer(sandbox, order, status):
    refund = refund_of(order)
    deliver_refund(refund)
    sandbox.control(f"refunds/{refund.provider_key}", status=status, silent=True)
    make_due(Refund)
    make_due(Payment)

    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.next_attempt_at, payment_of(order).next_attempt_at) == ("succeeded", None, None)


def test_an_orphans_age_is_measured_by_the_databases_clock(sandbox, order):
    refund = orphan(sandbox, order, when="before")

    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert not is_orphan(refund)


def test_a_refund_that_was_never_sent_is_no_orphan_and_is_sent(sandbox, order):
    refund = refund_of(order)
    sandbox.reset()
    Refund.objects.update(first_sent_at=None, hyperswitch_refund_id=None, created_at=timezone.now() - timedelta(days=1))

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refresh_calls(sandbox, "refunds")) == ("pending", 0)


def test_an_automatic_refund_is_sent_again_and_never_failed_by_age(sandbox, order):
    refund = orphan(sandbox, order, when="before")
    Refund.objects.update(send_after=timezone.now() - timedelta(days=1))
    make_older(Refund, hours=20)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)


def test_nothing_is_refreshed_when_nothing_is_open(sandbox, order):
    refund = refund_of(order)
    deliver_refund(refund)
    make_older(Payment, days=1)
    make_older(Refund, days=1)

    tallies = reconcile.run(cause=RECONCILE)

    assert sum(tally.done + tally.failed for tally in tallies.values()) == 0


def during_the_read(monkeypatch, happens) -> None:
    """Run something after Hyperswitch has answered and before its answer reaches Veza."""
    read_refund = client.read_refund

    def read_slowly(*args, **options):
        answer = read_refund(*args, **options)
        happens()
        return answer

    monkeypatch.setattr(client, "read_refund", read_slowly)


def test_a_refund_that_ended_is_not_read_again_when_it_falls_due(sandbox, order):
    refund = orphan(sandbox, order, when="before")
    refunds.fail_orphan(refund.pk, cause=RECONCILE, at=timezone.now())
    make_due(Refund)

    tasks.resend()

    refund.refresh_from_db()
    assert (refund.next_attempt_at, refresh_calls(sandbox, "refunds")) == (None, 0)


@pytest.mark.parametrize("is_acknowledged", [True, False])
def test_a_call_that_was_not_sent_keeps_when_an_earlier_one_was(sandbox, order, is_acknowledged):
    sandbox.fault("drop", "^/refunds$", method="POST", when="after")
    refund = refund_of(order)
    if is_acknowledged:
        deliver(envelope("refund_succeeded", refund_object(refund, status="pending")))
    not_sent = NotSent("Hyperswitch could not be reached", Call("hyperswitch", "POST", "/refunds", 0, 5))

    refunds._record_outcome(refund.pk, not_sent, is_first=is_acknowledged, cause=RECONCILE)

    assert Refund.objects.get().first_sent_at is not None


def test_a_pending_refund_that_is_reported_again_is_refreshed_as_planned(sandbox, order):
    refund, due_at = refund_of(order), timezone.now() + timedelta(minutes=5)
    Refund.objects.update(next_attempt_at=due_at)

    deliver(envelope("refund_succeeded", refund_object(refund, status="pending")))

    assert Refund.objects.get().next_attempt_at == due_at


def test_an_acknowledged_refund_waits_for_the_reconciler(sandbox, order):
    refund = orphan(sandbox, order, when="after")

    check_refund(refund.pk, cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.hyperswitch_refund_id, refund.next_attempt_at) == (refund.provider_key, None)


def test_a_refund_that_failed_during_a_read_is_not_due_again(sandbox, order, monkeypatch):
    refund = orphan(sandbox, order, when="before")
    during_the_read(monkeypatch, lambda: refunds.fail_orphan(refund.pk, cause=RECONCILE, at=timezone.now()))

    check_refund(refund.pk, cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.next_attempt_at) == ("failed", None)


def test_an_acknowledged_refund_is_no_orphan_however_old(sandbox, order):
    refund = refund_of(order)
    make_older(Refund, days=1)

    assert not is_orphan(refund)
