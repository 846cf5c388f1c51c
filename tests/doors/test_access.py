"""Who sees what: every address of the API, tried by everybody who has no business there.

The table is made from the URL map, so an address that is added has to be placed here.
"""

import pytest
from django.urls import get_resolver
from rest_framework.test import APIClient

from marketplace.models import RefundApplication
from tests.buying import fill_cart, paid, two_sellers_order
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from tests.subscriptions.subscribing import PlanFactory, subscribe

pytestmark = pytest.mark.django_db

PUBLIC = {"health", "status", "schema", "docs", "login", "refresh", "products", "product", "plans"}
# Doors for staff, closed to everybody else before they look for anything.
STAFF = {"staff-order-evidence"}
SIGNED = {"hyperswitch-webhook", "stripe-webhook"}
METHODS = ("get", "post", "put", "patch", "delete")
BODIES = {
    "order-refund": {"reason": "mine now"},
    "product": {"title": "mine now"},
}


def addresses() -> dict[str, str]:
    """Every named address below /api/v1/, by name."""
    routes = {}

    def walk(resolver, prefix):
        for pattern in resolver.url_patterns:
            path = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                walk(pattern, path)
            elif path.startswith("api/v1/"):
                routes[pattern.name] = "/" + path

    walk(get_resolver(), "")
    return routes


@pytest.fixture
def rows(sandbox) -> dict[str, str]:
    """An object of somebody's for every address that names one."""
    order = paid(two_sellers_order())
    application = RefundApplication.objects.create(order=order, why="limit", amount_minor=18_00, currency="EUR")
    (cart_item,) = fill_cart(PersonFactory(), OfferFactory())
    return {
        "order": str(order.pk),
        "order-pay": str(order.pk),
        "order-cancel": str(order.pk),
        "order-refund": str(order.pk),
        "order-refunds": str(order.pk),
        "refund-withdrawal": str(application.pk),
        "product": str(OfferFactory().product_id),
        "cart-item": str(cart_item.pk),
        "complete-subscription": str(subscribe(PlanFactory(price_minor=9_90)).pk),
        "staff-order-evidence": str(order.pk),
    }


def objects_at(rows: dict[str, str]) -> dict[str, str]:
    """The addresses that name an object, each with an object of somebody else's in it."""
    name = {name: path for name, path in addresses().items() if "<uuid:" in path}
    missing = name.keys() - rows.keys()
    assert not missing, f"say in `owned` what stands at {sorted(missing)}"
    return {name: path.split("<")[0] + rows[name] + path.split(">")[1] for name, path in name.items()}


def ask(person, method: str, name: str, path: str):
    client = APIClient(raise_request_exception=False)
    if person is not None:
        client.force_authenticate(person)
    return getattr(client, method)(path, BODIES.get(name, {}), format="json" if method != "get" else None)


def test_nobody_gets_in_without_a_log_in_where_one_is_needed():
    for name, path in addresses().items():
        if name in PUBLIC | SIGNED or "<" in path:
            continue
        answers = {ask(None, method, name, path).status_code for method in METHODS}
        assert answers <= {401, 405}, (name, answers)


def test_what_is_public_is_only_read_without_a_log_in():
    for name in ("products", "plans"):
        assert ask(None, "get", name, addresses()[name]).status_code == 200
        assert ask(None, "post", name, addresses()[name]).status_code in (401, 405)


@pytest.mark.parametrize("who", ["another buyer", "another seller"])
def test_what_belongs_to_somebody_else_is_not_there(rows, who):
    person = PersonFactory() if who == "another buyer" else SellerFactory()

    for name, path in objects_at(rows).items():
        if name in PUBLIC:
            continue
        answers = {ask(person, method, name, path).status_code for method in METHODS}
        assert answers <= ({403, 405} if name in STAFF else {404, 405}), (name, answers)


def test_somebody_elses_product_is_read_and_not_changed(rows):
    path = objects_at(rows)["product"]

    assert ask(SellerFactory(), "get", "product", path).status_code == 200
    assert ask(SellerFactory(), "patch", "product", path).status_code == 404


def test_staff_without_permission_do_nothing_in_anybodys_name(rows):
    support = PersonFactory(is_staff=True)

    for name, path in objects_at(rows).items():
        if name not in PUBLIC:
            answers = {ask(support, method, name, path).status_code for method in METHODS}
            assert answers <= {403, 404, 405}, (name, answers)


def test_lists_hold_only_what_is_ones_own(rows):
    stranger = PersonFactory()

    for name in ("orders", "licenses", "cart"):
        payload = ask(stranger, "get", name, addresses()[name]).json()
        assert payload["items" if name == "cart" else "results"] == [], name


def test_an_id_that_does_not_exist_looks_like_one_of_somebody_elses(rows):
    stranger = PersonFactory()
    path = objects_at(rows)["order"]
    missing = path[:-4] + "0000"

    theirs, nobodys = (ask(stranger, "get", "order", one).json() for one in (path, missing))

    for payload in (theirs, nobodys):
        payload.pop("request_id"), payload.pop("instance")
    assert theirs == nobodys
