"""The completing webhook is the hot path: its cost is counted, so that it cannot rise without a failing test."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.buying import deliver_payment, order_of, payment_of
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db


def statements_to_complete(items: int) -> int:
    payment = payment_of(order_of(*OfferFactory.create_batch(items)))
    with CaptureQueriesContext(connection) as queries:
        assert deliver_payment(payment).json() == {"result": "ok"}
    return len(queries)


def test_a_completing_webhook_costs_a_known_number_of_statements(sandbox):
    assert statements_to_complete(items=2) == 20


def test_an_order_of_ten_items_costs_no_more_than_one_of_two(sandbox):
    assert statements_to_complete(items=10) == statements_to_complete(items=2)
