"""A key that no field has is refused on every address that writes, nested ones too. The table is the API's document."""

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from tests.factories import SellerFactory
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db

WRITES = {"post", "put", "patch", "delete"}
NESTED = {
    "create_order": {"items": [{"product_id": str(new_id()), "license": "personal", "quantity": 3}]},
    "create_product": {"title": "A song", "offers": [{"license": "personal", "price": 5, "currency": "EUR"}]},
}


def document() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


def writes() -> list[tuple[str, str, dict]]:
    """(method, address, operation) of every call that changes something."""
    paths = document()["paths"].items()
    return [(method, path, call) for path, calls in paths for method, call in calls.items() if method in WRITES]


def send(method: str, path: str, body: dict):
    client = APIClient()
    client.force_authenticate(SellerFactory())
    return getattr(client, method)(path.replace("{id}", str(new_id())), body, format="json")


def test_every_write_refuses_a_key_it_does_not_know():
    answers = {call["operationId"]: send(method, path, {"surprise": 1}) for method, path, call in writes()}

    assert len(answers) > 12
    wrong = {name: answer.status_code for name, answer in answers.items() if answer.status_code != 400}
    assert not wrong
    assert {answer.json()["code"] for answer in answers.values()} == {"unknown_field"}


@pytest.mark.parametrize("operation", NESTED)
def test_a_nested_key_is_refused_by_its_path(operation):
    [(method, path)] = [(method, path) for method, path, call in writes() if call["operationId"] == operation]

    answer = send(method, path, NESTED[operation])

    nested = {error["field"]: error["code"] for error in answer.json()["errors"]}
    key = "items.0.quantity" if operation == "create_order" else "offers.0.price"
    assert (answer.status_code, nested[key]) == (400, "unknown_field")


def test_a_body_of_invented_keys_gets_a_short_answer():
    answer = send("post", "/api/v1/marketplace/orders", {f"{number}" + "x" * 200: 1 for number in range(200)})

    assert (answer.status_code, len(answer.json()["errors"])) == (400, 20)
    assert len(answer.content) < 8_000


def test_the_document_allows_no_other_keys_in_any_body():
    schemas = document()["components"]["schemas"]
    bodies = {
        body["schema"]["$ref"].rpartition("/")[2]
        for _, _, call in writes()
        for body in call.get("requestBody", {}).get("content", {}).values()
    } | {"OrderLineInput", "OfferInput"}

    assert len(bodies) > 8
    assert {name for name in bodies if schemas[name].get("additionalProperties") is not False} == set()
