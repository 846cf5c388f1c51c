"""How often one may ask, and that no header changes it."""

import pytest
from rest_framework.test import APIClient

from tests.factories import PersonFactory
from veza.core.api.throttles import MovingMoney, Reading

pytestmark = pytest.mark.django_db
PRODUCTS, ORDERS = "/api/v1/marketplace/products", "/api/v1/marketplace/orders"


@pytest.fixture
def three_a_minute(monkeypatch):
    rates = {"any": "3/min", "money": "3/min"}
    monkeypatch.setattr(Reading, "THROTTLE_RATES", rates)
    return monkeypatch.setattr(MovingMoney, "THROTTLE_RATES", rates)


def test_the_fourth_call_of_a_minute_is_told_when_to_come_back(three_a_minute):
    answers = [APIClient().get(PRODUCTS) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0


def test_a_forwarded_address_that_a_caller_invents_gains_nothing(three_a_minute):
    answers = [APIClient().get(PRODUCTS, headers={"X-Forwarded-For": f"9.9.9.{n}"}) for n in range(4)]

    assert answers[-1].status_code == 429


def test_behind_a_trusted_proxy_each_address_has_its_own_count(three_a_minute, settings):
    settings.TRUSTED_PROXIES = 1

    answers = [APIClient().get(PRODUCTS, headers={"X-Forwarded-For": f"9.9.9.{n}"}) for n in range(4)]

    assert {answer.status_code for answer in answers} == {200}


def test_a_person_is_counted_and_not_their_address(three_a_minute):
    for _ in range(2):
        client = APIClient()
        client.force_authenticate(PersonFactory())
        assert [client.get(ORDERS).status_code for _ in range(3)] == [200, 200, 200]


def test_looking_at_orders_does_not_use_up_placing_them(monkeypatch):
    monkeypatch.setattr(MovingMoney, "THROTTLE_RATES", {"money": "1/min"})
    client = APIClient()
    client.force_authenticate(PersonFactory())

    assert [client.get(ORDERS).status_code for _ in range(3)] == [200, 200, 200]
    assert [client.post(ORDERS, {}, format="json").status_code for _ in range(2)] == [400, 429]


def test_while_the_cache_is_away_the_shop_stays_open(monkeypatch):
    monkeypatch.setattr("veza.core.api.throttles.SimpleRateThrottle.allow_request", lambda *_: 1 / 0)

    assert APIClient().get(PRODUCTS).status_code == 200
