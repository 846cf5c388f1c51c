"""What the reconciler asks about refunds: stuck ones are settled, orphans adopted, given up or sent again."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import tasks
from payments.models import Payment, Posting, Refund
from payments.reconciliation import listings as drift
from payments.reconciliation import refresh as reconcile
from payments.refunds import refund_requests as refunds
from payments.refunds.refund_requests import check_refund, is_orphan
from tests.buying import (
    deliver_refund,
    paid,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.payments.reconciling import RECONCILE, older, params
from veza.core.models import StatusChange

pytestmark = pytest.mark.django_db


def test_the_real_webhook_of_a_refund_after_the_reconciler_changes_nothing(sandbox, refundable):
    refund = refund_of(refundable)
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
    older(Refund, minutes=31)
    reconcile.run(cause=RECONCILE)
    before = Posting.objects.count()

    assert deliver_refund(refund).json() == {"result": "skipped: stale"}
    assert Posting.objects.count() == before


@pytest.fixture
def refundable(sandbox):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order


@pytest.mark.parametrize(
    ("outcome", "status", "order_status"),
    [("succeeded", "succeeded", "refunded"), ("failed", "failed", "completed")],
)
def test_a_stuck_refund_is_settled_with_the_providers_words(sandbox, refundable, outcome, status, order_status):
    refund = refund_of(refundable)
    payload = {"error_code": "54", "error_message": "No credit possible."} if outcome == "failed" else {}
    sandbox.control(f"refunds/{refund.provider_key}", status=outcome, silent=True, **payload)
    older(Refund, minutes=31)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    refundable.refresh_from_db()
    assert (refund.status, refund.error_message) == (status, payload.get("error_message", ""))
    assert refundable.status == order_status


def orphan(sandbox, order, *, when: str) -> Refund:
    """A refund whose answer never came, because it was lost or because the provider never saw the request."""
    sandbox.fault("drop", "^/refunds$", method="POST", when=when)
    refund = refund_of(order)
    assert refund.hyperswitch_refund_id is None
    return refund


def test_an_orphan_that_the_provider_knows_is_adopted(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="after")
    older(Refund, minutes=6)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)


def test_an_orphan_that_the_provider_does_not_know_is_failed_and_the_order_restored(sandbox, refundable, caplog):
    refund = orphan(sandbox, refundable, when="before")
    older(Refund, minutes=6)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    refundable.refresh_from_db()
    assert (refund.status, refundable.status) == ("failed", "completed")
    (payload,) = [record for record in caplog.records if "orphan failed" in record.getMessage()]
    assert payload.levelname == "ERROR"
    assert all(word in payload.getMessage() for word in ("'age_seconds': 36", "'status': 'pending'"))


def test_a_process_that_wakes_after_the_orphan_was_given_up_sends_nothing(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="before")
    older(Refund, minutes=6)
    reconcile.run(cause=RECONCILE)
    posts = sum(call["method"] == "POST" for call in sandbox.calls())

    assert refunds.send_refund(refund.pk, cause=RECONCILE) is None

    assert sum(call["method"] == "POST" for call in sandbox.calls()) == posts


def test_an_orphan_is_left_as_it_is_when_the_provider_does_not_say(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="before")
    older(Refund, minutes=6)
    sandbox.fault("status", "^/refunds/", method="GET", when="before", status=503, times=0)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.error_code) == ("pending", "")


def test_a_recent_orphan_is_left_alone(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="before")

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, params(sandbox, "refunds")) == ("pending", 0)


def test_the_sweep_does_not_send_a_persons_refund_again_and_leaves_the_orphan(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="before")
    older(Refund, minutes=6)

    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.next_attempt_at) == ("pending", None)
    assert sum(call["method"] == "POST" and call["path"] == "/refunds" for call in sandbox.calls()) == 1


def posted(sandbox) -> int:
    return sum(call["method"] == "POST" and call["path"] == "/refunds" for call in sandbox.calls())


def due_now(model) -> None:
    model.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_a_stuck_refund_is_asked_about_once_an_interval_by_whatever_sweep_takes_it(
    sandbox, refundable, settings, caplog
):
    caplog.set_level("INFO")
    refund = refund_of(refundable)
    older(Refund, hours=2)
    due_now(Refund)

    tasks.resend()

    refund.refresh_from_db()
    assert refund.next_attempt_at > timezone.now() + settings.RECONCILE_INTERVAL - timedelta(minutes=1)
    assert params(sandbox, "refunds") == 1
    assert [line for line in caplog.messages if "'reconcile'" in line and str(refund.pk) in line]


def test_what_a_sweep_learns_by_asking_about_a_refund_is_caused_by_asking(sandbox, refundable):
    refund = refund_of(refundable)
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
    due_now(Refund)

    tasks.resend()

    assert StatusChange.objects.get(subject_id=refund.pk, to_status="succeeded").cause_kind == "reconcile"


@pytest.mark.parametrize("check", [tasks.resend, lambda: check_refund(Refund.objects.get().pk, cause=RECONCILE)])
def test_a_refund_made_at_the_dashboard_is_asked_about_and_never_sent(sandbox, refundable, check):
    key = payment_of(refundable).provider_key
    made = sandbox.control("dashboard_refunds", payment_id=key, amount=5_00, status="pending", silent=True)
    drift.compare(cause=RECONCILE)
    due_now(Refund)

    check()

    refund = Refund.objects.get()
    assert (refund.source, refund.status, refund.hyperswitch_refund_id) == ("external", "pending", made["refund_id"])
    assert (posted(sandbox), params(sandbox, "refunds")) == (0, 1)


def test_an_unanswered_refund_is_touched_after_its_payment_is_locked(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="after")

    with CaptureQueriesContext(connection) as ran:
        check_refund(refund.pk, cause=RECONCILE)

    payload = [query["sql"] for query in ran.captured_queries]
    payment_locked = next(
        at for at, sql in enumerate(payload) if 'FROM "payments_payment"' in sql and "FOR NO KEY" in sql
    )
    touched = next(at for at, sql in enumerate(payload) if 'UPDATE "refunds"' in sql)
    assert payment_locked < touched


@pytest.mark.parametrize("status", ["succeeded", "pending"])
def test_a_settled_row_is_not_asked_about_again_once_the_provider_has_answered(sandbox, refundable, status):
    refund = refund_of(refundable)
    deliver_refund(refund)
    sandbox.control(f"refunds/{refund.provider_key}", status=status, silent=True)
    due_now(Refund)
    due_now(Payment)

    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.next_attempt_at, payment_of(refundable).next_attempt_at) == ("succeeded", None, None)


def test_whether_a_refund_is_an_orphan_is_read_from_the_clock_that_wrote_when_it_was_sent(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="before")

    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert not is_orphan(refund)


def test_a_refund_that_was_never_sent_is_no_orphan_and_is_sent(sandbox, refundable):
    refund = refund_of(refundable)
    sandbox.reset()
    Refund.objects.update(first_sent_at=None, hyperswitch_refund_id=None, created_at=timezone.now() - timedelta(days=1))

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, params(sandbox, "refunds")) == ("pending", 0)


def test_a_refund_that_a_sweep_sends_is_sent_again_under_its_id_and_never_failed_by_age(sandbox, refundable):
    refund = orphan(sandbox, refundable, when="before")
    Refund.objects.update(send_after=timezone.now() - timedelta(days=1))
    older(Refund, hours=20)

    reconcile.run(cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)


def test_nothing_open_is_nothing_asked(sandbox, refundable):
    refund = refund_of(refundable)
    deliver_refund(refund)
    older(Payment, days=1)
    older(Refund, days=1)

    tallies = reconcile.run(cause=RECONCILE)

    assert sum(tally.done + tally.failed for tally in tallies.values()) == 0
