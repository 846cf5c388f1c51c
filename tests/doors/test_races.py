"""Fifty people click at once, over real HTTP: one effect, forty-nine clean answers."""

import pytest
import requests

from marketplace.models import License, Order
from payments.models import Payment, Refund
from tests.buying import envelope, order_of, paid, payment_object, payment_of, signed, two_sellers_order
from tests.crowd import CROWD, FIFTY, all_at_once
from tests.factories import OfferFactory, PersonFactory
from veza.core.api.sessions import begin

pytestmark = CROWD


@pytest.fixture
def server(live_server, settings):
    settings.ALLOWED_HOSTS = ["*"]
    return f"{live_server.url}/api/v1"


def token_of(person) -> dict[str, str]:
    return {"Authorization": f"Bearer {begin(person).access_token}"}


@pytest.mark.parametrize("keys", ["one key", "fifty keys"])
def test_fifty_requests_for_one_refund_make_one_refund(sandbox, server, keys):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    headers = token_of(order.buyer)

    def ask(number):
        key = "the same" if keys == "one key" else str(number)
        return requests.post(
            f"{server}/marketplace/orders/{order.pk}/refund",
            json={"reason": "Now."},
            headers=headers | {"Idempotency-Key": key},
            timeout=60,
        )

    answers = [answer.status_code for answer in all_at_once(ask)]

    assert set(answers) <= {202, 400, 409}
    assert answers.count(202) >= 1
    assert Refund.objects.count() == 1
    assert len([call for call in sandbox.calls() if (call["method"], call["path"]) == ("POST", "/refunds")]) == 1


def test_fifty_buyers_of_the_last_exclusive_license_make_one_holder(sandbox, server):
    offer = OfferFactory(license="exclusive", price_minor=450_00)
    orders = [order_of(offer) for _ in range(FIFTY)]
    for order in orders:
        sandbox.pay(payment_of(order).provider_key)
    bodies = [envelope("payment_succeeded", payment_object(payment_of(order))) for order in orders]

    def pay(number):
        headers = {"x-webhook-signature-512": signed(bodies[number]), "Content-Type": "application/json"}
        webhook = f"{server}/webhooks/hyperswitch"
        return requests.post(webhook, data=bodies[number], headers=headers, timeout=60).status_code

    assert set(all_at_once(pay)) == {200}

    assert License.objects.count() == 1
    assert Refund.objects.filter(source="late_payment", amount_minor=540_00).count() == FIFTY - 1
    assert Order.objects.filter(status="completed").count() == 1


def test_a_crowd_of_orders_of_one_buyer_ends_at_the_limit_of_open_ones(sandbox, server, settings):
    settings.OPEN_ORDERS_PER_BUYER = 3
    offer, headers = OfferFactory(), token_of(PersonFactory())
    body = {"items": [{"product_id": str(offer.product_id), "license": "personal"}]}

    def ask(_number):
        return requests.post(f"{server}/marketplace/orders", json=body, headers=headers, timeout=60)

    answers = all_at_once(ask, people=20)

    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert (Order.objects.count(), Payment.objects.count(), len(refused)) == (3, 3, 17)
    assert {one["code"] for one in refused} == {"too_many_open_orders"}
    assert set(refused[0]["open_orders"]) == {str(order.pk) for order in Order.objects.all()}


def test_fifty_orders_under_one_key_are_one_order(sandbox, server):
    offer, buyer = OfferFactory(), PersonFactory()
    body = {"items": [{"product_id": str(offer.product_id), "license": "personal"}]}

    def ask(_number):
        headers = token_of(buyer) | {"Idempotency-Key": "once"}
        return requests.post(f"{server}/marketplace/orders", json=body, headers=headers, timeout=60)

    answers = all_at_once(ask)

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert Order.objects.count() == Payment.objects.count() == 1
