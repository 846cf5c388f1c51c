"""What subscribers are told: receipts, renewals and how to pay them, and the end."""

import pytest
from django.test import Client

from subscriptions.changes import cancel, change_plan
from subscriptions.messages.renewals import payment_link
from tests.buying import answer_dispute, deliver_refund
from tests.emails import composed, mark_sent, texts_to, written_to
from tests.subscriptions.subscribing import (
    BY_USER,
    SWEEP,
    PlanFactory,
    activate,
    days,
    payments_of,
    press_button,
    refund_invoice,
    run_sweep,
    set_charge_outcome,
    subscribe,
)
from veza.core.api.throttles import MovingMoney
from veza.core.email.content import Outdated
from veza.core.models import Email

pytestmark = pytest.mark.django_db


def past_due(sandbox):
    """A subscription whose renewal was declined."""
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    return run_sweep(subscription, subscription.period_end_at)


def test_a_paid_invoice_has_a_receipt_for_its_period(sandbox):
    subscription = activate(sandbox)

    (text,) = texts_to(subscription.user, "invoice_receipt")
    assert ("Total: €12.00" in text, "31 January 2026" in text) == (True, True)


def test_an_announced_renewal_is_of_the_amount_that_is_charged(sandbox):
    subscription = activate(sandbox)
    run_sweep(subscription, subscription.period_end_at - days(2))
    (text,) = texts_to(subscription.user, "renewal_announced")
    run_sweep(subscription, subscription.period_end_at)

    charge = payments_of(subscription)[-1]
    assert (charge.amount_minor, "for €12.00" in text) == (12_00, True)


def test_another_plan_after_the_announcement_is_announced_instead(sandbox):
    subscription = activate(sandbox)
    at = subscription.period_end_at - days(2)
    run_sweep(subscription, at)
    change_plan(user_id=subscription.user_id, plan_id=PlanFactory(price_minor=50_00).pk, cause=BY_USER, at=at)
    run_sweep(subscription, at)

    (text,) = texts_to(subscription.user, "renewal_announced")
    assert "for €60.00" in text
    assert len(written_to(subscription.user, "renewal_announced")) == 2


def test_a_plan_that_is_changed_back_is_announced_again_once(sandbox):
    subscription = activate(sandbox)
    at, plans = subscription.period_end_at - days(2), [PlanFactory(price_minor=50_00), subscription.plan]
    run_sweep(subscription, at)
    Email.objects.update(status="sent", next_attempt_at=None)
    for plan in plans:
        change_plan(user_id=subscription.user_id, plan_id=plan.pk, cause=BY_USER, at=at)
        run_sweep(subscription, at)
        run_sweep(subscription, at)

    texts = [written.occasion.split()[1][:36] for written in written_to(subscription.user, "renewal_announced")]
    assert texts == [str(plan.pk) for plan in (subscription.plan, *plans)]
    assert "for €12.00" in texts_to(subscription.user, "renewal_announced")[-1]


def test_a_renewal_that_was_cancelled_is_not_announced_any_more(sandbox):
    subscription = activate(sandbox)
    at = subscription.period_end_at - days(2)
    run_sweep(subscription, at)
    cancel(user_id=subscription.user_id, now=False, cause=SWEEP, at=at)

    assert texts_to(subscription.user, "renewal_announced") == []


def test_a_failed_renewal_comes_with_a_link_that_leads_to_the_payment_page(sandbox):
    subscription = past_due(sandbox)
    (text,) = texts_to(subscription.user, "renewal_failed")
    link = payment_link(subscription)
    path = link.removeprefix("http://127.0.0.1:8000")
    assert path.rpartition(":")[0].rpartition(":")[0] in text

    page, answer = Client().get(path), Client().post(path)

    assert (page.status_code, b"<button>" in page.content) == (200, True)
    assert (answer.status_code, answer.url.startswith(f"{sandbox.url}/payment_link/")) == (303, True)


def test_opening_the_link_changes_nothing_and_a_changed_one_is_no_link(sandbox):
    subscription = past_due(sandbox)
    before = len(payments_of(subscription))
    path = payment_link(subscription).removeprefix("http://127.0.0.1:8000")
    Client().get(path)

    assert len(payments_of(subscription)) == before
    assert Client().post(path + "x").status_code == 404


def test_whoever_has_the_link_cannot_call_the_provider_without_end(sandbox, monkeypatch, caplog):
    monkeypatch.setattr(MovingMoney, "THROTTLE_RATES", {"money": "1/min"})
    path = payment_link(past_due(sandbox)).removeprefix("http://127.0.0.1:8000")
    caplog.set_level("INFO", logger="veza.core.api.middleware")
    caplog.clear()

    assert [Client().post(path).status_code for _ in range(2)] == [303, 429]
    assert {record.msg["path"] for record in caplog.records if "path" in record.msg} == {"/pay/…"}


def test_a_renewal_that_was_paid_meanwhile_is_not_reported_as_failed(sandbox):
    subscription = past_due(sandbox)
    (email,) = written_to(subscription.user, "renewal_failed")
    set_charge_outcome(sandbox, "succeeded", subscription)
    run_sweep(subscription, subscription.due_at)

    assert composed(email) == Outdated("The renewal is not past due any more.")


@pytest.mark.parametrize(("end", "words"), [("cancel", "It was cancelled"), ("refund", "returned to you")])
def test_the_end_of_a_subscription_says_why(sandbox, end, words):
    subscription = activate(sandbox)
    if end == "cancel":
        cancel(user_id=subscription.user_id, now=True, cause=SWEEP, at=subscription.period_start_at + days(1))
    else:
        deliver_refund(refund_invoice(subscription.invoices.get()))

    (text,) = texts_to(subscription.user, "subscription_ended")
    assert words in text


@pytest.mark.parametrize(
    ("statuses", "message", "words"),
    [
        ([], "invoice_refund_requested", "Requested by: Our support"),
        (["succeeded"], "invoice_refund_sent", "on its way"),
        (["failed"], "invoice_refund_failed", "could not be made"),
        (["succeeded", "failed"], "invoice_refund_returned", "your bank returned it"),
    ],
)
def test_a_subscriber_hears_what_becomes_of_a_refund(sandbox, statuses, message, words):
    subscription = activate(sandbox)
    refund = refund_invoice(subscription.invoices.get())
    for status in statuses:
        deliver_refund(refund, status=status)

    (text,) = texts_to(subscription.user, message)
    assert words in text


@pytest.mark.parametrize(
    ("status", "words"),
    [("opened", "goes on while the bank decides"), ("lost", "gives no access any more"), ("won", "is not affected")],
)
def test_a_dispute_says_what_it_means_for_the_subscription(sandbox, status, words):
    subscription = activate(sandbox)
    answer_dispute(payments_of(subscription)[0], status)

    (text,) = texts_to(subscription.user, f"invoice_dispute_{status}")
    assert words in text


def test_a_subscription_that_was_never_paid_ends_in_silence(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)

    assert not Email.objects.exists()


def test_a_decision_that_the_bank_changes_twice_is_told_each_time(sandbox):
    subscription = activate(sandbox)
    (payment,) = payments_of(subscription)
    for status in ("won", "lost", "won"):
        answer_dispute(payment, status)
        mark_sent(subscription.user)

    told = [email.message for email in written_to(subscription.user) if "dispute" in email.message]
    assert told == [f"invoice_dispute_{status}" for status in ("won", "lost", "won")]
