"""The API of subscriptions, as a subscriber uses it."""

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from payments.models import LedgerAccount
from subscriptions import creators
from subscriptions.models import DistributionSubmission, Subscription
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from tests.subscriptions.subscribing import PlanFactory, activate_by_webhook, client_of, free_plan, last_payment
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db
API = "/api/v1"


def post_subscription(api: APIClient, plan, **headers):
    return api.post(f"{API}/subscriptions/subscribe", {"plan_id": str(plan.pk)}, format="json", headers=headers)


def subscribe_and_pay(api: APIClient, plan) -> Subscription:
    subscription = Subscription.objects.get(pk=post_subscription(api, plan).json()["id"])
    deliver_payment(last_payment(subscription))
    return subscription


def read_overview(api: APIClient) -> dict:
    return api.get(f"{API}/me/subscription").json()


def test_a_paid_plan_answers_with_the_page_and_the_secret(sandbox, api):
    answer = post_subscription(api, PlanFactory())

    payload = answer.json()
    assert (answer.status_code, payload["status"], payload["invoice"]["total_minor"]) == (201, "pending_payment", 12_00)
    assert payload["payment_url"].startswith(sandbox.url)
    assert payload["client_secret"].startswith(payload["hyperswitch_payment_id"])


def test_a_free_plan_answers_with_nothing_to_pay(api):
    payload = post_subscription(api, free_plan()).json()

    assert (payload["status"], payload["invoice"], payload["payment_url"]) == ("active", None, None)


def test_without_an_answer_it_is_accepted_and_completed_later(sandbox, api):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")

    answer = post_subscription(api, PlanFactory())
    later = api.post(f"{API}/subscriptions/complete/{answer.json()['id']}")

    assert (answer.status_code, answer.json()["payment_url"]) == (202, None)
    assert (later.status_code, later.json()["payment_url"] is not None) == (200, True)


def test_the_same_key_subscribes_once(sandbox, api):
    plan = PlanFactory()

    first, second = (post_subscription(api, plan, **{"Idempotency-Key": "k1"}).json() for _ in range(2))

    assert (first["id"], first["hyperswitch_payment_id"]) == (second["id"], second["hyperswitch_payment_id"])


def test_a_second_subscription_is_a_conflict_with_a_code(api):
    post_subscription(api, free_plan())

    answer = post_subscription(api, free_plan())

    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")


def test_a_plan_that_does_not_exist_is_404(api, user):
    answer = api.post(f"{API}/subscriptions/subscribe", {"plan_id": str(user.pk)}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (404, "plan_not_found")


def test_the_overview_shows_that_there_is_no_subscription(api):
    payload = read_overview(api)

    assert (payload["subscription"], payload["active"], payload["needs_payment"]) == (None, False, False)


def test_the_overview_shows_plan_and_period(sandbox, api):
    plan = PlanFactory()
    subscribe_and_pay(api, plan)

    payload = read_overview(api)
    assert (payload["active"], payload["needs_payment"], payload["plan"]["id"]) == (True, False, str(plan.pk))
    assert payload["period_end_at"] > payload["period_start_at"]


def test_the_overview_shows_that_a_payment_is_needed_and_how(sandbox, api):
    key = post_subscription(api, PlanFactory()).json()["id"]

    payload = read_overview(api)
    assert (payload["active"], payload["needs_payment"], f"complete/{key}" in payload["message"]) == (False, True, True)
    assert api.post(payload["complete_url"]).status_code == 200


def test_an_active_row_without_a_payment_needs_one(api, user):
    Subscription.objects.create(user=user, plan=PlanFactory(), status="active", anchor_day=1)

    assert (read_overview(api)["active"], read_overview(api)["needs_payment"]) == (False, True)


def test_a_paid_subscription_has_nothing_to_complete(sandbox, api):
    subscription = subscribe_and_pay(api, PlanFactory())

    answer = api.post(f"{API}/subscriptions/complete/{subscription.pk}")

    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_pay")


def test_a_subscription_of_another_user_is_404(sandbox, api):
    key = post_subscription(client_of(PersonFactory()), PlanFactory()).json()["id"]

    assert api.post(f"{API}/subscriptions/complete/{key}").status_code == 404


def test_cancel_and_change(sandbox, api):
    subscribe_and_pay(api, PlanFactory())
    dearer = PlanFactory(price_minor=99_00)

    change = api.post(f"{API}/subscriptions/change", {"plan_id": str(dearer.pk)}, format="json").json()
    later = api.post(f"{API}/subscriptions/cancel", {}, format="json").json()
    now = api.post(f"{API}/subscriptions/cancel", {"now": True}, format="json").json()

    assert change["next_plan"]["id"] == str(dearer.pk)
    assert (later["status"], later["cancel_at_period_end"], now["status"]) == ("active", True, "cancelled")


def test_cancelling_without_a_subscription_is_404(api):
    answer = api.post(f"{API}/subscriptions/cancel", {}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (404, "no_subscription")


def test_only_own_invoices_are_listed(sandbox, api):
    subscription = subscribe_and_pay(api, PlanFactory())
    subscribe_and_pay(client_of(PersonFactory()), PlanFactory())

    (invoice,) = api.get(f"{API}/subscriptions/invoices").json()["results"]
    assert invoice["subscription_id"] == str(subscription.pk)
    assert (invoice["status"], invoice["tax_minor"], invoice["total_minor"]) == ("paid", 2_00, 12_00)


def submit_work(api: APIClient):
    return api.post(f"{API}/distribution/submit", {"title": "Song", "artist": "Me"}, format="json")


def test_distribution_needs_a_payment(sandbox, api):
    post_subscription(api, PlanFactory())

    for answer in (api.get(f"{API}/distribution/eligibility"), submit_work(api)):
        assert (answer.status_code, answer.json()["code"]) == (403, "subscription_payment_required")


def test_distribution_needs_a_plan_that_includes_it(api):
    post_subscription(api, free_plan(can_distribute=False))

    for answer in (api.get(f"{API}/distribution/eligibility"), submit_work(api)):
        assert (answer.status_code, answer.json()["code"]) == (403, "plan_does_not_allow")


def test_a_paying_subscriber_may_distribute(sandbox, api):
    plan = PlanFactory()
    subscribe_and_pay(api, plan)

    assert api.get(f"{API}/distribution/eligibility").json()["plan"] == plan.name
    assert submit_work(api).status_code == 201


def test_a_submission_that_is_repeated_under_its_id_is_the_first(sandbox):
    subscription = activate_by_webhook(sandbox)
    work = {
        "submission_id": new_id(),
        "user_id": subscription.user_id,
        "artist": "Me",
        "note": "",
        "at": timezone.now(),
    }

    first = creators.submit_work(title="Song", **work)

    assert creators.submit_work(title="Another", **work) == first
    assert DistributionSubmission.objects.get().title == "Song"


def test_any_user_may_become_a_seller_once(api, user):
    first, second = (api.post(f"{API}/me/creator").json() for _ in range(2))

    assert (first, first["can_sell"]) == (second, False)
    assert LedgerAccount.objects.filter(code=f"seller:{user.pk}").exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "me/subscription"),
        ("post", "me/creator"),
        ("get", "subscriptions/invoices"),
        ("post", "subscriptions/subscribe"),
        ("post", "subscriptions/cancel"),
        ("post", "subscriptions/change"),
        ("post", "subscriptions/complete/0190a000-0000-7000-8000-000000000001"),
        ("get", "distribution/eligibility"),
        ("post", "distribution/submit"),
    ],
)
def test_every_endpoint_needs_a_login(method, path):
    assert getattr(APIClient(), method)(f"{API}/{path}").status_code == 401


def test_the_plans_are_public():
    PlanFactory()

    assert APIClient().get(f"{API}/subscriptions/plans").json()["results"][0]["can_distribute"] is True
