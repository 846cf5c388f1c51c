"""A process that dies at any moment of a money request: asking again under the same key does it once."""

import pytest
from django.db.models.functions import Now
from rest_framework.test import APIClient

from marketplace.models import Order
from payments.models import Payment, Refund
from tests.buying import paid, payment_of, two_sellers_order
from tests.factories import OfferFactory, PersonFactory
from veza.core.models import IdempotentRequest

pytestmark = pytest.mark.django_db
ORDERS = "/api/v1/marketplace/orders"


class ProcessDied(BaseException):
    """What a process that is killed does next: nothing."""


def die(*_args, **_options):
    raise ProcessDied


def die_after(verb):
    def and_then_die(*args, **options):
        verb(*args, **options)
        raise ProcessDied

    return and_then_die


@pytest.fixture
def kill_at(monkeypatch):
    """Kill the process at a function, before or after it did its work; nothing is tidied up, as in a real death."""
    patches = pytest.MonkeyPatch()

    def kill(target, when):
        module, name = target.rsplit(".", 1)
        verb = getattr(__import__(module, fromlist=[name]), name)
        patches.setattr(target, die if when == "before" else die_after(verb))
        patches.setattr("veza.core.api.idempotency._release", lambda _claim: None)

    kill.undo = patches.undo
    yield kill
    patches.undo()


def ask(person, path, body):
    client = APIClient()
    client.force_authenticate(person)
    return client.post(path, body, format="json", headers={"Idempotency-Key": "one"})


def lease_is_over():
    IdempotentRequest.objects.update(leased_until_at=Now())


PLACES = [
    ("marketplace.orders.place_order", "before"),
    ("marketplace.orders.place_order", "after"),
    ("payments.hyperswitch.client.create_payment", "after"),
    ("payments.collection.payment_requests._record_outcome", "after"),
    ("veza.core.api.idempotency._store", "before"),
    ("veza.core.api.idempotency._store", "after"),
]


@pytest.mark.parametrize(("target", "when"), PLACES)
def test_an_order_whose_process_dies_is_made_once(sandbox, kill_at, target, when):
    buyer, offer = PersonFactory(), OfferFactory()
    body = {"items": [{"product_id": str(offer.product_id), "license": offer.license}]}
    kill_at(target, when)
    with pytest.raises(ProcessDied):
        ask(buyer, ORDERS, body)
    kill_at.undo()
    lease_is_over()

    answer = ask(buyer, ORDERS, body)

    assert (answer.status_code, answer.json()["payment_url"] is not None) == (201, True)
    assert Order.objects.count() == Payment.objects.count() == 1
    assert sandbox.hyperswitch("GET", "/payments/list").json()["size"] == 1


REFUND_PLACES = [
    ("marketplace.refunds.place_refund", "before"),
    ("marketplace.refunds.place_refund", "after"),
    ("payments.refunds.refund_requests._mark_sent", "after"),
    ("payments.hyperswitch.client.create_refund", "after"),
    ("payments.refunds.refund_requests._record_outcome", "after"),
    ("veza.core.api.idempotency._store", "after"),
]


@pytest.mark.parametrize(("target", "when"), REFUND_PLACES)
def test_a_refund_whose_process_dies_is_made_once(sandbox, kill_at, target, when):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    path, body = f"{ORDERS}/{order.pk}/refund", {"reason": "It does not open."}
    kill_at(target, when)
    with pytest.raises(ProcessDied):
        ask(order.buyer, path, body)
    kill_at.undo()
    lease_is_over()

    answer = ask(order.buyer, path, body)

    assert answer.status_code == 202
    assert Refund.objects.count() == 1
    assert sandbox.hyperswitch("POST", "/refunds/list", json={}).json()["total_count"] <= 1


def test_while_the_first_may_still_be_at_work_the_second_is_told_to_wait(sandbox, kill_at):
    buyer, offer = PersonFactory(), OfferFactory()
    body = {"items": [{"product_id": str(offer.product_id), "license": offer.license}]}
    kill_at("payments.hyperswitch.client.create_payment", "after")
    with pytest.raises(ProcessDied):
        ask(buyer, ORDERS, body)
    kill_at.undo()

    answer = ask(buyer, ORDERS, body)

    assert (answer.status_code, answer.json()["code"]) == (409, "request_in_flight")
    assert int(answer["Retry-After"]) > 0
