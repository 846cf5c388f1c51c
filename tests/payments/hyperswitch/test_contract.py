"""Our requests against Hyperswitch's own schemas, where those are available."""

import pytest

from payments.hyperswitch import client as hyperswitch_api
from payments.retry_policy import retry_after
from tests.buying import order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory
from tests.sandbox.schemas import FOLDER, HYPERSWITCH, validator_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not (FOLDER / HYPERSWITCH).exists(), reason="the contracts are not available"),
]


@pytest.fixture
def bodies(monkeypatch):
    """The requests that are posted from here on."""
    requests = []
    send = hyperswitch_api._post

    def post(path, fields, **options):
        requests.append((path, dict(fields)))
        return send(path, fields, **options)

    monkeypatch.setattr(hyperswitch_api, "_post", post)
    return requests


def assert_is_known(body, name):
    validator, properties = validator_of(HYPERSWITCH, name)
    validator.validate(body)
    assert set(body) <= set(properties)


def test_a_payment_request_follows_the_providers_schema(sandbox, bodies):
    order = order_of(OfferFactory())

    [(path, body)] = bodies
    assert path == "/payments"
    assert_is_known(body, "PaymentsCreateRequest")
    assert not {"order_tax_amount", "confirm"} & body.keys()
    assert body["amount"] == order.total_minor


def test_a_refund_request_always_has_an_amount(sandbox, bodies):
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)

    refund = refund_of(order)

    path, body = bodies[-1]
    assert path == "/refunds"
    assert_is_known(body, "RefundRequest")
    assert body["amount"] == refund.amount_minor
    assert len(body["refund_id"]) == 30


def test_a_row_is_sent_again_after_15_s_1_m_and_5_m():
    waits = [retry_after(attempts).total_seconds() for attempts in range(5)]

    assert waits == [15, 60, 300, 300, 300]
