"""How often one may ask, and that no header changes it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from tests.factories import PersonFactory
from veza.core.api.throttles import MovingMoney, Reading

pytestmark = pytest.mark.django_db
PRODUCTS, ORDERS = "/api/v1/marketplace/products", "/api/v1/marketplace/orders"


def anonymous_request() -> Request:
    request = Request(APIRequestFactory().get(PRODUCTS))
    request.user = AnonymousUser()
    return request


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
    monkeypatch.setattr("veza.core.api.throttles.count", lambda *_args, **_names: 1 / 0)

    assert APIClient().get(PRODUCTS).status_code == 200


def test_of_fifty_calls_at_once_no_more_pass_than_the_limit(settings, monkeypatch):
    monkeypatch.setattr(Reading, "THROTTLE_RATES", {"any": "10/min"})
    reading, request = Reading(), anonymous_request()

    with ThreadPoolExecutor(50) as threads:
        allowed = list(threads.map(lambda _: Reading().allow_request(request, None), range(50)))

    assert allowed.count(True) == 10
    assert not reading.allow_request(request, None)


def test_a_period_remembers_the_one_before(monkeypatch):
    monkeypatch.setattr(Reading, "THROTTLE_RATES", {"any": "10/min"})

    def calls_at(second: float, count: int) -> list[bool]:
        monkeypatch.setattr(Reading, "timer", lambda _: 6_000_000_000 + second)
        return [Reading().allow_request(anonymous_request(), None) for _ in range(count)]

    assert calls_at(59, 11) == [True] * 10 + [False]
    assert calls_at(60, 1) == [False]
    assert calls_at(90, 7) == [True] * 5 + [False] * 2


def test_a_refused_call_does_not_lengthen_the_wait(monkeypatch):
    monkeypatch.setattr(Reading, "THROTTLE_RATES", {"any": "2/min"})
    monkeypatch.setattr(Reading, "timer", lambda _: 6_000_000_000)
    for _ in range(30):
        Reading().allow_request(anonymous_request(), None)

    monkeypatch.setattr(Reading, "timer", lambda _: 6_000_000_000 + 90)

    assert Reading().allow_request(anonymous_request(), None)


def test_one_household_of_ipv6_is_one_caller(three_a_minute):
    answers = [APIClient().get(PRODUCTS, REMOTE_ADDR=f"2001:db8::{number:x}") for number in range(4)]

    assert answers[-1].status_code == 429
