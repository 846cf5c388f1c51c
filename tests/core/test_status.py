from datetime import timedelta
from types import SimpleNamespace

import pytest
import redis
import time_machine
from django.db import OperationalError

from veza import status
from veza.core.ids import new_id
from veza.core.models import PlatformSetting, ProviderCall

STATUS = "/api/v1/status"


def services(api) -> dict[str, str]:
    status.state.forget()
    return {name: payload["status"] for name, payload in api.get(STATUS).json()["data"]["services"].items()}


def make_call(outcome: str, provider: str = "hyperswitch") -> None:
    ProviderCall.objects.create(
        provider=provider, outcome=outcome, subject_id=new_id(), correlation_id=new_id(), status=0, milliseconds=1
    )


def test_health_answers_without_the_database(api):
    # No access to the database is allowed in this test, so a query would fail it.
    response = api.get("/api/v1/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_status_has_exactly_the_documented_shape(api, settings):
    settings.REDIS_URL, settings.HYPERSWITCH_ENABLED, settings.STRIPE_SECRET_KEY = "", False, ""
    settings.SMTP_HOST = ""

    assert api.get(STATUS).json() == {
        "data": {
            "environment": "sandbox",
            "version": settings.VERSION,
            "maintenance": False,
            "services": {
                "database": {"status": "ok"},
                "redis": {"status": "disabled"},
                "hyperswitch": {"status": "disabled"},
                "stripe": {"status": "disabled"},
                "smtp": {"status": "disabled"},
            },
        }
    }


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "report"), [("development", "sandbox"), ("sandbox", "sandbox"), ("live", "live")])
def test_only_a_live_environment_says_that_it_is_live(api, settings, name, report):
    settings.VEZA_ENVIRONMENT = name

    assert api.get(STATUS).json()["data"]["environment"] == report


@pytest.mark.django_db
def test_maintenance_is_said(api):
    PlatformSetting.objects.create(name="maintenance", value={"on": True})

    assert api.get(STATUS).json()["data"]["maintenance"] is True


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("outcomes", "payload"),
    [
        ([], "ok"),
        (["accepted"], "ok"),
        (["refused"], "ok"),
        (["unknown", "not sent"], "degraded"),
        (["accepted", "unknown"], "ok"),
        (["accepted"] + ["unknown"] * 20, "degraded"),
    ],
)
def test_a_provider_is_judged_by_its_latest_answers(api, settings, outcomes, payload):
    settings.HYPERSWITCH_ENABLED, settings.STRIPE_SECRET_KEY = True, "sk_test_x"
    for second, outcome in enumerate(outcomes):
        with time_machine.travel(timedelta(seconds=second - 60)):
            make_call(outcome)

    assert (services(api)["hyperswitch"], services(api)["stripe"]) == (payload, "ok")


@pytest.mark.django_db
def test_what_happened_five_minutes_ago_is_forgotten(api, settings):
    settings.HYPERSWITCH_ENABLED = True
    with time_machine.travel(timedelta(minutes=-6)):
        make_call("unknown")

    assert services(api)["hyperswitch"] == "ok"


@pytest.mark.django_db
def test_status_answers_while_the_database_is_away(api, settings, monkeypatch):
    def away():
        raise OperationalError

    settings.HYPERSWITCH_ENABLED = True
    monkeypatch.setattr(status, "connection", SimpleNamespace(cursor=away))

    assert services(api)["database"] == "degraded"
    assert services(api)["hyperswitch"] == "degraded"


@pytest.mark.django_db
def test_a_redis_that_does_not_answer_degrades_only_itself(api, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert (services(api)["redis"], services(api)["database"]) == ("degraded", "ok")


@pytest.mark.django_db
def test_a_redis_that_answers_is_ok(api, settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(redis.Redis, "ping", lambda self: True)

    assert services(api)["redis"] == "ok"


@pytest.mark.django_db
def test_the_answer_is_kept_for_five_seconds(api, django_assert_max_num_queries):
    api.get(STATUS)

    with django_assert_max_num_queries(0):
        api.get(STATUS)
