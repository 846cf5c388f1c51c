"""The sweep: remind, renew once, retry on schedule, expire after the grace period, and accept late payments."""

import pytest
from django.db import IntegrityError, transaction

from subscriptions.invoices import open_invoice
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.renewals import open_renewal, run_due
from subscriptions.tasks import run_due_subscriptions
from tests.buying import deliver_payment
from tests.emails import texts_to
from tests.subscriptions.subscribing import (
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    complete,
    days,
    deliver_update,
    free_plan,
    gives_access,
    invoices_of,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    run_sweep,
    set_charge_outcome,
    subscribe,
)
from veza.core.models import Heartbeat

pytestmark = pytest.mark.django_db


def past_due(sandbox) -> Subscription:
    """A subscription whose renewal was declined at its period's end."""
    subscription = activate(sandbox)
    set_charge_outcome(sandbox, "failed", subscription)
    run_sweep(subscription, subscription.period_end_at)
    assert subscription.status == "past_due"
    return subscription


def test_a_period_that_ends_is_renewed_by_the_saved_method(sandbox):
    subscription = activate(sandbox)
    end_at = subscription.period_end_at

    run_sweep(subscription, end_at)

    assert [invoice.status for invoice in invoices_of(subscription)] == ["paid", "paid"]
    assert (subscription.status, subscription.period_start_at) == ("active", end_at)
    assert (last_payment(subscription).off_session, last_payment(subscription).payment_url) == (True, "")


def test_the_thirty_first_comes_back_after_a_short_month(sandbox):
    subscription = activate(sandbox)
    ends = [subscription.period_end_at]
    for _ in range(2):
        run_sweep(subscription, ends[-1])
        ends.append(subscription.period_end_at)

    assert [(end.month, end.day) for end in ends] == [(2, 28), (3, 31), (4, 30)]


def test_a_year_of_a_yearly_plan_is_one_invoice(sandbox):
    subscription = activate(sandbox, PlanFactory(interval="year"))

    assert subscription.period_end_at == NOW.replace(year=2027)


def test_the_subscriber_is_reminded_once_before_a_renewal(sandbox):
    subscription = activate(sandbox)
    for before in (4, 3, 2, 1):
        run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at - days(before))

    (text,) = texts_to(subscription.user, "renewal_announced")
    assert "for €12.00" in text


def test_two_sweeps_open_one_charge(sandbox):
    subscription = activate(sandbox)
    for _ in range(2):
        open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at)

    assert (len(invoices_of(subscription)), len(payments_of(subscription))) == (2, 2)


def test_the_database_allows_one_invoice_per_period(sandbox):
    subscription = activate(sandbox)
    first = last_invoice(subscription)
    assert open_invoice(subscription, subscription.plan, start_at=first.period_start_at) == first

    first.pk = None
    with pytest.raises(IntegrityError, match="one_invoice_per_period"), transaction.atomic():
        SubscriptionInvoice.objects.create(
            subscription=subscription,
            plan=subscription.plan,
            period_start_at=first.period_start_at,
            period_end_at=first.period_end_at,
            net_minor=1,
            tax_minor=0,
            total_minor=1,
            currency="EUR",
        )


def test_a_charge_without_an_answer_is_not_repeated_under_another_id(sandbox):
    subscription = activate(sandbox)
    end_at = subscription.period_end_at
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    run_due(subscription.pk, cause=SWEEP, at=end_at)

    for hours in (1, 2, 3):
        run_due(subscription.pk, cause=SWEEP, at=end_at + days(hours / 24))

    assert len(payments_of(subscription)) == 2


def test_a_charge_whose_webhook_is_lost_is_refreshed(sandbox):
    subscription = activate(sandbox)
    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at)

    run_due(subscription.pk, cause=SWEEP, at=subscription.period_end_at + days(0.1))

    assert [invoice.status for invoice in invoices_of(subscription)] == ["paid", "paid"]


def test_a_processing_charge_keeps_access_within_the_grace_period(sandbox):
    subscription = activate(sandbox)
    end_at = subscription.period_end_at
    set_charge_outcome(sandbox, "processing", subscription)

    run_sweep(subscription, end_at)

    assert (subscription.status, len(payments_of(subscription))) == ("active", 2)
    assert gives_access(subscription, end_at + days(1))


def test_a_declined_renewal_is_past_due_with_access_in_the_grace_period(sandbox):
    subscription = past_due(sandbox)
    end_at = subscription.period_end_at

    assert last_invoice(subscription).status == "failed"
    assert (gives_access(subscription, end_at + days(6.9)), gives_access(subscription, end_at + days(7))) == (
        True,
        False,
    )


def test_a_renewal_is_retried_on_the_days_in_the_settings(sandbox, settings):
    subscription = past_due(sandbox)
    end_at, retry_days = subscription.period_end_at, []
    for half_days in range(1, 16):
        before = len(payments_of(subscription))
        run_sweep(subscription, end_at + days(half_days / 2))
        retry_days += [half_days / 2] * (len(payments_of(subscription)) - before)

    assert retry_days == [1, 3, 5]


def test_each_retry_is_a_new_payment_after_the_last_is_dead(sandbox):
    subscription = past_due(sandbox)
    set_charge_outcome(sandbox, "processing", subscription)
    run_sweep(subscription, subscription.period_end_at + days(1))

    run_sweep(subscription, subscription.period_end_at + days(4))

    assert [payment.status for payment in payments_of(subscription)] == ["succeeded", "failed", "processing"]


def test_a_retry_that_succeeds_keeps_the_period(sandbox):
    subscription = past_due(sandbox)
    end_at = subscription.period_end_at
    set_charge_outcome(sandbox, "succeeded", subscription)

    run_sweep(subscription, end_at + days(1))

    assert (subscription.status, subscription.period_start_at) == ("active", end_at)
    assert subscription.past_due_since_at is None


def test_after_the_grace_period_it_expires(sandbox):
    subscription = past_due(sandbox)
    for day in range(1, 8):
        run_sweep(subscription, subscription.period_end_at + days(day))

    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")
    assert subscription.due_at is None


def test_a_late_payment_buys_a_whole_period_from_then(sandbox):
    subscription = past_due(sandbox)
    end_at = subscription.period_end_at
    for day in range(1, 8):
        run_sweep(subscription, end_at + days(day))

    paid_at = end_at + days(10)
    complete(subscription, at=paid_at)
    press_button(sandbox, "pay", subscription, at=paid_at)

    assert (subscription.status, subscription.period_start_at) == ("active", paid_at)
    assert subscription.period_end_at == paid_at.replace(month=paid_at.month + 1)


def test_a_payment_after_the_whole_period_begins_a_new_one(sandbox):
    subscription = past_due(sandbox)
    much_later = subscription.period_end_at + days(90)
    for day in range(1, 8):
        run_sweep(subscription, subscription.period_end_at + days(day))

    complete(subscription, at=much_later)
    press_button(sandbox, "pay", subscription, at=much_later)

    assert (subscription.status, subscription.period_start_at) == ("active", much_later)


def test_a_trial_without_a_saved_method_is_past_due_without_access(sandbox):
    subscription = subscribe(PlanFactory(trial_days=14))
    end_at = subscription.period_end_at

    run_sweep(subscription, end_at)
    assert (subscription.status, gives_access(subscription, end_at)) == ("past_due", False)
    complete(subscription, at=end_at + days(2))
    press_button(sandbox, "pay", subscription, at=end_at + days(2))

    assert (subscription.status, subscription.period_start_at) == ("active", end_at + days(2))


def test_a_trial_that_stays_unpaid_expires(sandbox):
    subscription = subscribe(PlanFactory(trial_days=14))
    end_at = subscription.period_end_at

    run_sweep(subscription, end_at)
    run_sweep(subscription, end_at + days(7))

    assert (subscription.status, payments_of(subscription)) == ("expired", [])


def test_a_free_plan_renews_without_an_invoice():
    subscription = subscribe(free_plan())
    end_at = subscription.period_end_at

    run_sweep(subscription, end_at)

    assert (subscription.period_start_at, invoices_of(subscription)) == (end_at, [])


def test_an_unpaid_first_payment_is_closed_and_the_subscription_expires(sandbox):
    subscription = subscribe(PlanFactory())

    run_sweep(subscription, NOW + days(3_650))

    assert (subscription.status, last_payment(subscription).status) == ("expired", "cancelled")


def test_a_late_sweep_charges_the_method_before_it_expires_anything(sandbox):
    subscription = activate(sandbox)

    run_sweep(subscription, subscription.period_end_at + days(9))

    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


def test_a_method_unknown_to_the_provider_makes_it_past_due(sandbox):
    subscription = activate(sandbox)
    Subscription.objects.filter(pk=subscription.pk).update(hyperswitch_payment_method_id="pm_gone")

    run_sweep(subscription, subscription.period_end_at)

    assert (subscription.status, last_payment(subscription).status) == ("past_due", "failed")


def test_the_sweep_processes_due_subscriptions_only(sandbox):
    due, later = activate(sandbox, at=NOW), subscribe(free_plan())
    Subscription.objects.filter(pk=later.pk).update(due_at="2999-01-01T00:00:00Z")
    Subscription.objects.filter(pk=due.pk).update(due_at="2020-01-01T00:00:00Z")

    run_due_subscriptions()

    assert Heartbeat.objects.get(name="subscriptions.run_due").done == 1


def test_a_late_webhook_does_not_pay_a_renewal_twice(sandbox):
    subscription = activate(sandbox)
    run_sweep(subscription, subscription.period_end_at)

    deliver_payment(last_payment(subscription), event_id="late")
    deliver_update(last_payment(subscription))

    assert [invoice.status for invoice in invoices_of(subscription)] == ["paid", "paid"]
