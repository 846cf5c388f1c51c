"""What a page of a list costs: a known number of statements, and never a table from its first row to its last."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from marketplace.api.orders import OneOrderOutput, OrderItemOutput
from marketplace.models import Product
from tests.buying import order_of
from tests.explaining import explained
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from tests.filling import fill_catalogue, fill_orders, fill_transfers
from veza.core.models import User

pytestmark = pytest.mark.django_db
# The list, its statements, and the index that its page comes from.
LISTS = [
    ("marketplace/products", 2, "product_for_sale_newest_first"),
    ("marketplace/products?ordering=title", 2, "product_for_sale_by_title"),
    ("marketplace/products?ordering=-title", 2, "product_for_sale_by_title"),
    ("marketplace/products?license=personal", 2, "product_for_sale_newest_first"),
    ("marketplace/products?max_price_minor=0", 1, "offer_by_license_and_price"),
    ("marketplace/products?license=exclusive", 1, "offer_by_license_and_price"),
    ("marketplace/products?seller={seller}", 2, "product_seller_newest_first"),
    ("marketplace/orders", 3, "order_buyer_newest_first"),
    ("marketplace/orders?status=completed", 3, "order_buyer_newest_first"),
    ("licenses/mine", 1, "license_holder_newest_first"),
    ("connect/transfers", 1, "transfer_seller_newest_first"),
]
PAGE_INDEXES = {index for *_, index in LISTS}
BIG_TABLES = {
    "core_user",
    "marketplace_product",
    "marketplace_licenseoffer",
    "orders",
    "marketplace_orderitem",
    "payments_payment",
    "licenses",
    "seller_transfers",
}


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def full() -> User:
    """A catalogue, and a seller who has also bought all of it."""
    user = SellerFactory()
    fill_catalogue(4_000, sellers=2_000)
    fill_orders(user, 2_000)
    fill_transfers(user)
    return user


def test_a_page_costs_few_statements_and_reads_no_table_whole(full):
    client, seller = client_of(full), Product.objects.first().seller_id
    client.get("/api/v1/marketplace/orders")  # What a process remembers for some seconds is asked for now.
    costs = []
    for path, *_ in LISTS:
        with explained() as plans:
            assert client.get("/api/v1/" + path.format(seller=seller)).status_code == 200
        costs.append((path, plans.statements, " ".join(plans.indexes & PAGE_INDEXES)))
        assert not plans.tables_read_whole & BIG_TABLES, path

    assert costs == LISTS


def test_a_page_of_the_catalogue_reads_no_password(full):
    with CaptureQueriesContext(connection) as statements:
        client_of(full).get("/api/v1/marketplace/products")

    assert not [one["sql"] for one in statements if "password" in one["sql"]]


def test_placing_an_order_costs_a_known_number_of_statements(sandbox):
    offers, client = OfferFactory.create_batch(2), client_of(PersonFactory())
    items = [{"product_id": str(offer.product_id), "license": offer.license} for offer in offers]
    client.get("/api/v1/marketplace/orders")

    with CaptureQueriesContext(connection) as statements:
        assert client.post("/api/v1/marketplace/orders", {"items": items}, format="json").status_code == 201
        count = len(statements)

    assert count == 22


def test_an_order_is_shown_as_the_schema_says(sandbox):
    order = order_of(OfferFactory())

    shown = client_of(order.buyer).get(f"/api/v1/marketplace/orders/{order.pk}").json()

    assert list(shown) == list(OneOrderOutput().fields)
    assert list(shown["items"][0]) == list(OrderItemOutput().fields)
