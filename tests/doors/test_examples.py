"""The examples of the API page work when they are pasted into a running demo."""

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from marketplace.models import Order
from tests.buying import deliver_payment, payment_of
from veza.core.models import User

pytestmark = pytest.mark.django_db


def examples() -> list[tuple[str, str, str, object]]:
    """Every example of a request: its operation, method, path and body."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [
        (call["operationId"], method, path, example["value"])
        for path, calls in schema["paths"].items()
        for method, call in calls.items()
        for content in call.get("requestBody", {}).get("content", {}).values()
        for example in content.get("examples", {}).values()
    ]


@pytest.fixture
def demo(sandbox, monkeypatch):
    monkeypatch.setenv("DEMO_PASSWORD", "only for the demo")
    call_command("load_demo")
    return sandbox


def api_as(email: str) -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.get(email=email))
    return client


def paid_demo_order(sandbox) -> Order:
    """Of a commercial licence: a buyer may have several."""
    body = next(body for name, _, _, body in examples() if name == "create_order")
    body = {"items": [item | {"license": "commercial"} for item in body["items"]]}
    order_id = api_as("buyer@demo.example").post("/api/v1/marketplace/orders", body, format="json").json()["id"]
    order = Order.objects.get(pk=order_id)
    sandbox.pay(payment_of(order).provider_key)
    deliver_payment(payment_of(order))
    return order


def test_there_are_examples_for_what_a_buyer_and_a_seller_do():
    assert {name for name, *_ in examples()} >= {"create_order", "refund_order", "create_product"}


def test_every_example_works_when_pasted(demo):
    for name, method, path, body in examples():
        who = "ana@demo.example" if name.endswith("_product") else "buyer@demo.example"
        if name == "refund_order":
            path = path.replace("{id}", str(paid_demo_order(demo).pk))
        elif name.endswith("_product"):
            path = path.replace("{id}", "0190a000-0000-7000-8000-000000000001")
        elif "{" in path or not name.endswith(("_order", "_cart", "_cart_item")):
            continue
        answer = getattr(api_as(who), method)(path, body, format="json")
        assert answer.status_code < 300, (name, answer.json())
