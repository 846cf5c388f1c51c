"""A seller opens an account at Stripe, returns, and is paid once Stripe shows transfers as active."""

from datetime import timedelta

import pytest
import requests
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.test import APIClient

from connect.accounts import AccountNotDisconnected, apply_account, disconnect_account, refresh_due
from connect.models import ConnectedAccount, SellerTransfer
from connect.stripe.calls import ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE
from connect.stripe.objects import OnboardingLink, RemoteAccount
from connect.transfers.transfer_requests import send_due
from tests.connect.factories import BY_TEST, long_ago, planned
from tests.connect.stripe_double import call, refuses, shows_account, times_out
from tests.factories import PersonFactory, SellerFactory
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/connect/account"
LINK = Accepted(OnboardingLink("https://connect.example/setup/1", 1_900_000_000), call())


@pytest.fixture
def seller():
    return SellerFactory()


def ask(api, country="DE"):
    return api.post(ADDRESS, {"country": country}, format="json")


def test_a_seller_without_an_account_has_the_status_none(api):
    assert api.get(ADDRESS).json()["status"] == "none"


def test_opening_an_account_answers_a_link_to_stripes_forms(stripe, api, settings):
    settings.PUBLIC_BASE_URL = "https://veza.example"
    stripe.will("create_account", shows_account(active=False))
    stripe.will("create_account_link", LINK)

    answer = ask(api)

    assert (answer.status_code, answer.json()["url"]) == (201, "https://connect.example/setup/1")
    params = stripe.params[-1][1]
    assert params["return_url"] == "https://veza.example/connect/returned"
    assert params["refresh_url"] == "https://veza.example/connect/refresh"


def test_a_repeated_request_makes_a_new_link_to_the_same_account(stripe, api):
    stripe.will("create_account", shows_account(active=False))
    stripe.will("read_account", shows_account(active=False))
    stripe.will("create_account_link", LINK, LINK)

    ask(api), ask(api)

    assert stripe.names() == ["create_account", "create_account_link", "read_account", "create_account_link"]


def test_an_unanswered_opening_is_repeated_under_the_same_key(stripe, api):
    stripe.will("create_account", times_out(), shows_account(active=False))
    stripe.will("create_account_link", LINK)

    assert (ask(api).status_code, ask(api, country="FR").status_code) == (503, 201)

    first, second = (params for name, params in stripe.params if name == "create_account")
    assert first == second


def test_a_refused_request_may_be_repeated_with_another_country(stripe, api):
    stripe.will("create_account", refuses("country_unsupported", "This country is not supported."))
    stripe.will("create_account", shows_account(active=False))
    stripe.will("create_account_link", LINK)

    first, second = ask(api, country="LI"), ask(api, country="FR")

    assert (first.status_code, first.json()["code"], second.status_code) == (400, "account_refused", 201)
    assert len(set(stripe.keys())) == 2
    assert [params["country"] for name, params in stripe.params if name == "create_account"] == ["LI", "FR"]


def test_a_buyer_opens_no_account(stripe):
    api = APIClient()
    api.force_authenticate(PersonFactory())

    assert ask(api).json()["code"] == "not_a_seller"
    assert stripe.params == []


@pytest.mark.parametrize("country", ["Germany", "de", "", "D1"])
def test_a_country_has_two_letters(stripe, api, country):
    assert ask(api, country=country).status_code == 400


def test_no_country_is_guessed_since_it_cannot_be_changed(stripe, api):
    answer = api.post(ADDRESS, {}, format="json")

    assert (answer.status_code, "country" in answer.content.decode(), stripe.params) == (400, True, [])


def test_coming_back_proves_nothing_the_account_is_read(stripe, api, seller):
    ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", details_submitted=True)
    stripe.will("read_account", shows_account(active=True))

    assert api.get(ADDRESS).json()["status"] == "active"


def test_the_open_requirements_are_shown_while_stripe_is_silent(stripe, api, seller):
    ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", currently_due=["external_account"])
    stripe.will("read_account", times_out())

    body = api.get(ADDRESS).json()

    assert (body["status"], body["currently_due"]) == ("onboarding", ["external_account"])


@pytest.mark.parametrize("page", ["/connect/returned", "/connect/refresh"])
def test_the_pages_stripe_sends_the_browser_to_are_there(client, page):
    assert client.get(page).status_code == 200


def test_a_transfer_waits_for_onboarding_and_goes_after_it(sandbox, api, seller):
    transfer = planned(seller)
    url = ask(api).json()["url"]
    send_due()
    assert SellerTransfer.objects.get(pk=transfer.pk).waiting_for == "account"

    requests.post(url, allow_redirects=False, timeout=10)
    assert api.get(ADDRESS).json()["status"] == "active"
    send_due()

    assert SellerTransfer.objects.get(pk=transfer.pk).status == "completed"


def test_a_seller_whose_webhooks_were_lost_is_paid_all_the_same(sandbox, seller):
    account = sandbox.create_account(active=False)
    ConnectedAccount.objects.create(seller=seller, stripe_account_id=account, country="DE")
    transfer = planned(seller)
    send_due()
    sandbox.control(f"accounts/{account}", transfers="active")

    refresh_due(), send_due()

    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("completed", "")


def test_an_account_that_becomes_active_wakes_what_waited_for_it_only(seller):
    row, later = planned(seller), timezone.now() + timedelta(hours=1)
    ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1")
    SellerTransfer.objects.update(waiting_for="platform_balance", next_retry_at=later)

    apply_account(seller_id=seller.pk, snapshot=RemoteAccount("acct_1", True, True, True, "DE"), at=timezone.now())

    assert SellerTransfer.objects.get(pk=row.pk).next_retry_at == later


def test_revoked_access_is_explained_to_the_seller_and_needs_review(stripe, api, seller):
    ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", country="DE")
    stripe.will("read_account", refuses(ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE, 403))

    answer = ask(api)

    assert (answer.status_code, answer.json()["code"]) == (400, "account_refused")
    assert ACCOUNT_DISCONNECTED_SENTENCE in answer.content.decode()
    assert ReviewItem.objects.get().kind == "account_gone"


def test_a_webhook_during_a_refresh_refreshes_again(stripe, seller):
    row = ConnectedAccount.objects.create(
        seller=seller, stripe_account_id="acct_1", country="DE", refresh_due_at=long_ago()
    )

    def another_webhook(_params):
        ConnectedAccount.objects.update(refresh_due_at=Now())
        return shows_account(active=False)

    stripe.will("read_account", another_webhook, shows_account(active=True))

    refresh_due(), refresh_due()

    row.refresh_from_db()
    assert (row.transfers_active, row.refresh_due_at) == (True, None)


def test_a_seller_opens_another_account_and_is_paid_there(stripe, api, seller):
    row = ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", country="DE")
    stripe.will("read_account", refuses(ACCOUNT_DISCONNECTED, status=403))
    ask(api)
    disconnect_account(account_id=row.pk, cause=BY_TEST)
    remote = RemoteAccount("acct_2", True, True, True, "FR")
    stripe.will("create_account", Accepted(remote, call()))
    stripe.will("create_account_link", LINK)

    body = ask(api, country="FR").json()

    assert (body["stripe_account_id"], body["status"]) == ("acct_2", "active")
    assert stripe.keys() == [f"{row.pk}:account:1"]
    assert ReviewItem.objects.get().closed_by == BY_TEST.actor


def test_a_late_refusal_to_read_an_account_does_not_revoke_the_next_one(stripe, seller):
    row = ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", refresh_due_at=long_ago())

    def another_account_meanwhile(_params):
        ConnectedAccount.objects.update(stripe_account_id="acct_2", transfers_active=True)
        return refuses(ACCOUNT_DISCONNECTED, status=403)

    stripe.will("read_account", another_account_meanwhile)
    refresh_due()

    row.refresh_from_db()
    assert (row.transfers_active, ReviewItem.objects.count()) == (True, 0)


@pytest.mark.parametrize("meanwhile", [{"stripe_account_id": "acct_2"}, {"key_epoch": 7}])
def test_a_late_refusal_to_open_an_account_leaves_the_one_opened_since(stripe, api, seller, meanwhile):
    def opened_meanwhile(_params):
        ConnectedAccount.objects.update(country="FR", **meanwhile)
        return refuses("country_unsupported")

    stripe.will("create_account", opened_meanwhile)
    ask(api)

    row = ConnectedAccount.objects.get()
    assert (row.country, row.key_epoch) == ("FR", meanwhile.get("key_epoch", 0))


def test_a_late_snapshot_of_a_disconnected_account_is_stale(stripe, seller):
    row = ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", refresh_due_at=long_ago())
    stripe.will("read_account", refuses(ACCOUNT_DISCONNECTED, status=403))
    read_at = timezone.now() - timedelta(seconds=2)
    refresh_due()
    disconnect_account(account_id=row.pk, cause=BY_TEST)

    apply_account(seller_id=seller.pk, snapshot=RemoteAccount("acct_1", True, True, True, "DE"), at=read_at)

    row.refresh_from_db()
    assert (row.stripe_account_id, row.transfers_active) == (None, False)


def test_an_account_with_access_is_not_disconnected(seller):
    row = ConnectedAccount.objects.create(seller=seller, stripe_account_id="acct_1", transfers_active=True)

    with pytest.raises(AccountNotDisconnected):
        disconnect_account(account_id=row.pk, cause=BY_TEST)


def test_a_seller_who_revoked_our_access_is_paid_on_another_account(sandbox, api, seller):
    ask(api)
    account, transfer = ConnectedAccount.objects.get(), planned(seller)
    sandbox.control(f"accounts/{account.stripe_account_id}", revoked=True)
    send_due(), refresh_due()

    disconnect_account(account_id=account.pk, cause=BY_TEST)
    requests.post(ask(api).json()["url"], allow_redirects=False, timeout=10)
    api.get(ADDRESS), send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"
    assert transfer.destination not in ("", account.stripe_account_id)
