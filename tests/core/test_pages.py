from datetime import UTC, datetime, timedelta

import pytest

from veza.core.ids import new_id
from veza.core.models import ProviderCall

pytestmark = [pytest.mark.urls("tests.core.example_urls"), pytest.mark.django_db]
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_calls(number: int, **fields) -> list[str]:
    """Calls a second apart, `fields` aside; their ids as a list shows them, newest first."""
    calls = [
        ProviderCall(
            **{
                "provider": "stripe",
                "subject_id": new_id(),
                "correlation_id": new_id(),
                "status": 200,
                "milliseconds": 1,
                "at": START + timedelta(seconds=second),
            }
            | fields
        )
        for second in range(number)
    ]
    ProviderCall.objects.bulk_create(calls)
    return [str(call.pk) for call in sorted(calls, key=lambda call: (call.at, call.pk), reverse=True)]


def pages_of(client, query: str) -> list[list[str]]:
    pages, address = [], f"/api/v1/calls?{query}"
    while address:
        page = client.get(address).json()
        pages.append([row["id"] for row in page["results"]])
        address = page["next"]
    return pages


def test_a_list_is_newest_first_and_twenty_long(as_buyer):
    ids = make_calls(25)

    first, second = pages_of(as_buyer, "")

    assert (first, second) == (ids[:20], ids[20:])


def test_rows_of_one_moment_are_each_shown_once(as_buyer):
    ids = make_calls(11, at=START)

    assert [row for page in pages_of(as_buyer, "page_size=3") for row in page] == ids


def test_a_row_that_arrives_between_two_pages_moves_nothing(as_buyer):
    ids = make_calls(4)
    following = as_buyer.get("/api/v1/calls?page_size=2").json()["next"]

    make_calls(1, at=START + timedelta(days=1))

    assert [row["id"] for row in as_buyer.get(following).json()["results"]] == ids[2:]


@pytest.mark.parametrize(
    "query",
    [
        "cursor=garbage",
        "cursor=%C3%A9",
        "cursor=cD1ub3QtYS1kYXRl",
        "cursor=cD0lMDA=",
        "page_size=0",
        "page_size=x",
        "page_size=-1",
        "page_size=101",
        "page_size=",
    ],
)
def test_a_page_nobody_can_find_is_the_callers_mistake(as_buyer, query):
    response = as_buyer.get(f"/api/v1/calls?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "bad_page")


def test_a_page_may_have_up_to_a_hundred_rows(as_buyer):
    assert as_buyer.get("/api/v1/calls?page_size=100").status_code == 200
