"""Logging in: what a right password gives, what a wrong one costs, and what a copied token is worth."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import jwt
import pytest
import time_machine
from django.conf import settings as configured
from django.core.cache import cache
from django.db import connection
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from tests.core.conftest import PASSWORD
from veza.core.api import lockout, sessions
from veza.core.models import User

pytestmark = [pytest.mark.urls("tests.core.example_urls"), pytest.mark.django_db]
HOME = "/api/v1/calls"  # Any call that needs a person.


def log_in(api, email="buyer@example.com", password=PASSWORD, **extra):
    return api.post("/api/v1/auth/login", {"email": email, "password": password}, format="json", **extra)


def renew(api, token):
    return api.post("/api/v1/auth/refresh", {"refresh_token": token}, format="json")


def status_with(api, token) -> int:
    return api.get(HOME, HTTP_AUTHORIZATION=f"Bearer {token}").status_code


def test_a_right_password_gives_a_pair_of_tokens(api, buyer):
    answer = log_in(api).json()

    assert answer.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 600)
    assert status_with(api, answer["access_token"]) == 200


def test_an_email_address_is_the_same_in_any_case(api, buyer):
    assert log_in(api, email=" Buyer@Example.COM ").status_code == 200


def test_a_stale_token_in_the_header_does_not_keep_anybody_from_logging_in(api, buyer):
    assert log_in(api, HTTP_AUTHORIZATION="Bearer stale").status_code == 200


@pytest.mark.parametrize("case", ["wrong password", "unknown person", "closed account"])
def test_every_way_to_be_wrong_looks_the_same(api, buyer, case):
    User.objects.filter(pk=buyer.pk).update(is_active=case != "closed account")
    email = "nobody@example.com" if case == "unknown person" else buyer.email

    response = log_in(api, email, "wrong password!" if case == "wrong password" else PASSWORD)

    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    assert response.json()["detail"] == "E-mail address or password is wrong."


def test_an_unknown_person_costs_as_much_hashing_as_a_known_one(api, buyer, monkeypatch):
    hashes = []
    monkeypatch.setattr(
        "django.contrib.auth.hashers.MD5PasswordHasher.encode",
        lambda self, password, salt: hashes.append(password) or "md5$x$y",
    )

    log_in(api, email="nobody@example.com", password="wrong password!")
    log_in(api, password="wrong password!")

    assert hashes == ["wrong password!"] * 2


@pytest.mark.parametrize(
    "body",
    [{}, {"email": "buyer@example.com"}, {"email": 7, "password": []}, {"email": {"a": 1}, "password": "x"}],
)
def test_a_login_without_both_words_names_what_is_missing(api, db, body):
    response = api.post("/api/v1/auth/login", body, format="json")

    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")


def test_a_refresh_token_is_exchanged_for_a_new_pair_and_works_once(api, buyer):
    first = log_in(api).json()

    second = renew(api, first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert status_with(api, second["access_token"]) == 200
    assert renew(api, first["refresh_token"]).status_code == 401


def test_a_refresh_token_used_twice_ends_every_session_of_its_owner(api, buyer):
    stolen = log_in(api).json()["refresh_token"]
    fresh = renew(api, stolen).json()["refresh_token"]
    elsewhere = log_in(api).json()["refresh_token"]

    assert renew(api, stolen).status_code == 401

    assert renew(api, fresh).status_code == 401
    assert renew(api, elsewhere).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_of_two_who_exchange_one_token_at_once_one_gets_a_pair(api, buyer):
    token, together = log_in(api).json()["refresh_token"], Barrier(2)

    def exchange(_) -> int:
        try:
            together.wait(timeout=10)
            return renew(APIClient(), token).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(exchange, range(2))) == [200, 401]


def test_somebody_elses_sessions_go_on_when_a_token_is_used_twice(api, buyer):
    User.objects.create_user("other@example.com", PASSWORD)
    other = log_in(api, email="other@example.com").json()["refresh_token"]
    token = log_in(api).json()["refresh_token"]

    renew(api, token)
    renew(api, token)

    assert renew(api, other).status_code == 200


def test_a_changed_password_ends_the_sessions_before_it(api, buyer):
    session = log_in(api).json()
    buyer.set_password("another long password")
    buyer.save(update_fields=["password"])

    assert status_with(api, session["access_token"]) == 401
    assert renew(api, session["refresh_token"]).status_code == 401


def test_a_closed_account_cannot_go_on(api, buyer):
    session = log_in(api).json()
    User.objects.filter(pk=buyer.pk).update(is_active=False)

    assert status_with(api, session["access_token"]) == 401
    assert renew(api, session["refresh_token"]).status_code == 401


def test_tokens_end_by_themselves(api, buyer):
    session = log_in(api).json()

    with time_machine.travel(timedelta(minutes=11), tick=False):
        assert status_with(api, session["access_token"]) == 401
        assert renew(api, session["refresh_token"]).status_code == 200
    later = log_in(api).json()
    with time_machine.travel(timedelta(days=15), tick=False):
        assert renew(api, later["refresh_token"]).status_code == 401


def claims_of(user, **changes) -> dict:
    return AccessToken.for_user(user).payload | changes


def test_a_token_nobody_signed_is_not_believed(api, buyer):
    token = jwt.encode(claims_of(buyer), key=None, algorithm="none")

    assert status_with(api, token) == 401


def test_a_token_signed_with_another_key_or_way_is_not_believed(api, buyer):
    key = configured.SECRET_KEY

    assert status_with(api, jwt.encode(claims_of(buyer), "k" * 64, algorithm="HS256")) == 401
    assert status_with(api, jwt.encode(claims_of(buyer), key, algorithm="HS384")) == 401


@pytest.mark.parametrize("changes", [{"aud": "shop"}, {"iss": "other"}, {"exp": 1}, {"token_type": "refresh"}])
def test_a_token_made_for_something_else_is_not_believed(api, buyer, changes):
    token = jwt.encode(claims_of(buyer, **{"aud": "veza-api", "iss": "veza"} | changes), configured.SECRET_KEY)

    assert status_with(api, token) == 401


def test_the_two_kinds_of_token_do_not_replace_each_other(api, buyer):
    session = log_in(api).json()

    assert status_with(api, session["refresh_token"]) == 401
    assert renew(api, session["access_token"]).status_code == 401


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "eyJ.eyJ.x", 7, None])
def test_garbage_is_no_refresh_token(api, db, token):
    assert renew(api, token).status_code in {400, 401}


def test_a_refresh_token_we_never_recorded_is_refused(api, buyer):
    token = RefreshToken()
    token["user_id"] = str(buyer.pk)

    assert renew(api, str(token)).status_code == 401


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


def test_ending_all_sessions_leaves_none_to_renew(api, buyer):
    tokens = [log_in(api).json()["refresh_token"] for _ in range(3)]

    sessions.end_all(buyer)

    assert [renew(api, token).status_code for token in tokens] == [401] * 3
