"""How often a password may be tried, and who is not locked out by another's tries."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache

from tests.core.conftest import PASSWORD
from veza.core.api import lockout
from veza.core.models import User

pytestmark = [pytest.mark.urls("tests.core.example_urls"), pytest.mark.django_db]
WRONG = "wrong password!"
HOME_NETWORK, OTHER = "203.0.113.7", "198.51.100.1"


def log_in(api, email="buyer@example.com", password=PASSWORD, **extra):
    return api.post("/api/v1/auth/login", {"email": email, "password": password}, format="json", **extra)


def guess(api, email="buyer@example.com", **extra) -> int:
    return log_in(api, email, WRONG, **extra).status_code


def guess_from_many_networks(api, count: int) -> list[int]:
    return [guess(api, REMOTE_ADDR=f"192.0.2.{number // 5 + 1}") for number in range(count)]


def test_after_ten_wrong_passwords_even_the_right_one_is_not_looked_at(api, buyer):
    statuses = [log_in(api, password="wrong password!").status_code for _ in range(10)]

    response = log_in(api)

    assert set(statuses) == {401}
    assert (response.status_code, response.json()["code"]) == (429, "too_many_tries")
    assert int(response["Retry-After"]) <= lockout.WINDOW_SECONDS


@pytest.mark.parametrize("proxies", [0, 1])
def test_a_forwarded_address_the_caller_writes_does_not_open_the_lock(api, buyer, settings, proxies):
    settings.TRUSTED_PROXIES = proxies

    def try_from(number):
        seen_by_proxy = f"6.6.6.{number}, 203.0.113.7"
        return log_in(api, password="wrong password!", HTTP_X_FORWARDED_FOR=seen_by_proxy).status_code

    assert [try_from(number) for number in range(11)] == [401] * 10 + [429]


def test_a_person_is_not_locked_out_by_somebody_at_another_address(api, buyer):
    for _ in range(11):
        log_in(api, password="wrong password!", REMOTE_ADDR="198.51.100.1")

    assert log_in(api, REMOTE_ADDR="203.0.113.7").status_code == 200


def test_an_ipv6_customer_has_one_lock_for_all_of_their_addresses(api, buyer):
    tries = [
        log_in(api, password="wrong password!", REMOTE_ADDR=f"2001:db8::{number:x}").status_code for number in range(11)
    ]

    assert tries == [401] * 10 + [429]


def test_one_address_cannot_try_one_password_on_everybody(api, db):
    tries = [log_in(api, email=f"user{number}@example.com").status_code for number in range(101)]

    assert tries == [401] * 100 + [429]


def test_a_right_password_forgives_the_slips_before_it(api, buyer):
    for _ in range(2):
        for _ in range(9):
            log_in(api, password="wrong password!")
        assert log_in(api).status_code == 200


def test_people_can_log_in_while_the_cache_is_away(api, buyer, monkeypatch):
    def away(*args, **kwargs):
        raise ConnectionError

    monkeypatch.setattr(cache, "incr", away)
    monkeypatch.setattr(cache, "delete", away)

    assert log_in(api).status_code == 200


def test_guesses_from_many_networks_have_one_limit_per_user(api, buyer):
    statuses = guess_from_many_networks(api, 200)

    assert statuses == [401] * lockout.TRIES_PER_USER + [429] * (200 - lockout.TRIES_PER_USER)


def test_guesses_from_elsewhere_do_not_lock_out_a_known_network(api, buyer):
    log_in(api, REMOTE_ADDR=HOME_NETWORK)
    guess_from_many_networks(api, 200)

    assert log_in(api, REMOTE_ADDR=HOME_NETWORK).status_code == 200
    assert log_in(api, REMOTE_ADDR=OTHER).status_code == 429


def test_the_password_works_again_when_the_window_is_over(api, buyer, monkeypatch):
    monkeypatch.setattr(lockout, "WINDOW_SECONDS", 1)
    monkeypatch.setattr(lockout, "TRIES_PER_USER", 3)

    assert guess_from_many_networks(api, 5)[-1] == 429
    time.sleep(1.5)

    assert log_in(api, REMOTE_ADDR=OTHER).status_code == 200


def test_a_network_is_known_for_thirty_days(api, buyer):
    log_in(api, REMOTE_ADDR=HOME_NETWORK)
    guess_from_many_networks(api, 200)

    with time_machine.travel(timedelta(days=31), tick=False):
        assert log_in(api, REMOTE_ADDR=HOME_NETWORK).status_code == 429


def test_right_logins_do_not_count_against_their_network(api, buyer):
    users = [User.objects.create_user(f"user{number}@example.com", PASSWORD) for number in range(5)]

    statuses = {log_in(api, users[number % 5].email).status_code for number in range(lockout.TRIES_PER_NETWORK + 5)}

    assert statuses == {200}
    assert guess(api) == 401


def test_right_logins_of_a_known_network_open_no_room_for_guesses(api, buyer):
    for _ in range(20):
        log_in(api)

    guesses = [guess(api, f"user{number}@example.com") for number in range(lockout.TRIES_PER_NETWORK + 1)]

    assert guesses == [401] * lockout.TRIES_PER_NETWORK + [429]


def test_strangers_behind_the_same_address_do_not_lock_out_staff(api, db):
    User.objects.create_superuser("boss@example.com", PASSWORD)
    log_in(api, "boss@example.com")
    for number in range(lockout.TRIES_PER_NETWORK + 1):
        guess(api, f"user{number}@example.com")

    assert log_in(api, "boss@example.com").status_code == 200
    assert log_in(api, "buyer@example.com").status_code == 429


def test_a_known_network_has_the_limit_of_its_pair(api, buyer):
    log_in(api, REMOTE_ADDR=HOME_NETWORK)

    assert [guess(api, REMOTE_ADDR=HOME_NETWORK) for _ in range(11)] == [401] * 10 + [429]
