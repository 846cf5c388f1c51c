"""What the flows of money cost between us and PostgreSQL, counted so that it cannot rise without a failing test."""

import pytest

from tests.buying import (
    deliver,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.factories import OfferFactory
from tests.round_trips import Cost, counted

# A test's own transaction would hide BEGIN and COMMIT.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def prepared(sandbox) -> None:
    """What a connection does once only is no part of a flow's cost."""
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    assert deliver_refund(refund_of(order)).status_code == 200


def cost_of_payment(*, items: int) -> Cost:
    payment = payment_of(order_of(*OfferFactory.create_batch(items)))
    with counted() as cost:
        assert deliver_payment(payment).json() == {"result": "ok"}
    return cost


def test_a_completing_webhook_costs_five_round_trips(sandbox):
    cost = cost_of_payment(items=2)

    assert (cost.round_trips, len(cost.statements)) == (5, 20), cost


def test_an_order_of_ten_items_costs_no_more_than_one_of_two(sandbox):
    cost = cost_of_payment(items=10)

    assert (cost.round_trips, len(cost.statements)) == (5, 20), cost


def test_a_duplicate_is_one_look_and_one_row(sandbox):
    payment = payment_of(order_of(OfferFactory()))
    raw = envelope("payment_succeeded", payment_object(payment))
    assert deliver(raw).json() == {"result": "ok"}

    with counted() as cost:
        assert deliver(raw).json() == {"result": "skipped: duplicate"}

    assert [cost.round_trips, *(text.split()[0] for text in cost.statements)] == [2, "SELECT", "INSERT"], cost


def test_a_refund_webhook_costs_a_known_number_of_round_trips(sandbox):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    refund = refund_of(order)

    with counted() as cost:
        assert deliver_refund(refund).json() == {"result": "ok"}

    assert cost.round_trips <= 13, cost


def test_a_refund_request_costs_a_known_number_of_round_trips(sandbox):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)

    with counted() as cost:
        refund_of(order)

    assert cost.round_trips <= 32, cost


def test_an_order_costs_a_known_number_of_round_trips(sandbox):
    offers = OfferFactory.create_batch(2)

    with counted() as cost:
        order_of(*offers)

    assert cost.round_trips <= 22, cost
