"""Accounts are opened where Stripe pays our sellers, under the agreement of their region."""

import pytest
from rest_framework.test import APIClient

from connect.models import ConnectedAccount
from connect.stripe.regions import COUNTRIES, service_agreement
from tests.connect.builders import movements, send
from tests.connect.factories import planned
from tests.factories import SellerFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def person():
    return SellerFactory()


def ask(person, country: str):
    api = APIClient()
    api.force_authenticate(person)
    return api.post("/api/v1/connect/account", {"country": country}, format="json")


@pytest.mark.parametrize(
    ("platform", "country", "agreement"),
    [
        ("FR", "DE", "full"),
        ("FR", "NO", "full"),
        ("FR", "GB", "recipient"),
        ("FR", "CH", "recipient"),
        ("FR", "US", "recipient"),
        ("US", "US", "full"),
        ("US", "FR", "recipient"),
        ("GB", "GB", "full"),
        ("FR", "AU", ""),
        ("FR", "JP", ""),
    ],
)
def test_the_agreement_follows_from_both_regions(platform, country, agreement):
    assert service_agreement(country, platform_country=platform) == agreement


def test_every_country_is_in_one_region():
    assert len(COUNTRIES) == 34
    assert all(service_agreement(country, platform_country=country) == "full" for country in COUNTRIES)


def test_a_seller_elsewhere_is_refused_at_the_door(sandbox, person):
    answer = ask(person, "AU")

    assert (answer.status_code, answer.json()["code"]) == (400, "country_not_served")
    assert "no sellers in AU" in answer.json()["detail"]
    assert not ConnectedAccount.objects.exists()


@pytest.mark.parametrize(("country", "agreement"), [("FR", "full"), ("US", "recipient")])
def test_a_seller_in_a_served_country_is_paid(sandbox, person, country, agreement):
    account_id = ask(person, country).json()["stripe_account_id"]
    sandbox.control(f"accounts/{account_id}", transfers="active")
    ask(person, country)

    transfer = send(planned(person))

    assert (transfer.status, movements(sandbox, "transfer")) == ("completed", [9_00])
    remote = sandbox.stripe("GET", f"/v1/accounts/{account_id}").json()
    assert remote["tos_acceptance"]["service_agreement"] == agreement


def test_transfers_alone_need_an_approval_of_stripe(sandbox, person, settings):
    settings.STRIPE_CAPABILITIES = ["transfers"]

    answer = ask(person, "FR")

    assert (answer.status_code, answer.json()["code"]) == (400, "account_refused")
    assert "needs approval" in answer.json()["detail"]


def test_a_request_without_an_answer_is_repeated_for_its_country(sandbox, person):
    sandbox.fault("drop", "^/v1/accounts$", method="POST", when="before")
    assert ask(person, "FR").status_code == 503

    assert ask(person, "AU").json()["country"] == "FR"
