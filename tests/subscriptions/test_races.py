"""Concurrent requests with real connections: one live subscription, one charge, one payment page."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from payments.models import Payment
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.subscribing import SubscribingMeanwhile
from subscriptions.tasks import run_due_subscriptions
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import (
    PlanFactory,
    activate,
    complete,
    invoices_of,
    last_payment,
    payments_of,
    press_button,
    subscribe,
)
from veza.core.errors import NotAllowed

pytestmark = pytest.mark.django_db(transaction=True)


def run_concurrently(work: Callable[[], Any], *, times: int = 4) -> list[Any]:
    """Run it in several threads at the same moment; what each returned or raised."""
    barrier, results = threading.Barrier(times), []

    def run() -> None:
        barrier.wait()
        try:
            results.append(work())
        except NotAllowed as refusal:
            results.append(refusal)
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_concurrent_requests_leave_one_live_subscription(sandbox):
    plan, user = PlanFactory(), PersonFactory()

    results = run_concurrently(lambda: subscribe(plan, user=user))

    assert {type(result) for result in results} <= {Subscription, SubscribingMeanwhile}
    assert Subscription.objects.filter(status="pending_payment").count() == 1


def test_concurrent_sweeps_charge_a_period_once(sandbox):
    subscription = activate(sandbox)
    Subscription.objects.filter(pk=subscription.pk).update(due_at=subscription.period_end_at)

    run_concurrently(run_due_subscriptions)

    assert (len(invoices_of(subscription)), len(payments_of(subscription))) == (2, 2)
    assert SubscriptionInvoice.objects.count() == 2


def test_concurrent_completions_open_one_page(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)

    run_concurrently(lambda: complete(subscription))

    assert Payment.objects.filter(status="pending").count() == 1


def test_concurrent_deliveries_of_one_update_apply_once(sandbox):
    subscription = subscribe(PlanFactory())
    payment = last_payment(subscription)

    results = run_concurrently(lambda: deliver_payment(payment).json()["result"])

    assert sorted(results) == ["ok"] + ["skipped: stale"] * 3
    assert Subscription.objects.get().status == "active"
