import pytest

from veza.core.models import PlatformSetting
from veza.core.platform import maintenance

pytestmark = [pytest.mark.urls("tests.core.example_urls"), pytest.mark.django_db]
MIDDLEWARE = "veza.core.api.middleware.MaintenanceMiddleware"


@pytest.fixture(autouse=True)
def maintenance_can_be_switched_on(settings):
    if MIDDLEWARE not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]


def switch(value) -> None:
    PlatformSetting.objects.update_or_create(name="maintenance", defaults={"value": value})
    maintenance.forget()


def test_buyers_and_sellers_are_asked_to_come_back(as_buyer):
    switch({"on": True, "message": "Back at noon.", "retry_after_seconds": 600})

    response = as_buyer.get("/api/v1/calls")

    assert (response.status_code, response["Retry-After"]) == (503, "600")
    assert (response.json()["code"], response.json()["detail"]) == ("maintenance", "Back at noon.")


@pytest.mark.parametrize("value", [{"on": False}, {}, False, "on", 1])
def test_any_other_value_leaves_the_doors_open(as_buyer, value):
    switch(value)

    assert as_buyer.get("/api/v1/calls").status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/v1/health", "/api/v1/status", "/api/v1/schema", "/api/v1/docs", "/admin/login/"]
)
def test_what_people_need_to_see_goes_on(api, path):
    switch({"on": True})

    assert api.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/webhooks/hyperswitch", "/api/v1/auth/login"])
def test_providers_and_log_ins_are_not_turned_away(api, path):
    switch(True)

    assert api.post(path, {}, format="json").status_code != 503


def test_asking_twice_within_five_seconds_costs_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        assert maintenance() is None
        assert maintenance() is None
