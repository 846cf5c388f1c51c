"""An exclusive licence is sold once, and ends the sale of its work; who pays after that is refunded automatically."""

import pytest
from rest_framework.test import APIClient

from connect.models import SellerTransfer
from marketplace.models import License, Order, Product
from marketplace.offers import ExclusiveSold
from payments.models import Refund
from payments.tasks import close_unpaid, resend
from tests.buying import deliver_payment, deliver_refund, order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db
PRODUCTS = "/api/v1/marketplace/products"


@pytest.fixture
def second(sandbox):
    """An order that was placed before the first buyer paid, and paid after that."""
    exclusive, other = OfferFactory(license="exclusive"), OfferFactory()
    first, second = order_of(exclusive), order_of(exclusive, other)
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))
    second.refresh_from_db()
    return second


def test_an_exclusive_license_that_is_sold_cannot_be_ordered(sandbox):
    offer = OfferFactory(license="exclusive")
    paid(order_of(offer))

    with pytest.raises(ExclusiveSold, match="is already sold"):
        order_of(offer)


def test_the_second_buyer_gets_the_other_items_and_a_refund_of_that_one(second):
    refund = Refund.objects.get()

    assert second.status == "refund_pending"
    assert [row.item.license for row in License.objects.filter(order=second)] == ["personal"]
    assert (refund.source, refund.amount_minor, refund.send_after is not None) == ("late_payment", 12_00, True)


def test_no_seller_is_paid_for_a_withheld_item(second):
    transfers = SellerTransfer.objects.filter(order=second)

    assert [transfer.amount_minor for transfer in transfers] == [9_00]


def test_a_sweep_sends_the_refund_and_the_ledger_balances(second, sandbox):
    resend()
    assert [call["path"] for call in sandbox.calls() if call["method"] == "POST"][-1] == "/refunds"
    deliver_refund(Refund.objects.get())

    second.refresh_from_db()
    assert second.status == "completed"
    assert prove_payment(payment_of(second)).is_balanced


def test_an_order_with_no_other_item_is_refunded_in_full(sandbox):
    offer = OfferFactory(license="exclusive")
    first, second = order_of(offer), order_of(offer)
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))

    resend()
    deliver_refund(Refund.objects.get())

    second.refresh_from_db()
    assert second.status == "refunded"
    assert prove_payment(payment_of(second)).is_balanced


def test_a_late_payment_of_an_order_bought_again_is_refunded(sandbox):
    offer, buyer = OfferFactory(), PersonFactory()
    failed_order = order_of(offer, buyer=buyer)
    deliver_payment(payment_of(failed_order), status="failed", amount_received=None)
    paid(order_of(offer, buyer=buyer))

    deliver_payment(payment_of(failed_order))

    assert License.objects.filter(holder=buyer).count() == 1
    assert Refund.objects.get().source == "late_payment"


def test_a_work_that_is_sold_exclusively_leaves_sale_under_every_licence(sandbox):
    exclusive = OfferFactory(license="exclusive")
    personal = OfferFactory(product=exclusive.product)
    paid(order_of(exclusive))

    with pytest.raises(ExclusiveSold, match="is already sold"):
        order_of(personal)

    assert APIClient().get(PRODUCTS).json()["results"] == []


def test_it_returns_when_the_exclusive_licence_is_given_back(sandbox):
    exclusive = OfferFactory(license="exclusive")
    personal = OfferFactory(product=exclusive.product)

    deliver_refund(refund_of(paid(order_of(exclusive))))

    assert len(APIClient().get(PRODUCTS).json()["results"]) == 1
    assert order_of(personal).status == "pending"


def test_a_work_off_sale_does_not_return_with_its_exclusive_licence(sandbox):
    exclusive = OfferFactory(license="exclusive")
    order = paid(order_of(exclusive))
    Product.objects.update(taken_off_sale_at=order.completed_at)

    deliver_refund(refund_of(order))

    assert APIClient().get(PRODUCTS).json()["results"] == []


def test_existing_licences_are_named_before_the_purchase_and_stay(sandbox):
    exclusive = OfferFactory(license="exclusive")
    held, buyer = paid(order_of(OfferFactory(product=exclusive.product))), PersonFactory()
    api = APIClient()
    api.force_authenticate(buyer)
    line = {"product_id": str(exclusive.product_id), "license": "exclusive"}

    shown = api.get(f"{PRODUCTS}/{exclusive.product_id}").json()["offers"]
    added = api.post("/api/v1/marketplace/cart", line, format="json").json()
    ordered = api.post("/api/v1/marketplace/orders", {"items": [line]}, format="json").json()
    paid(Order.objects.get(pk=ordered["id"]))

    of_offers = {offer["license"]: offer["existing_licenses"] for offer in shown}
    assert of_offers == {"personal": {}, "exclusive": {"personal": 1}}
    assert added["existing_licenses"] == ordered["items"][0]["existing_licenses"] == {"personal": 1}
    assert License.objects.get(order=held).status == "active"


def test_open_orders_for_the_work_are_cancelled_at_the_provider(sandbox):
    exclusive = OfferFactory(license="exclusive")
    personal = OfferFactory(product=exclusive.product)
    rival, other = order_of(personal), order_of(OfferFactory())

    paid(order_of(exclusive))
    close_unpaid()

    rival.refresh_from_db()
    other.refresh_from_db()
    assert (rival.status, other.status) == ("expired", "pending")
    assert [call["path"] for call in sandbox.calls()][-1] == f"/payments/{payment_of(rival).provider_key}/cancel"


def test_no_rival_is_sent_to_a_page_that_is_due_to_be_closed(sandbox):
    exclusive = OfferFactory(license="exclusive")
    rival = order_of(OfferFactory(product=exclusive.product))
    paid(order_of(exclusive))
    api = APIClient()
    api.force_authenticate(rival.buyer)

    answer = api.post(f"/api/v1/marketplace/orders/{rival.pk}/pay", {}, format="json")

    rival.refresh_from_db()
    assert (answer.status_code, answer.json()["code"], rival.status) == (409, "order_not_payable", "expired")
    assert exclusive.product.title in answer.json()["detail"]


def test_money_that_arrives_all_the_same_goes_back(sandbox):
    exclusive = OfferFactory(license="exclusive")
    rival = order_of(OfferFactory(product=exclusive.product))
    paid(order_of(exclusive))

    sandbox.pay(payment_of(rival).provider_key)
    paid(rival)
    resend()
    deliver_refund(Refund.objects.get())

    rival.refresh_from_db()
    assert (rival.status, License.objects.filter(order=rival).exists()) == ("refunded", False)
    assert prove_payment(payment_of(rival)).is_balanced
