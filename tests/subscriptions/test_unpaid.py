"""The clean-up: active without a payment is found, copied for support, expired; and found once."""

import json

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from subscriptions.models import Subscription, UnpaidSubscriptionAudit
from subscriptions.unpaid import expire_unpaid, find_unpaid
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import NOW, SWEEP, PlanFactory, activate, free_plan, subscribe

pytestmark = pytest.mark.django_db


def make_unpaid(**fields) -> Subscription:
    """Active without a payment, as after an import or an old bug."""
    return Subscription.objects.create(
        user=PersonFactory(), plan=PlanFactory(), status="active", anchor_day=1, **fields
    )


def run(*options: str) -> dict:
    output = []
    out = type("Out", (), {"write": lambda self, text: output.append(text), "flush": lambda self: None})()
    call_command("expire_unpaid_subscriptions", "--json", *options, stdout=out)
    return json.loads(output[-1])


def test_only_subscriptions_without_an_effective_payment_are_found(sandbox):
    activate(sandbox), subscribe(free_plan()), subscribe(PlanFactory(trial_days=9)), subscribe(PlanFactory())
    unpaid = make_unpaid()

    assert list(find_unpaid(at=NOW)) == [unpaid]


def test_a_dry_run_changes_nothing():
    make_unpaid()

    assert run("--dry-run") == {"found": 1, "expired": 0, "dry_run": True}

    assert UnpaidSubscriptionAudit.objects.count() == 0


def test_the_row_is_copied_with_its_date_and_expired():
    unpaid = make_unpaid(hyperswitch_customer_id="cus_old")

    assert run() == {"found": 1, "expired": 1, "dry_run": False}

    unpaid.refresh_from_db()
    audit = UnpaidSubscriptionAudit.objects.get(subscription=unpaid)
    assert (unpaid.status, audit.status, audit.user_id) == ("expired", "active", unpaid.user_id)
    assert (audit.row["hyperswitch_customer_id"], audit.row["id"], audit.invoices) == ("cus_old", str(unpaid.pk), [])


def test_a_second_run_finds_nothing():
    make_unpaid()
    run()

    assert run() == {"found": 0, "expired": 0, "dry_run": False}


def test_a_paid_subscription_is_not_expired(sandbox):
    subscription = activate(sandbox)

    assert not expire_unpaid(subscription.pk, cause=SWEEP, at=NOW)


def test_the_audit_cannot_be_changed():
    make_unpaid()
    run()

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        UnpaidSubscriptionAudit.objects.update(reason="nothing")
