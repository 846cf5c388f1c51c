"""A flood of invalid signatures: a few per address are logged, the rest counted, and valid deliveries are handled."""

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from payments.inbox import invalid_signatures as invalid_signatures
from payments.inbox.invalid_signatures import STORED_BYTES, STORED_IN_TOTAL, STORED_PER_ADDRESS, InvalidSignatureLimit
from payments.models import InvalidSignatureCount, WebhookDelivery
from tests.buying import WEBHOOK, deliver, deliver_payment, order_of, payment_of
from tests.factories import OfferFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """A clock that stays at the beginning of a minute until a test moves it."""
    now = [6_000.0]
    monkeypatch.setattr(invalid_signatures.invalid_signatures, "_clock", lambda: now[0])
    return now


def flood(deliveries: int, body: bytes = b"x") -> set[int]:
    return {deliver(body, signature="00").status_code for _ in range(deliveries)}


def stored_counts() -> dict[str, tuple[int, int]]:
    return {row.provider: (row.deliveries, row.bytes) for row in InvalidSignatureCount.objects.all()}


def test_invalid_signatures_beyond_a_few_are_counted_and_not_stored(sandbox, clock):
    assert flood(STORED_PER_ADDRESS + 15, b"x" * 10_000) == {401}
    invalid_signatures.invalid_signatures.flush()

    assert {len(row.payload) for row in WebhookDelivery.objects.all()} == {STORED_BYTES}
    assert WebhookDelivery.objects.count() == STORED_PER_ADDRESS
    assert stored_counts() == {"hyperswitch": (15, 150_000)}


def test_a_flood_from_many_addresses_is_limited_too(sandbox, clock):
    for number in range(STORED_IN_TOTAL + 20):
        Client(REMOTE_ADDR=f"198.51.{number // 250}.{number % 250 + 1}").post(WEBHOOK, b"x", content_type="text/plain")

    assert WebhookDelivery.objects.count() == STORED_IN_TOTAL


def test_a_valid_delivery_in_a_flood_is_handled_and_flushes_the_counts(sandbox, clock):
    payment = payment_of(order_of(OfferFactory()))
    flood(STORED_PER_ADDRESS + 7)
    clock[0] += 2

    assert deliver_payment(payment).json() == {"result": "ok"}

    assert stored_counts() == {"hyperswitch": (7, 7)}


def test_counts_are_flushed_once_a_second_and_not_with_each_delivery(sandbox, clock, django_assert_num_queries):
    flood(STORED_PER_ADDRESS + 1)

    with django_assert_num_queries(0):
        flood(5)
    clock[0] += 2
    with django_assert_num_queries(1):
        flood(1)

    assert stored_counts() == {"hyperswitch": (7, 7)}


def test_each_provider_has_its_own_count(clock):
    limit = InvalidSignatureLimit(clock=lambda: clock[0])
    for _ in range(STORED_PER_ADDRESS + 2):
        limit.may_store("192.0.2.1", 10, provider="hyperswitch")
    for _ in range(3):
        limit.may_store("192.0.2.1", 10, provider="stripe")

    limit.flush()

    assert stored_counts() == {"hyperswitch": (2, 20), "stripe": (3, 30)}


def test_counts_that_could_not_be_flushed_are_kept(monkeypatch, clock):
    limit = InvalidSignatureLimit(clock=lambda: clock[0])
    for _ in range(STORED_PER_ADDRESS + 3):
        limit.may_store("192.0.2.1", 10, provider="stripe")
    with monkeypatch.context() as away:
        away.setattr(invalid_signatures, "_ADD", "SELECT %s::text, %s::int, %s::int FROM nowhere")
        with pytest.raises(DatabaseError), transaction.atomic():
            limit.flush()

    limit.flush()

    assert stored_counts() == {"stripe": (3, 30)}
