"""Whether something may be sold is asked at each step, by what that step may depend on: the whole table."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from connect.accounts import revoke_access
from connect.models import ConnectedAccount, SellerTransfer
from connect.transfers.transfer_requests import send_transfer
from marketplace.models import License, LicenseOffer, Product, SellerRestriction
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from tests.buying import BY_BUYER, order_of, paid, payment_of
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, PersonFactory, ProductFactory
from tests.subscriptions.subscribing import PlanFactory
from veza.core.models import User

pytestmark = pytest.mark.django_db
PRODUCTS, CART, ORDERS = (f"/api/v1/marketplace/{name}" for name in ("products", "cart", "orders"))


def restrict(seller: User, kind: str) -> None:
    review_at = timezone.now() + timedelta(days=30)
    SellerRestriction.objects.create(seller=seller, kind=kind, reason="Reports.", imposed_by="s", review_at=review_at)


def be_in_grace(seller: User) -> None:
    """The paid period ended yesterday, and its renewal is not paid yet."""
    plan, ended_at = PlanFactory(), timezone.now() - timedelta(days=1)
    Subscription.objects.filter(user=seller).update(plan=plan, status="past_due")
    amounts = {"net_minor": 10_00, "tax_minor": 0, "total_minor": 10_00, "currency": "EUR"}
    SubscriptionInvoice.objects.create(
        subscription=seller.subscriptions.get(),
        plan=plan,
        status="paid",
        paid_at=ended_at,
        period_start_at=ended_at - timedelta(days=30),
        period_end_at=ended_at,
        hyperswitch_payment_id="pay_1",
        **amounts,
    )


def subscription(**fields: Any) -> Callable[[User], object]:
    return lambda seller: Subscription.objects.filter(user=seller).update(**fields)


def account(**fields: Any) -> Callable[[User], object]:
    return lambda seller: ConnectedAccount.objects.filter(seller=seller).update(**fields)


def products(**fields: Any) -> Callable[[User], object]:
    return lambda seller: Product.objects.filter(seller=seller).update(**fields)


CONDITIONS: dict[str, Callable[[User], object]] = {
    "active": lambda _: None,
    "account closed": lambda seller: User.objects.filter(pk=seller.pk).update(is_active=False),
    "suspended": lambda seller: restrict(seller, "suspension"),
    "money held": lambda seller: restrict(seller, "hold"),
    "taken off sale": products(taken_off_sale_at="2026-01-01T00:00Z"),
    "unpublished": products(published=False),
    "offer inactive": lambda seller: LicenseOffer.objects.filter(product__seller=seller).update(active=False),
    "plan expired": subscription(status="expired"),
    "trial cancelled": subscription(status="cancelled"),
    "plan unpaid": lambda seller: Subscription.objects.filter(user=seller).update(plan=PlanFactory()),
    "plan without selling": lambda _: Plan.objects.update(can_sell_on_marketplace=False),
    "plan in grace": be_in_grace,
    "rejected by Stripe": account(disabled_reason="rejected.fraud", transfers_active=False),
    "disconnected": lambda seller: revoke_access(seller.connected_account, at=timezone.now()),
    "restricted by Stripe": account(disabled_reason="requirements.past_due", transfers_active=False),
    "not onboarded": lambda seller: seller.connected_account.delete(),
}
SOLD, HIDDEN = (True, 201, 201), (False, 409, 409)
GONE = (False, 400, 400)
# Listed, added to a cart, ordered; what a payment that arrives makes of the line, and what its transfer waits for.
TABLE = {
    "active": (SOLD, "delivered", "sent"),
    "account closed": (HIDDEN, "given back", "sent"),
    "suspended": (HIDDEN, "given back", "release"),
    "money held": (SOLD, "delivered", "release"),
    "taken off sale": (HIDDEN, "given back", "sent"),
    "unpublished": (GONE, "delivered", "sent"),
    "offer inactive": (GONE, "delivered", "sent"),
    "plan expired": (HIDDEN, "delivered", "sent"),
    "trial cancelled": (HIDDEN, "delivered", "sent"),
    "plan unpaid": (HIDDEN, "delivered", "sent"),
    "plan without selling": (HIDDEN, "delivered", "sent"),
    "plan in grace": (SOLD, "delivered", "sent"),
    "rejected by Stripe": (HIDDEN, "delivered", "account"),
    "disconnected": (HIDDEN, "delivered", "account"),
    "restricted by Stripe": (SOLD, "delivered", "account"),
    "not onboarded": (SOLD, "delivered", "account"),
}


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def work(sandbox) -> LicenseOffer:
    """An offer of a seller who has everything that selling needs."""
    return OfferFactory(product=ProductFactory(seller=make_seller(stripe_account_id=sandbox.create_account())))


def test_the_table_has_every_condition():
    assert TABLE.keys() == CONDITIONS.keys()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_is_listed_and_ordered_depends_on_the_seller_and_the_work(sandbox, work, condition):
    CONDITIONS[condition](work.product.seller)
    line = {"product_id": str(work.product_id), "license": "personal"}
    api = client_of(PersonFactory())

    is_listed = bool(api.get(PRODUCTS).json()["results"])
    is_shown = api.get(f"{PRODUCTS}/{work.product_id}").status_code == 200
    added = api.post(CART, line, format="json").status_code
    ordered = api.post(ORDERS, {"items": [line]}, format="json").status_code

    is_hidden_by_offer = condition == "offer inactive"  # The work itself is for sale, under no licence.
    assert (is_listed and not is_hidden_by_offer, added, ordered) == TABLE[condition][0]
    assert is_shown == is_listed


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_payment_gives_back_what_staff_stopped_meanwhile(sandbox, work, condition):
    order = order_of(work, OfferFactory())
    CONDITIONS[condition](work.product.seller)

    paid(order)

    is_delivered = License.objects.filter(offer=work).exists()
    assert ("delivered" if is_delivered else "given back") == TABLE[condition][1]
    assert order.status == ("completed" if is_delivered else "refund_pending")
    assert License.objects.filter(order=order).count() == 1 + is_delivered


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_transfer_waits_for_staff_and_stripe_only(sandbox, work, condition):
    order = order_of(work)
    sandbox.pay(payment_of(order).provider_key)
    paid(order)
    CONDITIONS[condition](work.product.seller)

    send_transfer(SellerTransfer.objects.get().pk, cause=BY_BUYER)

    transfer = SellerTransfer.objects.get()
    assert (transfer.waiting_for or ("sent" if transfer.completed_at else "")) == TABLE[condition][2]


def test_a_buyer_is_not_told_of_a_sellers_affairs(sandbox, work):
    restrict(work.product.seller, "suspension")
    items = [{"product_id": str(work.product_id), "license": "personal"}]

    refusal = client_of(PersonFactory()).post(ORDERS, {"items": items}, format="json").json()

    assert refusal["code"] == "offer_not_available"
    assert "does not sell at the moment" in refusal["detail"]


def test_sellers_see_all_of_their_works_and_why_some_are_not_for_sale(sandbox, work):
    subscription(status="expired")(work.product.seller)

    api = client_of(work.product.seller)
    listed = api.get(f"{PRODUCTS}?seller={work.product.seller_id}").json()["results"]
    one = api.get(f"{PRODUCTS}/{work.product_id}").json()

    for product in (*listed, one):
        assert product["offers"][0]["available"] is False
        assert "Selling needs a plan" in product["offers"][0]["why"]


def test_works_come_back_with_the_plan(sandbox, work):
    expired, running = subscription(status="expired"), subscription(status="active")
    api, found = APIClient(), []
    for change in (expired, running):
        change(work.product.seller)
        found.append(len(api.get(PRODUCTS).json()["results"]))

    assert found == [0, 1]


STOPPING = [
    {"published": False},
    {"offers": [{"license": "personal", "active": False}]},
    {"published": False, "offers": [{"license": "personal", "active": False}]},
]
SELLING = [
    {"published": True},
    {"title": "Buy me elsewhere"},
    {"published": False, "title": "Buy me elsewhere"},
    {"offers": [{"license": "personal", "price_minor": 20_00}]},
    {"offers": [{"license": "personal", "active": True}]},
    {"offers": [{"license": "personal", "active": False, "price_minor": 20_00}]},
    {"offers": [{"license": "commercial", "active": False, "price_minor": 20_00, "currency": "EUR"}]},
]


@pytest.mark.parametrize("condition", ["plan expired", "trial cancelled", "suspended"])
@pytest.mark.parametrize("change", STOPPING)
def test_stopping_is_always_allowed(sandbox, work, condition, change):
    CONDITIONS[condition](work.product.seller)

    answer = client_of(work.product.seller).patch(f"{PRODUCTS}/{work.product_id}", change, format="json")

    assert answer.status_code == 200
    assert LicenseOffer.objects.filter(active=True, product__published=True).count() == 0


@pytest.mark.parametrize(
    ("condition", "code"), [("plan expired", "subscription_payment_required"), ("suspended", "seller_suspended")]
)
@pytest.mark.parametrize("change", SELLING)
def test_anything_but_stopping_needs_the_right_to_sell(sandbox, work, condition, code, change):
    CONDITIONS[condition](work.product.seller)

    answer = client_of(work.product.seller).patch(f"{PRODUCTS}/{work.product_id}", change, format="json")

    assert (answer.status_code, answer.json()["code"]) == (403, code)
    assert LicenseOffer.objects.get().price_minor == 10_00
