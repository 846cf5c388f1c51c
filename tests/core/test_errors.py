"""Every failure is a problem: one shape, a stable code, no inside story."""

from unittest.mock import Mock

import pytest
from django.conf import settings
from django.db import OperationalError

pytestmark = [pytest.mark.urls("tests.core.example_urls"), pytest.mark.django_db]
MEMBERS = {"type", "title", "status", "detail", "code", "instance", "request_id"}


def problem_in(response) -> dict:
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() - {"errors"} == MEMBERS
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response["X-Request-Id"]
    return problem


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("not-allowed", 409, "too_late"),
        ("missing", 404, "not_found"),
        ("denied", 403, "permission_denied"),
        ("throttled", 429, "throttled"),
        ("stale", 409, "changed_meanwhile"),
        ("database", 503, "temporarily_unavailable"),
        ("bug", 500, "internal_error"),
    ],
)
def test_what_a_view_raises_becomes_a_problem(as_buyer, name, status, code):
    problem = problem_in(as_buyer.get(f"/api/v1/fails/{name}"))

    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["instance"] == f"/api/v1/fails/{name}"


def test_the_text_of_a_business_rule_is_shown(as_buyer):
    assert problem_in(as_buyer.get("/api/v1/fails/not-allowed"))["detail"] == "the window is over"


@pytest.mark.parametrize("name", ["missing", "denied", "stale", "database", "bug"])
def test_the_text_of_any_other_error_is_not_shown(as_buyer, name):
    text = as_buyer.get(f"/api/v1/fails/{name}").content.decode()

    assert not any(word in text for word in ("sk_test", "10.0.0.5", "Payment matches", "secret", "pending"))


@pytest.mark.parametrize(("name", "seconds"), [("throttled", "7"), ("database", "5")])
def test_a_caller_is_told_when_to_ask_again(as_buyer, name, seconds):
    assert as_buyer.get(f"/api/v1/fails/{name}")["Retry-After"] == seconds


def test_each_wrong_field_is_named_with_its_path(as_buyer):
    body = {"email": "nobody", "items": [{"license": "personal"}, {"license": "stolen"}]}

    problem = problem_in(as_buyer.post("/api/v1/example-orders", body, format="json"))

    assert problem["code"] == "validation_failed"
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        ("email", "invalid"),
        ("items.1.license", "invalid_choice"),
    ]


def test_a_caller_without_a_token_is_asked_for_one(api):
    response = api.get("/api/v1/fails/bug")

    assert problem_in(response)["code"] == "not_authenticated"
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_an_address_that_does_not_exist_is_a_problem(api):
    problem = problem_in(api.get("/api/v1/nowhere"))

    assert problem["code"] == "not_found"
    assert "urlpatterns" not in str(problem)


def test_outside_the_api_a_missing_page_is_a_short_html_page(api):
    response = api.get("/nowhere")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_a_method_that_is_not_offered_is_a_problem(as_buyer):
    response = as_buyer.delete("/api/v1/example-orders")

    assert problem_in(response)["code"] == "method_not_allowed"
    assert "POST" in response["Allow"]


def test_a_body_that_is_not_json_by_its_type_is_a_problem(as_buyer):
    response = as_buyer.post("/api/v1/example-orders", "a=1", content_type="text/plain")

    assert (response.status_code, problem_in(response)["code"]) == (415, "unsupported_media_type")


def test_a_form_is_not_json_either(as_buyer):
    response = as_buyer.post("/api/v1/example-orders", "a=1", content_type="application/x-www-form-urlencoded")

    assert response.status_code == 415
    problem_in(response)


def test_an_answer_in_another_form_is_not_acceptable(as_buyer):
    response = as_buyer.get("/api/v1/fails/bug", HTTP_ACCEPT="text/csv")

    assert (response.status_code, problem_in(response)["code"]) == (406, "not_acceptable")


def test_a_body_above_the_limit_is_refused_and_one_at_the_limit_is_read(as_buyer):
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    frame = len('{"email": ""}')

    def answer(length):
        body = '{"email": "%s"}' % ("a" * (length - frame))
        return as_buyer.post("/api/v1/example-orders", body, content_type="application/json")

    assert answer(limit).status_code == 400
    too_large = answer(limit + 1)
    assert (too_large.status_code, problem_in(too_large)["code"]) == (413, "body_too_large")


def test_a_chunked_body_is_refused_and_never_taken_for_an_empty_one(as_buyer):
    body = {"data": b'{"now": true}', "content_type": "application/json", "CONTENT_LENGTH": ""}
    answer = as_buyer.generic("POST", "/api/v1/subscriptions/cancel", **body, HTTP_TRANSFER_ENCODING="chunked")

    assert (answer.status_code, problem_in(answer)["code"]) == (411, "length_required")


def test_a_body_that_is_announced_too_large_is_refused_unread(as_buyer):
    response = as_buyer.post(
        "/api/v1/example-orders", b"{}", content_type="application/json", CONTENT_LENGTH=str(10**9)
    )

    assert response.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b'{"\xff": 1}',
        b"[" * 60_000,
        b"[]",
        b'"text"',
        b"7",
    ],
)
def test_a_doubtful_body_is_a_problem_and_never_our_failure(as_buyer, body):
    response = as_buyer.post("/api/v1/example-orders", body, content_type="application/json")

    assert (response.status_code, problem_in(response)["code"]) == (400, "parse_error")


def test_a_host_that_is_not_ours_is_a_problem(api):
    response = api.get("/api/v1/nowhere/", HTTP_HOST="evil.example")

    assert (response.status_code, problem_in(response)["code"]) == (400, "bad_request")


def test_a_form_above_the_limit_outside_the_api_is_413_too(api):
    response = api.post("/admin/login/", {"username": "a" * 70_000, "password": "x"}, format="multipart")

    assert response.status_code == 413


@pytest.mark.parametrize(
    "token",
    [
        "garbage",
        "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoiMSJ9.",
        "\u00e9",
    ],
)
def test_a_token_that_is_not_ours_is_a_problem(api, token):
    response = api.get("/api/v1/fails/bug", HTTP_AUTHORIZATION=f"Bearer {token}")

    assert (response.status_code, problem_in(response)["code"]) == (401, "token_not_valid")


def test_a_database_that_goes_away_before_any_view_is_a_problem(api, settings, monkeypatch):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "veza.core.api.middleware.MaintenanceMiddleware"]
    monkeypatch.setattr("veza.core.api.middleware.maintenance", Mock(side_effect=OperationalError("gone")))

    response = api.get("/api/v1/example-orders")

    assert (response.status_code, problem_in(response)["code"]) == (503, "temporarily_unavailable")
    assert response["Retry-After"] == "5"
