"""Asking again with the same Idempotency-Key: the first answer, or the first row, and never a second one."""

from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from threading import Event

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.models.functions import Now
from rest_framework.test import APIClient

from tests.core.conftest import PASSWORD
from tests.core.example_urls import Charges, TooLate
from veza.core.api import idempotency
from veza.core.models import IdempotentRequest, User

pytestmark = [pytest.mark.urls("tests.core.example_urls"), pytest.mark.django_db]
BODY = {"order": "7", "amount_minor": 12_50}


@pytest.fixture(autouse=True)
def nothing_charged():
    Charges.answers.clear()
    Charges.snapshot.clear()


def charge(client, key="key-1", body=BODY):
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return client.post("/api/v1/charges", body, format="json", **headers)


def let_lease_run_out():
    IdempotentRequest.objects.update(leased_until_at=Now() - timedelta(seconds=1))


def leave_in_flight(client):
    """What a process that died in the middle of a request leaves behind."""
    charge(client)
    IdempotentRequest.objects.update(reply=None, reply_status=None, leased_until_at=Now() + timedelta(seconds=30))


def test_asking_again_gives_the_first_answer_and_does_nothing(as_buyer):
    first = charge(as_buyer)
    again = charge(as_buyer)

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again["Idempotent-Replayed"] == "true"
    assert len(Charges.snapshot) == 1


def test_blanks_and_the_order_of_keys_do_not_make_another_body(as_buyer):
    charge(as_buyer)
    body = '{ "amount_minor": 1250,\n "order": "7" }'

    again = as_buyer.post("/api/v1/charges", body, content_type="application/json", HTTP_IDEMPOTENCY_KEY="key-1")

    assert (again.status_code, len(Charges.snapshot)) == (201, 1)


def test_the_same_key_with_another_body_is_refused(as_buyer):
    charge(as_buyer)

    response = charge(as_buyer, body=BODY | {"amount_minor": 99_00})

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert len(Charges.snapshot) == 1


def test_two_people_may_use_the_same_key(as_buyer, buyer):
    first = charge(as_buyer)
    as_buyer.force_authenticate(User.objects.create_user("other@example.com", PASSWORD))

    assert charge(as_buyer).json() != first.json()


def test_without_a_key_every_request_is_one_of_its_own(as_buyer):
    assert charge(as_buyer, key=None).json() != charge(as_buyer, key=None).json()
    assert not IdempotentRequest.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "tab\there", "\u0661"])
def test_a_key_that_is_not_printable_ascii_is_refused(as_buyer, key):
    response = charge(as_buyer, key=key)

    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")
    assert not Charges.snapshot


def test_a_key_may_have_255_characters(as_buyer):
    assert charge(as_buyer, key="x" * 255).status_code == 201


def test_a_request_that_is_being_done_is_not_done_twice(as_buyer):
    leave_in_flight(as_buyer)

    response = charge(as_buyer)

    assert (response.status_code, response.json()["code"]) == (409, "request_in_flight")
    assert 1 <= int(response["Retry-After"]) <= 30
    assert len(Charges.snapshot) == 1


def test_a_request_whose_owner_died_resumes_with_the_same_row(as_buyer):
    leave_in_flight(as_buyer)
    let_lease_run_out()

    assert charge(as_buyer).status_code == 201
    assert Charges.snapshot[0] == Charges.snapshot[1]


def test_the_lease_is_on_the_databases_clock(as_buyer):
    leave_in_flight(as_buyer)

    with time_machine.travel(timedelta(days=1)):
        assert charge(as_buyer).status_code == 409


def test_an_accepted_request_is_not_final_and_finds_its_row_again(as_buyer):
    Charges.answers[:] = [(202, {"status": "pending"}), (201, {"status": "done"})]

    assert [charge(as_buyer).json()["status"] for _ in range(3)] == ["pending", "done", "done"]
    assert Charges.snapshot[0] == Charges.snapshot[1]


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503])
def test_an_answer_that_may_change_is_asked_for_again(as_buyer, status):
    Charges.answers[:] = [(status, {}), (201, {"done": True})]

    assert [charge(as_buyer).status_code for _ in range(2)] == [status, 201]
    assert Charges.snapshot[0] == Charges.snapshot[1]


@pytest.mark.parametrize("status", [200, 201, 400, 404, 422])
def test_a_definite_answer_is_kept(as_buyer, status):
    Charges.answers[:] = [(status, {"first": True}), (201, {"first": False})]

    answers = [charge(as_buyer) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [status] * 2
    assert answers[1].json() == {"first": True}


def test_a_refusal_is_kept_as_the_problem_it_was(as_buyer, monkeypatch):
    monkeypatch.setattr(TooLate, "http_status", 400)
    Charges.answers[:] = [TooLate("the window is over")]

    first, again = charge(as_buyer), charge(as_buyer)

    assert again["Content-Type"] == "application/problem+json"
    assert (again.status_code, again.json()) == (400, first.json())


@pytest.mark.parametrize("error", [RuntimeError("bug"), OperationalError("gone"), TooLate("409: not final")])
def test_a_request_that_failed_can_be_asked_for_again_at_once(as_buyer, error):
    Charges.answers[:] = [error]

    assert charge(as_buyer).status_code in {409, 500, 503}
    assert charge(as_buyer).status_code == 201
    assert Charges.snapshot[0] == Charges.snapshot[1]


def test_a_client_secret_is_answered_once_and_never_stored(as_buyer):
    secret = "pay_1_secret_2"
    Charges.answers[:] = [(201, {"id": "1", "payments": [{"client_secret": secret, "url": "u"}]})]

    assert secret in charge(as_buyer).content.decode()
    assert charge(as_buyer).json() == {"id": "1", "payments": [{"url": "u"}]}
    assert secret not in str(IdempotentRequest.objects.get().reply)


def test_a_late_owner_does_not_end_the_lease_of_the_next(as_buyer):
    def late(request):
        IdempotentRequest.objects.update(leased_until_at=Now() + timedelta(seconds=20))
        return 503, {}

    Charges.answers[:] = [late]
    charge(as_buyer)

    assert charge(as_buyer).status_code == 409


def test_a_late_owner_does_not_replace_the_answer_of_the_next(as_buyer):
    def late(request):
        IdempotentRequest.objects.update(reply_status=201, reply={"by": "the next"})
        return 201, {"by": "the late one"}

    Charges.answers[:] = [late]
    charge(as_buyer)

    assert charge(as_buyer).json() == {"by": "the next"}


def test_what_was_answered_since_we_looked_is_not_done_again(as_buyer, monkeypatch):
    charge(as_buyer)
    let_lease_run_out()
    look = idempotency._earlier

    def look_before(lookup):
        row = look(lookup)
        row.reply_status = None
        return row

    monkeypatch.setattr(idempotency, "_earlier", look_before)

    assert (charge(as_buyer).status_code, len(Charges.snapshot)) == (409, 1)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_done_and_the_others_are_told_so(buyer):
    everybody_else_was_answered = Event()

    def slow(request):
        assert everybody_else_was_answered.wait(timeout=10)
        return 201, {}

    def ask() -> int:
        client = APIClient(raise_request_exception=False)
        client.force_authenticate(buyer)
        try:
            return charge(client).status_code
        finally:
            connection.close()

    Charges.answers[:] = [slow]
    with ThreadPoolExecutor(8) as threads:
        answers = as_completed([threads.submit(ask) for _ in range(8)])
        first_seven = [next(answers).result() for _ in range(7)]
        everybody_else_was_answered.set()
        last = next(answers).result()

    assert (first_seven, last, len(Charges.snapshot)) == ([409] * 7, 201, 1)
