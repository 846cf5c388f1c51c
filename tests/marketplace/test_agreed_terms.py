"""What a buyer agreed to is what they pay, or nothing is ordered and the answer says what is different."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketplace.models import CartItem, LicenseOffer, Order, Product
from tests.buying import order_of, paid
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db
CART = "/api/v1/marketplace/cart"
ORDERS = "/api/v1/marketplace/orders"
MAX = 2**53 - 1


def in_cart(api, **fields: Any) -> LicenseOffer:
    """An offer that is in the cart as it is now."""
    offer = OfferFactory(**fields)
    line = {"product_id": str(offer.product_id), "license": offer.license}
    assert api.post(CART, line, format="json").status_code == 201
    return offer


def change(offer: LicenseOffer, **fields: Any) -> None:
    LicenseOffer.objects.filter(pk=offer.pk).update(**fields)


def check_out(api, **payload: Any) -> Any:
    return api.post(f"{CART}/checkout", payload, format="json")


def place(api, offer: LicenseOffer, *, item: dict[str, Any] | None = None, **payload: Any) -> Any:
    line = {"product_id": str(offer.product_id), "license": offer.license, **(item or {})}
    return api.post(ORDERS, {"items": [line], **payload}, format="json")


def test_the_catalogue_shows_the_price_with_tax(api):
    OfferFactory(price_minor=9_99, tax_basis_points=1_950)

    (offer,) = api.get("/api/v1/marketplace/products").json()["results"][0]["offers"]

    assert (offer["price_minor"], offer["tax_minor"], offer["total_minor"]) == (9_99, 1_95, 11_94)


def test_the_cart_shows_each_price_and_the_sum_with_tax(api):
    in_cart(api, price_minor=9_99, tax_basis_points=1_950)
    in_cart(api, price_minor=5_00, tax_basis_points=2_000)

    cart = api.get(CART).json()

    assert [item["total_minor"] for item in cart["items"]] == [11_94, 6_00]
    assert cart["sums"] == [{"currency": "EUR", "subtotal_minor": 14_99, "tax_minor": 2_95, "total_minor": 17_94}]


def test_the_cart_keeps_the_terms_that_were_shown(api):
    offer = in_cart(api, price_minor=5_00, rights={"copies": 3})
    change(offer, price_minor=12_00, rights={})

    (item,) = api.get(CART).json()["items"]

    assert (item["price_minor"], item["rights"]) == (5_00, {"copies": 3})


@pytest.mark.parametrize(
    "changes",
    [{"price_minor": 12_00}, {"price_minor": 4_99}, {"tax_basis_points": 2_100}, {"rights": {}}, {"currency": "USD"}],
)
def test_a_changed_offer_is_not_ordered(sandbox, api, changes):
    offer = in_cart(api, price_minor=10_00)
    change(offer, **changes)

    answer = check_out(api)

    assert (answer.status_code, answer.json()["code"]) == (409, "offer_changed")
    assert not Order.objects.exists()


def test_the_answer_has_both_terms(sandbox, api):
    offer = in_cart(api, price_minor=5_00, tax_basis_points=2_000)
    change(offer, price_minor=12_00, rights={})

    answer = check_out(api)

    terms = {"tax_minor": 1_00, "currency": "EUR", "rights": {"copies": 1}, "price_minor": 5_00, "total_minor": 6_00}
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["changes"] == [
        {
            "cart_item_id": str(CartItem.objects.get().pk),
            "product_id": str(offer.product_id),
            "title": offer.product.title,
            "license": "personal",
            "expected": terms,
            "actual": {**terms, "price_minor": 12_00, "tax_minor": 2_40, "total_minor": 14_40, "rights": {}},
        }
    ]


def test_the_next_checkout_agrees_to_the_new_terms(sandbox, api):
    offer = in_cart(api, price_minor=5_00)
    change(offer, price_minor=12_00)

    answers = [check_out(api).status_code for _ in range(2)]

    assert answers == [409, 201]
    assert Order.objects.get().total_minor == 14_40


def test_an_agreeing_buyer_may_use_the_same_idempotency_key(sandbox, api):
    change(in_cart(api, price_minor=5_00), price_minor=12_00)

    answers = [api.post(f"{CART}/checkout", headers={"Idempotency-Key": "one"}).status_code for _ in range(3)]

    assert answers == [409, 201, 201]
    assert Order.objects.count() == 1


def test_adding_an_item_again_agrees_to_the_new_terms(sandbox, api):
    offer = in_cart(api, price_minor=5_00)
    change(offer, price_minor=12_00)

    api.post(CART, {"product_id": str(offer.product_id), "license": "personal"}, format="json")

    assert check_out(api).json()["total_minor"] == 14_40


def test_an_order_is_at_the_terms_of_the_cart(sandbox, api):
    in_cart(api, price_minor=9_99, tax_basis_points=1_950, rights={"copies": 3})

    check_out(api)

    item = Order.objects.get().items.get()
    assert (item.net_minor, item.tax_minor, item.rights, item.from_cart) == (9_99, 1_95, {"copies": 3}, True)


def test_a_price_that_changes_during_the_insert_changes_no_order(sandbox, api):
    """The seller commits a new price after the comparison and before the order is there."""
    offer = in_cart(api, price_minor=10_00)

    def raise_price(execute, sql, params, many, context):
        if sql.startswith('INSERT INTO "orders"'):
            execute("UPDATE marketplace_licenseoffer SET price_minor = 99900", [], False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(raise_price):
        assert check_out(api).status_code == 201

    assert LicenseOffer.objects.get(pk=offer.pk).price_minor == 999_00
    assert (Order.objects.get().total_minor, Order.objects.get().items.get().net_minor) == (12_00, 10_00)


# Orders without a cart


def test_an_order_at_what_the_buyer_expects_is_placed(sandbox, api):
    offer = OfferFactory(price_minor=10_00)

    item = {"expected_price_minor": 10_00, "expected_total_minor": 12_00}
    answer = place(api, offer, item=item, expected_total_minor=12_00, expected_currency="EUR")

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("item", "payload"),
    [
        ({"expected_price_minor": 9_99}, {}),
        ({"expected_price_minor": 12_00}, {}),  # With tax, where the price before tax is expected.
        ({"expected_total_minor": 11_99}, {}),
        ({}, {"expected_total_minor": 11_99}),
        ({}, {"expected_total_minor": 0}),
        ({}, {"expected_total_minor": MAX}),
    ],
)
def test_an_order_at_another_price_than_expected_is_refused(sandbox, api, item, payload):
    answer = place(api, OfferFactory(price_minor=10_00), item=item, **payload)

    assert (answer.status_code, answer.json()["code"]) == (409, "offer_changed")
    assert not Order.objects.exists()


def test_a_total_in_another_currency_is_not_what_was_expected(sandbox, api):
    answer = place(api, OfferFactory(price_minor=10_00, currency="USD"), expected_currency="EUR")

    sums = answer.json()["sums"]
    assert (sums["expected"], sums["actual"]) == ({"currency": "EUR"}, {"total_minor": 12_00, "currency": "USD"})


def test_only_the_lines_that_differ_are_in_the_answer(sandbox, api):
    offers = OfferFactory.create_batch(2, price_minor=10_00)
    expected = [10_00, 8_00]
    items = [
        {"product_id": str(offer.product_id), "license": "personal", "expected_price_minor": price}
        for offer, price in zip(offers, expected, strict=True)
    ]

    (change_,) = api.post(ORDERS, {"items": items}, format="json").json()["changes"]

    assert (change_["title"], change_["expected"]) == (offers[1].product.title, {"price_minor": 8_00})


@pytest.mark.parametrize("amount", [-1, MAX + 1, "ten", None, 10.5])
@pytest.mark.parametrize("name", ["expected_total_minor", "expected_price_minor"])
def test_an_expectation_that_is_no_amount_is_a_clear_400(sandbox, api, name, amount):
    item = {name: amount} if name == "expected_price_minor" else {}
    payload = {} if item else {name: amount}

    answer = place(api, OfferFactory(), item=item, **payload)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert not Order.objects.exists()


# Lines that cannot be ordered any more


def dead_lines(api, buyer) -> list[LicenseOffer]:
    """Three works in the cart: one off sale since, one sold exclusively since, one the buyer's own since."""
    withdrawn, exclusive, own = in_cart(api), in_cart(api, license="exclusive"), in_cart(api)
    change(withdrawn, active=False)
    paid(order_of(exclusive))
    Product.objects.filter(pk=own.product_id).update(seller=buyer)
    return [withdrawn, exclusive, own]


def test_a_dead_line_is_marked_with_its_reason(sandbox, api, buyer):
    withdrawn, exclusive, own = dead_lines(api, buyer)
    in_cart(api, price_minor=10_00)

    cart = api.get(CART).json()

    assert [item["available"] for item in cart["items"]] == [False, False, False, True]
    assert [item["why"] for item in cart["items"]] == [
        f"'{withdrawn.product.title}' is no longer on sale under a personal licence.",
        f"The exclusive licence of '{exclusive.product.title}' is already sold: it is not for sale.",
        f"'{own.product.title}' is your own work.",
        None,
    ]
    assert [one["total_minor"] for one in cart["sums"]] == [12_00]


def test_a_checkout_with_a_dead_line_names_it(sandbox, api):
    withdrawn = in_cart(api)
    in_cart(api)
    change(withdrawn, active=False)

    answer = check_out(api)

    assert (answer.status_code, answer.json()["code"]) == (409, "items_unavailable")
    assert [line["title"] for line in answer.json()["unavailable"]] == [withdrawn.product.title]
    assert (Order.objects.count(), CartItem.objects.count()) == (0, 2)


def test_a_dead_line_can_be_left_out(sandbox, api):
    withdrawn = in_cart(api)
    in_cart(api, price_minor=10_00)
    change(withdrawn, active=False)

    answer = check_out(api, leave_out=[str(CartItem.objects.get(offer=withdrawn).pk)])

    assert (answer.status_code, answer.json()["total_minor"]) == (201, 12_00)
    assert CartItem.objects.get().offer == withdrawn


@pytest.mark.parametrize(
    ("leave_out", "status"),
    [([], 400), (None, 400), (["no id"], 400), (["0190a000-0000-7000-8000-000000000001"], 404)],
)
def test_what_cannot_be_left_out_orders_nothing(sandbox, api, leave_out, status):
    in_cart(api)

    assert check_out(api, leave_out=leave_out).status_code == status
    assert not Order.objects.exists()


def test_a_checkout_may_expect_its_total(sandbox, api):
    in_cart(api, price_minor=10_00)

    answers = [check_out(api, expected_total_minor=total).status_code for total in (11_99, 12_00)]

    assert answers == [409, 201]


def test_a_cart_costs_the_same_however_many_items_it_has(api):
    costs = []
    for _ in range(2):
        for _ in range(5):
            in_cart(api)
        with CaptureQueriesContext(connection) as statements:
            api.get(CART)
        costs.append(len(statements))

    assert costs[0] == costs[1]
