"""Sellers list and change their own products; the public catalogue is filtered and sorted."""

import pytest
from rest_framework.test import APIClient

from marketplace.catalogue import list_product
from marketplace.models import LicenseOffer, Product
from tests.buying import order_of
from tests.factories import OfferFactory, PersonFactory, ProductFactory, SellerFactory

pytestmark = pytest.mark.django_db
PRODUCTS = "/api/v1/marketplace/products"
NEW = {"title": "Grotesk Nine", "offers": [{"license": "personal", "price_minor": 900, "currency": "EUR"}]}


def titles(query: str = "") -> list[str]:
    return [product["title"] for product in APIClient().get(f"{PRODUCTS}{query}").json()["results"]]


def test_a_seller_lists_a_product_and_the_catalogue_shows_it(seller_api, seller):
    answer = seller_api.post(PRODUCTS, NEW, format="json")

    assert answer.status_code == 201
    assert answer.json()["offers"][0]["price_minor"] == 900
    assert titles() == ["Grotesk Nine"]


def test_listing_twice_under_one_key_is_one_product(seller_api):
    for _ in range(2):
        seller_api.post(PRODUCTS, NEW, format="json", headers={"Idempotency-Key": "font"})

    assert Product.objects.count() == 1


def test_listing_again_under_the_same_id_changes_no_price(seller_api, seller):
    offer = OfferFactory(product=ProductFactory(seller=seller), price_minor=9_00)
    terms = {"license": offer.license, "price_minor": 1_00, "currency": "EUR", "tax_basis_points": 0, "rights": {}}

    again = list_product(product_id=offer.product_id, seller=seller, title="New", description="", offers=[terms])

    offer.refresh_from_db()
    assert (again, offer.price_minor) == (offer.product, 9_00)


def test_a_user_who_is_no_seller_cannot_list_a_product():
    client = APIClient()
    client.force_authenticate(PersonFactory())

    answer = client.post(PRODUCTS, NEW, format="json")

    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_seller")
    assert not Product.objects.exists()


def test_a_seller_without_a_plan_cannot_list_a_product():
    client = APIClient()
    client.force_authenticate(SellerFactory(plan=False))

    answer = client.post(PRODUCTS, NEW, format="json")

    assert (answer.status_code, answer.json()["code"]) == (403, "subscription_payment_required")


def test_a_seller_cannot_list_in_the_name_of_another(seller_api):
    answer = seller_api.post(PRODUCTS, NEW | {"seller_id": str(SellerFactory().pk)}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert not Product.objects.exists()


def test_a_change_keeps_the_fields_that_it_omits(seller_api, seller):
    offer = OfferFactory(product=ProductFactory(seller=seller, title="Old", description="Kept."))
    OfferFactory(product=offer.product, license="commercial", price_minor=50_00)
    changes = {"title": "New", "offers": [{"license": "personal", "price_minor": 11_00, "currency": "EUR"}]}

    payload = seller_api.patch(f"{PRODUCTS}/{offer.product_id}", changes, format="json").json()

    assert (payload["title"], payload["description"]) == ("New", "Kept.")
    assert {offer["license"]: offer["price_minor"] for offer in payload["offers"]} == {
        "personal": 11_00,
        "commercial": 50_00,
    }


def test_a_new_price_does_not_change_earlier_orders(sandbox, seller_api, seller):
    offer = OfferFactory(product=ProductFactory(seller=seller), price_minor=10_00)
    order = order_of(offer)

    changes = {"offers": [{"license": "personal", "price_minor": 60, "currency": "EUR"}]}
    seller_api.patch(f"{PRODUCTS}/{offer.product_id}", changes, format="json")

    assert LicenseOffer.objects.get().price_minor == 60
    assert order.items.get().net_minor == 10_00


def test_an_unpublished_product_is_not_shown(seller_api, seller):
    product = OfferFactory(product=ProductFactory(seller=seller)).product

    seller_api.patch(f"{PRODUCTS}/{product.pk}", {"published": False}, format="json")

    assert titles() == []
    assert APIClient().get(f"{PRODUCTS}/{product.pk}").status_code == 404


@pytest.mark.parametrize(
    "bad",
    [
        {"price_minor": -1},
        {"price_minor": 10.5},
        {"price_minor": True},
        {"price_minor": 10**12},
        {"currency": "XXX"},
        {"license": "borrowed"},
        {"tax_basis_points": 10_001},
    ],
)
def test_a_bad_offer_is_refused_and_nothing_is_listed(seller_api, bad):
    body = NEW | {"offers": [NEW["offers"][0] | bad]}

    assert seller_api.post(PRODUCTS, body, format="json").status_code == 400
    assert not Product.objects.exists()


def test_licence_and_price_are_asked_of_one_offer_that_is_for_sale():
    product = OfferFactory(price_minor=5_00).product
    OfferFactory(product=product, license="exclusive", price_minor=500_00)
    withdrawn = OfferFactory(license="commercial", price_minor=1_00, active=False)

    assert titles("?license=exclusive&max_price_minor=1000") == []
    assert titles("?license=personal&max_price_minor=1000") == [product.title]
    assert withdrawn.product.title not in titles("?license=commercial")


def test_products_are_filtered_by_seller_license_and_price():
    cheap = OfferFactory(price_minor=5_00).product
    dear = OfferFactory(price_minor=500_00, license="exclusive").product

    assert titles(f"?seller={cheap.seller_id}") == [cheap.title]
    assert titles("?license=exclusive") == [dear.title]
    assert titles("?max_price_minor=1000") == [cheap.title]


def test_products_are_ordered_by_title_on_request():
    for title in ("B", "A", "C"):
        ProductFactory(title=title)

    assert titles("?ordering=title") == ["A", "B", "C"]
    assert titles("?ordering=-title") == ["C", "B", "A"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?ordering=price", "created_at, -created_at, title, -title"),
        ("?license=free", "personal, commercial, exclusive"),
        ("?colour=red", "seller, license, max_price_minor"),
        ("?seller=me", ""),
        ("?max_price_minor=cheap", ""),
    ],
)
def test_a_bad_filter_is_refused_with_the_list_of_good_ones(query, names):
    answer = APIClient().get(f"{PRODUCTS}{query}")

    assert answer.status_code == 400
    assert names in answer.json()["errors"][0]["message"]


def test_a_nul_in_a_filter_is_refused():
    answer = APIClient().get(f"{PRODUCTS}?seller=%00")

    assert answer.status_code == 400
    assert answer.json()["code"] == "value_not_storable"
