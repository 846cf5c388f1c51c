"""An upgrade as a subscriber's browser requests it."""

import pytest
from django.utils import timezone

from subscriptions.models import Subscription
from tests.buying import deliver_payment
from tests.subscriptions.subscribing import client_of, days, last_payment, set_charge_outcome, subscribe
from tests.subscriptions.upgrading import dearer, midway

pytestmark = pytest.mark.django_db
PATH = "/api/v1/subscriptions/upgrade"


def preview(subscription: Subscription, plan):
    return client_of(subscription.user).post(f"{PATH}/preview", {"plan_id": str(plan.pk)}, format="json")


def post_upgrade(subscription: Subscription, plan, *, key: str | None = None, **fields):
    quote = preview(subscription, plan).json()
    body = {"plan_id": str(plan.pk), "quoted_at": quote["quoted_at"], "expected_total_minor": quote["total_minor"]}
    headers = {"Idempotency-Key": key} if key else {}
    return client_of(subscription.user).post(PATH, body | fields, format="json", headers=headers)


def test_the_preview_shows_price_credit_and_what_is_charged(sandbox):
    subscription = midway(sandbox)

    quote = preview(subscription, dearer()).json()

    assert (quote["price_net_minor"], quote["price_tax_minor"], quote["currency"]) == (30_00, 6_00, "EUR")
    credit_minor = quote["credit_net_minor"] + quote["credit_tax_minor"]
    assert quote["total_minor"] == 36_00 - credit_minor == quote["net_minor"] + quote["tax_minor"]
    assert 0 < credit_minor < 12_00
    assert subscription.invoices.count() == 1


def test_what_was_shown_is_charged(sandbox):
    subscription, plan = midway(sandbox), dearer()

    answer = post_upgrade(subscription, plan)

    payload = answer.json()
    assert (answer.status_code, payload["plan"]["id"], payload["invoice"]["status"]) == (201, str(plan.pk), "paid")
    assert payload["invoice"]["is_upgrade"]
    assert last_payment(subscription).amount_minor == payload["invoice"]["total_minor"]


@pytest.mark.parametrize(
    "fields",
    [{"expected_total_minor": 1}, {"quoted_at": "2026-01-01T00:00Z"}, {"quoted_at": "2100-01-01T00:00Z"}],
)
def test_another_total_or_an_old_preview_is_refused(sandbox, fields):
    subscription = midway(sandbox)

    answer = post_upgrade(subscription, dearer(), **fields)

    assert (answer.status_code, answer.json()["code"]) == (409, "quote_changed")
    assert subscription.invoices.count() == 1


def test_a_charge_in_progress_is_202_and_is_paid_by_the_webhook_once(sandbox):
    subscription, plan = midway(sandbox), dearer()
    set_charge_outcome(sandbox, "processing", subscription)
    answer = post_upgrade(subscription, plan)
    payment = last_payment(subscription)

    results = [deliver_payment(payment, event_id=f"evt_{number}").json()["result"] for number in range(2)]
    late = deliver_payment(payment, status="processing", amount_received=None).json()["result"]

    subscription.refresh_from_db()
    assert (answer.status_code, results, late) == (202, ["ok", "skipped: stale"], "skipped: stale")
    assert subscription.plan == plan


def test_a_retry_under_the_key_gets_the_first_answer(sandbox):
    subscription, plan = midway(sandbox), dearer()
    quote = preview(subscription, plan).json()
    body = {"plan_id": str(plan.pk), "quoted_at": quote["quoted_at"], "expected_total_minor": quote["total_minor"]}
    client = client_of(subscription.user)

    first, second = (client.post(PATH, body, format="json", headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["invoice"]["id"] == second.json()["invoice"]["id"]
    assert len(sandbox.truth()["movements"]) == 2


def test_a_request_that_died_after_the_charge_is_finished_under_its_key(sandbox):
    subscription, plan = midway(sandbox), dearer()
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    quote = preview(subscription, plan).json()
    body = {"plan_id": str(plan.pk), "quoted_at": quote["quoted_at"], "expected_total_minor": quote["total_minor"]}
    client = client_of(subscription.user)

    first, second = (client.post(PATH, body, format="json", headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 201)
    assert second.json()["plan"]["id"] == str(plan.pk)
    assert len(sandbox.truth()["movements"]) == 2


def test_an_unpaid_subscription_is_paid_first(sandbox):
    subscription = subscribe(dearer(), at=timezone.now() - days(0.01))

    answer = preview(subscription, dearer())

    assert (answer.status_code, answer.json()["code"]) == (403, "subscription_payment_required")


def test_a_yearly_credit_is_refused_with_the_way_on(sandbox):
    subscription = midway(sandbox, interval="year", price_minor=300_00)

    answer = preview(subscription, dearer())

    assert (answer.status_code, answer.json()["code"]) == (409, "credit_exceeds_price")
    assert "/api/v1/subscriptions/change" in answer.json()["detail"]
