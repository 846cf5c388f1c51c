"""An upgrade now: charged once, begun when it is paid, and nothing changed when it is not."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments.collection.payment_requests import send_payment
from payments.models import Payment, Refund
from subscriptions.changes import cancel, change_plan
from subscriptions.models import Subscription
from subscriptions.renewals import run_due
from subscriptions.upgrades import request_upgrade
from tests.buying import deliver_dispute, deliver_refund
from tests.emails import texts_to
from tests.subscriptions.subscribing import (
    BY_USER,
    SWEEP,
    PlanFactory,
    days,
    deliver_update,
    free_plan,
    is_proved,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    refund_invoice,
    run_sweep,
    set_charge_outcome,
    subscribe,
)
from tests.subscriptions.upgrading import dearer, midway, upgrade
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def plan_and_period(subscription: Subscription) -> tuple[object, ...]:
    row = Subscription.objects.get(pk=subscription.pk)
    return row.plan_id, row.period_start_at, row.period_end_at, row.cancel_at_period_end, row.status


def without_card(subscription: Subscription) -> Subscription:
    Subscription.objects.filter(pk=subscription.pk).update(hyperswitch_payment_method_id="")
    return subscription


# --- Paid


def test_the_saved_card_is_charged_the_difference_and_the_plan_changes(sandbox):
    subscription, plan = midway(sandbox), dearer()

    checkout = upgrade(subscription, plan)

    invoice = last_invoice(subscription)
    assert (checkout.payment.status, checkout.payment.amount_minor) == ("succeeded", invoice.total_minor)
    assert invoice.total_minor + invoice.credit_minor == 36_00
    assert plan_and_period(subscription)[:2] == (plan.pk, invoice.period_start_at)
    assert is_proved(subscription)


def test_without_a_saved_card_it_is_paid_on_a_page(sandbox):
    subscription, plan = without_card(midway(sandbox)), dearer()
    before = plan_and_period(subscription)

    checkout = upgrade(subscription, plan)
    unpaid = plan_and_period(subscription)
    press_button(sandbox, "pay", subscription, at=timezone.now())

    assert (bool(checkout.payment_url), unpaid) == (True, before)
    assert (subscription.plan, bool(subscription.hyperswitch_payment_method_id)) == (plan, True)


def test_the_next_renewal_is_of_the_new_price_at_the_end_of_the_new_period(sandbox):
    subscription, plan = midway(sandbox), dearer()
    upgrade(subscription, plan)
    end_at = subscription.period_end_at

    run_sweep(subscription, end_at)

    assert (last_payment(subscription).amount_minor, subscription.period_start_at) == (36_00, end_at)


def test_an_upgrade_ends_a_trial_a_cancellation_and_a_planned_change(sandbox):
    subscription = subscribe(PlanFactory(trial_days=14), at=timezone.now() - days(1))
    change_plan(user_id=subscription.user_id, plan_id=free_plan().pk, cause=BY_USER, at=timezone.now())
    cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=timezone.now())

    upgrade(subscription, dearer())
    press_button(sandbox, "pay", subscription, at=timezone.now())

    assert (subscription.status, subscription.next_plan, subscription.cancel_at_period_end) == ("active", None, False)
    assert subscription.trial_ends_at <= timezone.now()


def test_a_second_upgrade_is_credited_the_whole_worth_of_the_first(sandbox):
    subscription = midway(sandbox)
    upgrade(subscription, dearer())

    upgrade(subscription, dearer(price_minor=90_00))

    assert last_invoice(subscription).credit_minor == 36_00
    assert is_proved(subscription)


def test_the_receipt_shows_the_credit(sandbox):
    subscription = midway(sandbox)
    upgrade(subscription, dearer())

    text = texts_to(subscription.user, "invoice_receipt")[-1]

    assert "Credit for the rest of your last plan" in text
    assert "€30.00" in text


# --- Not paid


@pytest.mark.parametrize("outcome", ["failed", "requires_customer_action"])
def test_a_charge_that_fails_leaves_everything_and_offers_a_page(sandbox, outcome):
    subscription = midway(sandbox)
    set_charge_outcome(sandbox, outcome, subscription)
    before = plan_and_period(subscription)

    checkout = upgrade(subscription, dearer())

    assert (bool(checkout.payment_url), plan_and_period(subscription)) == (True, before)
    assert "goes on as before" in texts_to(subscription.user, "upgrade_failed")[-1]


def test_the_page_after_a_failed_charge_upgrades_at_the_price_shown(sandbox):
    subscription, plan = midway(sandbox), dearer()
    set_charge_outcome(sandbox, "requires_customer_action", subscription)
    upgrade(subscription, plan)

    press_button(sandbox, "pay", subscription, at=timezone.now())

    assert (subscription.plan, last_invoice(subscription).status) == (plan, "paid")
    assert last_payment(subscription).amount_minor == last_invoice(subscription).total_minor
    assert texts_to(subscription.user, "upgrade_failed") == []


def test_a_card_that_its_bank_never_lets_be_charged_again_is_forgotten(sandbox):
    subscription = midway(sandbox)
    sandbox.control(f"customers/cus_{subscription.user_id.hex}", off_session_outcome="failed", error_code="stolen_card")

    upgrade(subscription, dearer())

    assert subscription.hyperswitch_payment_method_id == ""


def test_a_charge_in_progress_changes_nothing_until_the_bank_answers(sandbox):
    subscription, plan = midway(sandbox), dearer()
    set_charge_outcome(sandbox, "processing", subscription)
    before = plan_and_period(subscription)
    checkout = upgrade(subscription, plan)
    assert (checkout.payment.status, plan_and_period(subscription)) == ("processing", before)

    sandbox.control(f"payments/{checkout.payment.provider_key}", status="succeeded")
    for _twice in range(2):
        deliver_update(last_payment(subscription), at=timezone.now())

    assert plan_and_period(subscription)[0] == plan.pk
    assert len(payments_of(subscription)) == 2


# --- Without an answer, and twice


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_charge_without_an_answer_is_sent_again_and_made_once(sandbox, when):
    subscription, plan = midway(sandbox), dearer()
    sandbox.fault("drop", "^/payments$", method="POST", when=when)
    assert upgrade(subscription, plan).payment.status == "created"

    send_payment(last_payment(subscription).pk, cause=SWEEP)
    deliver_update(last_payment(subscription), at=timezone.now())

    assert plan_and_period(subscription)[0] == plan.pk
    assert len(sandbox.truth()["movements"]) == 2


def test_an_upgrade_that_was_not_sent_in_its_session_is_not_charged(sandbox):
    subscription, plan = midway(sandbox), dearer()
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    upgrade(subscription, plan)
    subscription.invoices.filter(is_upgrade=True).update(created_at=timezone.now() - timedelta(hours=2))

    send_payment(last_payment(subscription).pk, cause=SWEEP)

    assert (last_payment(subscription).status, subscription.plan == plan) == ("cancelled", False)
    assert len(sandbox.truth()["movements"]) == 1


def test_the_same_request_again_returns_the_same_upgrade(sandbox):
    subscription, plan, key = midway(sandbox), dearer(), new_id()
    at = timezone.now()
    first = upgrade(subscription, plan, at=at, invoice_id=key)
    fields = {"quoted_at": at, "expected_total_minor": first.invoice.total_minor}

    again = request_upgrade(
        invoice_id=key, user_id=subscription.user_id, plan_id=plan.pk, cause=BY_USER, at=at, **fields
    )

    assert (again.invoice, again.payment) == (first.invoice, first.payment)
    assert len(sandbox.truth()["movements"]) == 2


def test_a_second_click_gets_the_page_that_is_open(sandbox):
    subscription, plan = without_card(midway(sandbox)), dearer()

    first, second = upgrade(subscription, plan), upgrade(subscription, plan)

    assert first.payment_url == second.payment_url
    assert subscription.invoices.filter(is_upgrade=True).count() == 1


def test_a_second_click_during_a_charge_is_refused(sandbox):
    subscription, plan = midway(sandbox), dearer()
    set_charge_outcome(sandbox, "processing", subscription)
    upgrade(subscription, plan)

    with pytest.raises(Exception, match="in progress"):
        upgrade(subscription, plan)


def test_an_upgrade_to_another_plan_closes_the_page_of_the_first(sandbox):
    subscription, plan = without_card(midway(sandbox)), dearer(price_minor=50_00)
    upgrade(subscription, dearer())
    first = last_payment(subscription)

    upgrade(subscription, plan)

    first.refresh_from_db()
    assert (first.status, sandbox.pay(first.provider_key).status_code) == ("cancelled", 409)
    press_button(sandbox, "pay", subscription, at=timezone.now())
    assert subscription.plan == plan


# --- Withdrawn


def paid_too_late(sandbox, subscription: Subscription, page: Payment) -> Payment:
    """The page is paid before the worker has closed it."""
    sandbox.pay(page.provider_key)
    deliver_update(page, at=timezone.now())
    page.refresh_from_db()
    return page


@pytest.mark.parametrize("now", [True, False])
def test_what_is_paid_after_a_cancellation_goes_back(sandbox, now):
    subscription = without_card(midway(sandbox))
    page = upgrade(subscription, dearer()).payment
    cancel(user_id=subscription.user_id, now=now, cause=BY_USER, at=timezone.now())
    before = plan_and_period(subscription)

    paid_too_late(sandbox, subscription, page)

    assert page.refunds.get().amount_minor == page.amount_minor
    assert plan_and_period(subscription) == before


def test_the_end_of_the_period_withdraws_it_and_renews_the_old_plan(sandbox):
    subscription = midway(sandbox)
    set_charge_outcome(sandbox, "processing", subscription)
    upgrade(subscription, dearer())
    upgraded = last_payment(subscription)
    set_charge_outcome(sandbox, "succeeded", subscription)

    run_sweep(subscription, subscription.period_end_at)
    sandbox.control(f"payments/{upgraded.provider_key}", status="succeeded")
    deliver_update(upgraded, at=timezone.now())

    assert (last_payment(subscription).amount_minor, subscription.plan.price_minor) == (12_00, 10_00)
    assert upgraded.refunds.get().amount_minor == upgraded.amount_minor
    assert is_proved(subscription)


def test_a_refund_of_the_current_period_withdraws_it(sandbox):
    subscription = without_card(midway(sandbox))
    page = upgrade(subscription, dearer()).payment
    refund_invoice(subscription.invoices.get(is_upgrade=False), 3_00)

    paid_too_late(sandbox, subscription, page)

    assert page.refunds.get().amount_minor == page.amount_minor
    assert subscription.plan.price_minor == 10_00


def test_a_planned_change_withdraws_it(sandbox):
    subscription = without_card(midway(sandbox))
    upgrade(subscription, dearer())

    change_plan(user_id=subscription.user_id, plan_id=dearer().pk, cause=BY_USER, at=timezone.now())

    assert last_invoice(subscription).status == "void"


# --- Refunded


def refund_upgrade(subscription: Subscription) -> Refund:
    """Support refunds the whole difference, and the refund succeeds."""
    refund = refund_invoice(last_invoice(subscription))
    deliver_refund(refund)
    subscription.refresh_from_db()
    return refund


def test_a_refunded_upgrade_gives_back_the_plan_and_the_period_before(sandbox):
    subscription = midway(sandbox)
    before = plan_and_period(subscription)
    upgrade(subscription, dearer())

    refund_upgrade(subscription)

    assert plan_and_period(subscription)[:3] == before[:3]
    assert (subscription.status, subscription.cancel_at_period_end) == ("active", True)
    assert is_proved(subscription)


def test_after_a_refunded_upgrade_nothing_more_is_charged(sandbox):
    subscription = midway(sandbox)
    upgrade(subscription, dearer())
    refund_upgrade(subscription)

    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)

    assert (plan_and_period(subscription)[-1], len(payments_of(subscription))) == ("cancelled", 2)


def test_a_refund_of_an_upgrade_that_its_bank_returns_brings_it_back(sandbox):
    subscription = midway(sandbox)
    upgrade(subscription, dearer())
    upgraded = plan_and_period(subscription)
    refund = refund_upgrade(subscription)

    deliver_refund(refund, status="failed")

    assert plan_and_period(subscription) == upgraded
    assert is_proved(subscription)


def test_the_refund_of_an_earlier_upgrade_leaves_the_later_one(sandbox):
    subscription = midway(sandbox)
    upgrade(subscription, dearer())
    first = last_invoice(subscription)
    upgrade(subscription, dearer(price_minor=90_00))
    upgraded = plan_and_period(subscription)

    deliver_dispute(Payment.objects.get(hyperswitch_payment_id=first.hyperswitch_payment_id), "lost")

    assert plan_and_period(subscription) == upgraded


def test_what_an_upgrade_credited_is_not_refunded_again(sandbox):
    subscription = midway(sandbox)
    first = last_invoice(subscription)
    upgrade(subscription, dearer())

    refund = refund_invoice(first)

    assert refund.amount_minor == 12_00 - last_invoice(subscription).credit_minor
    assert plan_and_period(subscription)[-1] == "active"
    assert is_proved(subscription)
