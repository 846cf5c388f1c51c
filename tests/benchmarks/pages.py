"""What the API's pages cost as their tables grow, by hand: pytest tests/benchmarks/pages.py -s

In one process, without a web server: milliseconds of processor of Python, p50 of the whole request, and statements.
FEW and MANY are the numbers of products; the ratio of the two p50 is what matters.
"""

import logging
import os
import time
from collections.abc import Callable
from statistics import median

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.opening_balances import carry_forward
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from tests.filling import fill_catalogue, fill_orders, fill_postings
from veza.core.models import User

pytestmark = pytest.mark.django_db
FEW = int(os.environ.get("FEW", "200"))
MANY = int(os.environ.get("MANY", "200000"))
ROUNDS = int(os.environ.get("ROUNDS", "30"))
CATALOGUE = ("", "?license=personal", "?max_price_minor=2000", "?ordering=title", "?ordering=-title")


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger().setLevel(logging.ERROR)


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def measure(label: str, call: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """Print what `call` costs; its p50 in milliseconds."""
    with CaptureQueriesContext(connection) as statements:
        call()
        count = len(statements)
    call()
    walls, begun = [], time.process_time()
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        walls.append((time.perf_counter() - started) * 1_000)
    cpu = (time.process_time() - begun) * 1_000 / rounds
    print(f"{label:55} p50 {median(walls):7.1f} ms, processor {cpu:6.1f} ms, {count:3} statements")
    return median(walls)


def read(client: APIClient, path: str) -> Callable[[], object]:
    def call() -> None:
        assert client.get(f"/api/v1/{path}").status_code == 200

    return call


def test_the_catalogue():
    print()
    p50: dict[str, list[float]] = {query: [] for query in CATALOGUE}
    for products in (FEW, MANY):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM marketplace_licenseoffer")
            cursor.execute("DELETE FROM marketplace_product")
            cursor.execute("DELETE FROM core_user")
        fill_catalogue(products)
        for query in CATALOGUE:
            call = read(APIClient(), f"marketplace/products{query}")
            p50[query].append(measure(f"products{query} of {products}", call, rounds=10))
    for query, (few, many) in p50.items():
        print(f"products{query}: {many / few:.2f} times the p50 of {FEW}")


def test_the_pages_of_a_buyer(sandbox):
    print()
    buyer = PersonFactory()
    fill_catalogue(1_000)
    fill_orders(buyer, 2_000)
    client = client_of(buyer)
    for path in ("marketplace/orders", "licenses/mine"):
        measure(path, read(client, path))
    offers = OfferFactory.create_batch(2)
    lines = [{"product_id": str(offer.product_id), "license": offer.license} for offer in offers]

    def place_order() -> None:
        assert client.post("/api/v1/marketplace/orders", {"items": lines}, format="json").status_code == 201

    measure("POST orders of two items", place_order)


@pytest.mark.parametrize("postings", [40, 50_000])
def test_a_sellers_balance(postings):
    seller, buyer = SellerFactory(), PersonFactory()
    fill_catalogue(100)
    fill_orders(buyer, 1)
    fill_postings([seller_account(seller.pk)], postings)

    measure(f"\nbalance with {postings} postings, none carried forward", read(client_of(seller), "connect/balance"))
    carry_forward()
    measure(f"balance with {postings} postings", read(client_of(seller), "connect/balance"))
