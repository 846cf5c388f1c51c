"""The API as a buyer uses it."""

import pytest
from rest_framework.test import APIClient

from marketplace.models import Order
from payments.models import Payment, Refund
from tests.buying import deliver_payment, deliver_refund, order_of, paid, payment_of, two_sellers_order
from tests.factories import OfferFactory, ProductFactory
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db
ORDERS = "/api/v1/marketplace/orders"


def order_of_one(offer) -> dict[str, object]:
    return {"items": [{"product_id": str(offer.product_id), "license": offer.license}]}


def test_the_catalogue_is_public():
    offer = OfferFactory(price_minor=12_50)
    ProductFactory(published=False)

    page = APIClient().get("/api/v1/marketplace/products").json()

    assert [product["title"] for product in page["results"]] == [offer.product.title]
    assert page["results"][0]["offers"][0]["price_minor"] == 12_50


def test_a_placed_order_is_answered_with_its_amounts_and_payment_page(sandbox, api):
    answer = api.post(ORDERS, order_of_one(OfferFactory()), format="json")

    payload = answer.json()
    assert answer.status_code == 201
    assert (payload["status"], payload["subtotal_minor"], payload["tax_minor"], payload["total_minor"]) == (
        "pending",
        10_00,
        2_00,
        12_00,
    )
    assert payload["order_id"] == payload["id"]
    assert payload["payment_url"].startswith(sandbox.url)
    assert payload["client_secret"].startswith(payload["hyperswitch_payment_id"])


def test_an_order_without_a_payment_page_yet_is_accepted_and_readable(sandbox, api):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")

    answer = api.post(ORDERS, order_of_one(OfferFactory()), format="json")

    payload = api.get(f"{ORDERS}/{answer.json()['id']}").json()
    assert (answer.status_code, payload["status"], payload["payment_url"]) == (202, "pending", None)


def test_one_idempotency_key_makes_one_order(sandbox, api):
    offer = OfferFactory()

    payload = [
        api.post(ORDERS, order_of_one(offer), format="json", headers={"Idempotency-Key": "the same"}).json()
        for _ in range(3)
    ]

    assert len({answer["id"] for answer in payload}) == 1
    assert Order.objects.count() == Payment.objects.count() == 1


def test_a_repeated_request_after_a_202_gets_the_page_of_the_same_order(sandbox, api):
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    params = {
        "path": ORDERS,
        "data": order_of_one(OfferFactory()),
        "format": "json",
        "headers": {"Idempotency-Key": "k"},
    }
    first = api.post(**params)

    second = api.post(**params)

    assert (first.status_code, second.status_code) == (202, 201)
    assert first.json()["id"] == second.json()["id"]
    assert second.json()["payment_url"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_failed"),
        ({"items": []}, "validation_failed"),
        ({"items": [{"product_id": "1", "license": "personal"}]}, "validation_failed"),
        ({"items": [{"product_id": str(new_id()), "license": "free"}]}, "validation_failed"),
        ({"items": [{"product_id": str(new_id()), "license": "personal"}]}, "offer_not_found"),
    ],
)
def test_a_bad_order_is_refused_with_a_code_and_changes_nothing(api, body, code):
    answer = api.post(ORDERS, body, format="json")

    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert not Order.objects.exists()


def test_an_order_cannot_name_its_own_price(sandbox, api):
    body = order_of_one(OfferFactory()) | {"total_minor": 1}

    answer = api.post(ORDERS, body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert not Order.objects.exists()


def test_another_persons_order_is_not_found_and_cannot_be_refunded(sandbox, api):
    order = paid(two_sellers_order())

    assert api.get(f"{ORDERS}/{order.pk}").status_code == 404
    assert api.post(f"{ORDERS}/{order.pk}/refund", {"reason": "mine"}, format="json").status_code == 404
    assert not Refund.objects.exists()


def test_a_buyer_sees_a_refund_from_none_to_pending_to_full(sandbox, api, buyer):
    order = order_of(OfferFactory(), buyer=buyer)
    sandbox.pay(payment_of(order).provider_key)
    deliver_payment(payment_of(order))
    snapshot = [api.get(f"{ORDERS}/{order.pk}").json()["refund"]]

    answer = api.post(f"{ORDERS}/{order.pk}/refund", {"reason": "It does not open."}, format="json")
    snapshot.append(api.get(f"{ORDERS}/{order.pk}").json()["refund"])
    deliver_refund(Refund.objects.get())
    snapshot.append(api.get(f"{ORDERS}/{order.pk}").json()["refund"])

    assert (answer.status_code, answer.json()["refund"]["status"]) == (202, "pending")
    assert snapshot == ["none", "pending", "full"]


@pytest.mark.parametrize("meant", [[], None, "twice", {"item_ids": []}, {"amount_minor": None}, {"amount_minor": 0}])
def test_a_refund_that_names_nothing_does_not_mean_everything(sandbox, api, buyer, meant):
    order = paid(order_of(OfferFactory(), buyer=buyer))
    item = str(order.items.get().pk)
    body = meant if isinstance(meant, dict) else {"items": [item, item] if meant == "twice" else meant}

    answer = api.post(f"{ORDERS}/{order.pk}/refund", {"reason": "No."} | body, format="json")

    assert answer.status_code == 400
    assert not Refund.objects.exists()


def test_active_licenses_are_listed_and_revoked_ones_on_request(sandbox, api, buyer):
    order = paid(order_of(OfferFactory(), buyer=buyer))
    sandbox.pay(payment_of(order).provider_key)
    own = "/api/v1/licenses/mine"
    assert [row["order_id"] for row in api.get(own).json()["results"]] == [str(order.pk)]

    api.post(f"{ORDERS}/{order.pk}/refund", {"reason": "no"}, format="json")
    deliver_refund(Refund.objects.get())

    assert api.get(own).json()["results"] == []
    assert len(api.get(f"{own}?status=revoked").json()["results"]) == 1
    assert api.get(f"{own}?status=lost").status_code == 400


def test_a_list_of_orders_costs_the_same_for_one_and_for_ten(sandbox, api, buyer, django_assert_num_queries):
    offers = OfferFactory.create_batch(3)
    for offer in offers:
        order_of(offer, buyer=buyer)

    api.get(ORDERS)  # What a process remembers for some seconds is asked for now.
    with django_assert_num_queries(3):
        assert len(api.get(ORDERS).json()["results"]) == 3
