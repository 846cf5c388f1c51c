"""Logging in: what a right password gives, what a wrong one costs, and what a copied token is worth."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import jwt
import pytest
import time_machine
from django.conf import settings as configured
from django.db import connection
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from tests.core.conftest import PASSWORD
from veza.core.api import sessions
from veza.core.models import SignInMethod, User

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


def test_a_refresh_token_is_exchanged_for_a_new_pair(api, buyer):
    first = log_in(api).json()

    second = renew(api, first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert status_with(api, second["access_token"]) == 200


def test_a_lost_answer_is_given_again_for_some_seconds(api, buyer):
    first = log_in(api).json()["refresh_token"]

    lost, second = (renew(api, first).json() for _ in range(2))

    with time_machine.travel(sessions.ANSWERED_AGAIN_FOR, tick=False):
        assert status_with(api, lost["access_token"]) == 200
        assert renew(api, second["refresh_token"]).status_code == 200


def test_an_exchange_of_long_ago_ends_every_session_and_access(api, buyer):
    stolen = log_in(api).json()["refresh_token"]
    fresh = renew(api, stolen).json()
    elsewhere = log_in(api).json()

    with time_machine.travel(sessions.ANSWERED_AGAIN_FOR, tick=False):
        assert renew(api, stolen).status_code == 401

    for pair in (fresh, elsewhere):
        assert renew(api, pair["refresh_token"]).status_code == 401
        assert status_with(api, pair["access_token"]) == 401


def test_an_exchange_before_the_last_ends_every_session_at_once(api, buyer):
    first = log_in(api).json()["refresh_token"]
    third = renew(api, renew(api, first).json()["refresh_token"]).json()

    assert renew(api, first).status_code == 401
    assert status_with(api, third["access_token"]) == 401


@pytest.mark.django_db(transaction=True)
def test_two_exchanges_at_once_get_the_same_renewal(api, buyer):
    token, together = log_in(api).json()["refresh_token"], Barrier(2)

    def exchange(_) -> str:
        try:
            together.wait(timeout=10)
            return renew(APIClient(), token).json()["refresh_token"]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        renewals = [RefreshToken(text)["renewal"] for text in threads.map(exchange, range(2))]

    assert renewals == [1, 1]


def test_no_usable_token_is_stored(api, buyer):
    pair = log_in(api).json()

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(core_apisession)::text FROM core_apisession")
        stored = cursor.fetchone()[0]

    parts = [*pair["access_token"].split("."), *pair["refresh_token"].split(".")]
    assert not [part for part in parts if part in stored]


def test_logging_out_ends_this_session_and_leaves_the_others(api, buyer):
    mine, other = log_in(api).json(), log_in(api).json()

    answer = api.post("/api/v1/auth/logout", {}, format="json", HTTP_AUTHORIZATION=f"Bearer {mine['access_token']}")

    assert answer.status_code == 204
    assert (status_with(api, mine["access_token"]), renew(api, mine["refresh_token"]).status_code) == (401, 401)
    assert (status_with(api, other["access_token"]), renew(api, other["refresh_token"]).status_code) == (200, 200)


def test_logging_out_everywhere_ends_all_sessions(api, buyer):
    mine, other = log_in(api).json(), log_in(api).json()
    header = f"Bearer {mine['access_token']}"

    api.post("/api/v1/auth/logout", {"everywhere": True}, format="json", HTTP_AUTHORIZATION=header)

    assert [status_with(api, pair["access_token"]) for pair in (mine, other)] == [401, 401]


@pytest.mark.parametrize("environment", ["sandbox", "live"])
def test_a_staff_password_alone_opens_no_api(api, buyer, settings, environment):
    session = log_in(api).json()
    User.objects.filter(pk=buyer.pk).update(is_staff=True)
    settings.VEZA_ENVIRONMENT = environment

    refused = log_in(api)

    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_needed")
    assert (status_with(api, session["access_token"]), renew(api, session["refresh_token"]).status_code) == (401, 401)


def test_a_session_an_operator_vouches_for_opens_the_api_to_staff(api, buyer, settings):
    User.objects.filter(pk=buyer.pk).update(is_staff=True)
    buyer.refresh_from_db()
    settings.VEZA_ENVIRONMENT = "sandbox"

    session = sessions.begin(buyer, SignInMethod.OPERATOR)

    assert status_with(api, session.access_token) == 200


def test_somebody_elses_sessions_go_on_when_a_token_is_used_twice(api, buyer):
    User.objects.create_user("other@example.com", PASSWORD)
    other = log_in(api, email="other@example.com").json()["refresh_token"]
    token = log_in(api).json()["refresh_token"]

    renew(api, token)
    with time_machine.travel(sessions.ANSWERED_AGAIN_FOR, tick=False):
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
    return AccessToken(sessions.begin(user).access_token).payload | changes


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


def test_ending_all_sessions_leaves_none_to_renew(api, buyer):
    tokens = [log_in(api).json()["refresh_token"] for _ in range(3)]

    sessions.end_all(buyer)

    assert [renew(api, token).status_code for token in tokens] == [401] * 3
