"""A cart keeps its items until they are ordered."""

import pytest

from marketplace.cart_lines import MOST_ITEMS
from marketplace.models import CartItem, Order
from tests.buying import fill_cart
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db
CART = "/api/v1/marketplace/cart"


def add_item(api, offer):
    return api.post(CART, {"product_id": str(offer.product_id), "license": offer.license}, format="json")


def test_an_item_added_twice_is_listed_once(api):
    offer = OfferFactory(price_minor=7_00)

    answers = [add_item(api, offer).status_code for _ in range(2)]

    assert answers == [201, 201]
    assert [item["price_minor"] for item in api.get(CART).json()["items"]] == [7_00]


def test_checkout_orders_everything_and_empties_the_cart(sandbox, api):
    for price in (10_00, 5_00):
        add_item(api, OfferFactory(price_minor=price))

    answer = api.post(f"{CART}/checkout")

    assert (answer.status_code, answer.json()["total_minor"]) == (201, 18_00)
    assert api.get(CART).json() == {"items": [], "sums": []}


def test_checkout_twice_under_one_key_is_one_order(sandbox, api):
    add_item(api, OfferFactory())

    payload = [api.post(f"{CART}/checkout", headers={"Idempotency-Key": "one"}).json()["id"] for _ in range(2)]

    assert len(set(payload)) == Order.objects.count() == 1


def test_an_empty_cart_cannot_be_ordered(api):
    answer = api.post(f"{CART}/checkout")

    assert (answer.status_code, answer.json()["code"]) == (400, "order_not_possible")


def test_a_refused_order_leaves_the_cart_unchanged(api):
    offer = OfferFactory()
    add_item(api, offer)
    type(offer).objects.update(active=False)

    assert api.post(f"{CART}/checkout").json()["code"] == "items_unavailable"
    assert CartItem.objects.count() == 1


def test_items_are_removed_one_by_one_or_all_together(api):
    first, second = (add_item(api, offer).json()["id"] for offer in OfferFactory.create_batch(2))

    assert api.delete(f"{CART}/items/{first}").status_code == 204
    assert [item["id"] for item in api.get(CART).json()["items"]] == [second]
    assert api.delete(CART).status_code == 204
    assert api.get(CART).json()["items"] == []


def test_an_inactive_offer_cannot_be_added(api):
    assert add_item(api, OfferFactory(active=False)).json()["code"] == "offer_not_found"


def test_a_cart_has_a_maximum_size(api, buyer):
    fill_cart(buyer, *OfferFactory.create_batch(MOST_ITEMS))

    answer = add_item(api, OfferFactory())

    assert (answer.status_code, answer.json()["code"]) == (409, "cart_full")


def test_a_full_cart_takes_again_what_it_holds(api, buyer):
    offers = OfferFactory.create_batch(MOST_ITEMS)
    fill_cart(buyer, *offers)

    assert add_item(api, offers[0]).status_code == 201
    assert CartItem.objects.count() == MOST_ITEMS
