"""Limits of what is listed and ordered: prices, totals, open orders, one licence for each buyer, and sizes."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from marketplace.models import License, LicenseOffer, Order, Product
from marketplace.offers import AlreadyOwned, OfferNotAvailable
from marketplace.order_limits import OrderTotalTooLow, TooManyOpenOrders
from marketplace.order_payments import cancel_order
from payments.models import Refund
from tests.buying import BY_BUYER, deliver_refund, order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory, PersonFactory, ProductFactory, SellerFactory

pytestmark = pytest.mark.django_db
PRODUCTS = "/api/v1/marketplace/products"
OFFER = {"license": "personal", "price_minor": 900, "currency": "EUR"}
MOST_BYTES = 100_000


def test_a_licence_that_is_owned_is_not_ordered_again(sandbox):
    offer, buyer = OfferFactory(), PersonFactory()
    paid(order_of(offer, buyer=buyer))

    with pytest.raises(AlreadyOwned, match="You have the personal licence"):
        order_of(offer, buyer=buyer)


@pytest.mark.parametrize(
    ("license_kind", "choice", "limited"),
    [
        ("personal", None, True),
        ("personal", False, False),
        ("commercial", None, False),
        ("commercial", True, True),
        ("exclusive", None, True),
    ],
)
def test_the_seller_decides_whether_one_licence_is_all_a_buyer_needs(license_kind, choice, limited):
    assert OfferFactory(license=license_kind, once_per_buyer=choice).is_once_per_buyer() == limited


def test_of_two_orders_paid_in_two_tabs_the_later_is_given_back(sandbox):
    offer, other, buyer = OfferFactory(), OfferFactory(), PersonFactory()
    first, second = order_of(offer, buyer=buyer), order_of(offer, other, buyer=buyer)

    paid(first)
    paid(second)

    assert License.objects.filter(holder=buyer, offer=offer).count() == 1
    assert (Refund.objects.get().payment, Refund.objects.get().amount_minor) == (payment_of(second), 12_00)


def test_a_commercial_licence_is_sold_twice_to_one_buyer(sandbox):
    offer, buyer = OfferFactory(license="commercial"), PersonFactory()

    for _ in range(2):
        paid(order_of(offer, buyer=buyer))

    assert License.objects.filter(holder=buyer).count() == 2


def test_a_licence_that_was_given_back_can_be_bought_again(sandbox):
    offer, buyer = OfferFactory(), PersonFactory()
    deliver_refund(refund_of(paid(order_of(offer, buyer=buyer))))

    assert paid(order_of(offer, buyer=buyer)).status == "completed"


def test_once_per_buyer_can_be_switched_off(sandbox, settings):
    settings.ONCE_PER_BUYER = False
    offer, buyer = OfferFactory(), PersonFactory()

    for _ in range(2):
        paid(order_of(offer, buyer=buyer))

    assert License.objects.filter(holder=buyer).count() == 2


@pytest.mark.parametrize(("price_minor", "status"), [(0, 201), (1, 400), (49, 400), (50, 201)])
def test_a_price_is_nothing_or_what_can_be_paid(seller_api, price_minor, status):
    offers = [OFFER | {"price_minor": price_minor}]

    answer = seller_api.post(PRODUCTS, {"title": "A font", "offers": offers}, format="json")

    assert answer.status_code == status
    if status == 400:
        assert (answer.json()["code"], "0.50 EUR" in answer.json()["detail"]) == ("price_too_low", True)


def test_a_price_cannot_be_lowered_below_what_can_be_paid(seller_api, seller):
    offer = OfferFactory(product=ProductFactory(seller=seller))
    changes = {"offers": [{"license": "personal", "price_minor": 10}]}

    answer = seller_api.patch(f"{PRODUCTS}/{offer.product_id}", changes, format="json")

    assert answer.json()["code"] == "price_too_low"
    assert LicenseOffer.objects.get().price_minor == 10_00


def test_an_offer_below_the_minimum_is_shown_and_not_sold(sandbox):
    offer = OfferFactory(price_minor=49)

    (listed,) = APIClient().get(PRODUCTS).json()["results"]

    assert (listed["offers"][0]["available"], "0.50 EUR" in listed["offers"][0]["why"]) == (False, True)
    with pytest.raises(OfferNotAvailable, match="below the smallest"):
        order_of(offer)


def test_the_smallest_price_can_be_switched_off_and_the_total_not(sandbox, settings):
    settings.OFFER_MIN_PRICE = {}

    with pytest.raises(OrderTotalTooLow, match=r"The total is 0\.12 EUR"):
        order_of(OfferFactory(price_minor=10))

    assert order_of(OfferFactory(price_minor=0)).status == "completed"
    assert order_of(OfferFactory(price_minor=30), OfferFactory(price_minor=12)).total_minor == 50


def test_one_unpaid_order_too_many_is_refused_and_names_the_others(sandbox, settings):
    settings.OPEN_ORDERS_PER_BUYER = 2
    buyer = PersonFactory()
    orders = [order_of(OfferFactory(), buyer=buyer) for _ in range(2)]

    with pytest.raises(TooManyOpenOrders) as refusal:
        order_of(OfferFactory(), buyer=buyer)

    assert all(str(order.pk) in str(refusal.value) for order in orders)
    assert order_of(OfferFactory(price_minor=0), buyer=buyer).status == "completed"


def test_an_order_that_ended_makes_room_for_another(sandbox, settings):
    settings.OPEN_ORDERS_PER_BUYER = 1
    buyer = PersonFactory()
    cancel_order(order_id=order_of(OfferFactory(), buyer=buyer).pk, cause=BY_BUYER)

    assert order_of(OfferFactory(), buyer=buyer).status == "pending"


def test_open_orders_can_be_without_limit(sandbox, settings):
    settings.OPEN_ORDERS_PER_BUYER = 0
    buyer = PersonFactory()

    orders = [order_of(OfferFactory(), buyer=buyer) for _ in range(12)]

    assert {order.status for order in orders} == {"pending"}


@pytest.mark.parametrize(
    "rights",
    [
        {"nested": {"deep": True}},
        {"list": [["nested"]]},
        {"Upper": 1},
        {"with space": 1},
        {"": 1},
        {"long": "x" * 201},
        {"number": 1.5},
        {"number": 10**12},
        {"nothing": None},
        {"control": "a\u0007b"},
        {"many": list(range(21))},
        {f"right_{n}": True for n in range(21)},
        {f"right_{n}": "x" * 200 for n in range(11)},
    ],
)
def test_rights_are_a_small_flat_mapping(seller_api, rights):
    body = {"title": "A font", "offers": [OFFER | {"rights": rights}]}

    answer = seller_api.post(PRODUCTS, body, format="json")

    assert (answer.status_code, Product.objects.count()) == (400, 0)


def test_rights_hold_words_numbers_and_lists(seller_api):
    rights = {"copies": 3, "print": True, "note": "Früher Druck", "media": ["web", "print"], "sizes": [1, 2]}

    answer = seller_api.post(PRODUCTS, {"title": "A font", "offers": [OFFER | {"rights": rights}]}, format="json")

    assert (answer.status_code, answer.json()["offers"][0]["rights"]) == (201, rights)


@pytest.mark.parametrize(
    "bad",
    [
        {"title": ""},
        {"title": "   "},
        {"title": "two\nlines"},
        {"title": "ring\u0007"},
        {"title": "turned \u202e round"},
        {"title": "x" * 121},
        {"description": "ring\u0007"},
        {"description": "x" * 5_001},
        {"offers": [OFFER, OFFER]},
    ],
)
def test_a_title_is_a_line_and_a_description_is_bounded(seller_api, bad):
    answer = seller_api.post(PRODUCTS, {"title": "A font", "offers": [OFFER]} | bad, format="json")

    assert (answer.status_code, Product.objects.count()) == (400, 0)


def test_a_new_offer_needs_a_price(seller_api, seller):
    offer = OfferFactory(product=ProductFactory(seller=seller))

    answer = seller_api.patch(f"{PRODUCTS}/{offer.product_id}", {"offers": [{"license": "commercial"}]}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "offer_incomplete")


def test_a_change_of_price_keeps_rights_and_tax(seller_api, seller):
    offer = OfferFactory(product=ProductFactory(seller=seller), rights={"copies": 7}, tax_basis_points=700)
    changes = {"offers": [{"license": "personal", "price_minor": 20_00}]}

    seller_api.patch(f"{PRODUCTS}/{offer.product_id}", changes, format="json")

    offer.refresh_from_db()
    assert (offer.price_minor, offer.rights, offer.tax_basis_points) == (20_00, {"copies": 7}, 700)


def test_the_largest_page_of_the_catalogue_stays_below_100_kilobytes(django_assert_max_num_queries):
    """Every text as long as it may be, in characters of four bytes; what was stored before the limits is cut."""
    widest, largest = "\U0001f3b7", {f"right_{n}": "\U0001f3b7" * 90 for n in range(20)}
    seller = SellerFactory(name=widest * 150)
    for place in range(60):
        product = ProductFactory(seller=seller, title=widest * 120, description=widest * 20_000)
        for kind in ("personal", "commercial", "exclusive"):
            OfferFactory(product=product, license=kind, price_minor=49, currency="EUR", rights=largest)
        Product.objects.filter(pk=product.pk).update(created_at=timezone.now() - timedelta(seconds=place))

    page = APIClient().get(f"{PRODUCTS}?page_size=50")

    assert len(page.json()["results"]) == 50
    assert len(page.content) < MOST_BYTES
    assert APIClient().get(f"{PRODUCTS}?page_size=51").status_code == 400
    one = APIClient().get(f"{PRODUCTS}/{page.json()['results'][0]['id']}").json()
    assert (len(one["description"]), json.dumps(one["offers"][0]["rights"])) == (20_000, json.dumps(largest))
    assert not Order.objects.exists()
