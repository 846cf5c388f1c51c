"""How much Python a webhook takes, in process and against a real PostgreSQL, by each writer in turn.

`python3 -m dev test tests/benchmarks/delivery_cpu.py -s` prints the processor time of a whole request, middleware
included: completing payments of two items and two sellers written by the write set and by the reference writer, their
duplicates, and refunds. Read the ratios: the machine decides the rest.
"""

import io
import statistics
import time
from contextlib import nullcontext

import pytest
from django.core.handlers.wsgi import WSGIHandler

from marketplace.models import Order
from tests.buying import WEBHOOK, envelope, order_of, payment_object, payment_of, refund_object, refund_of, signed
from tests.factories import OfferFactory
from tests.reference_writer import reference_writer

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS, SIZE = 5, 32


def milliseconds_each(handler: WSGIHandler, deliveries: list[bytes]) -> float:
    """The processor time of one delivery; all of them have to be answered 200."""
    environments = [
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": WEBHOOK,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "HTTP_X_WEBHOOK_SIGNATURE_512": signed(raw),
            "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
        }
        for raw in deliveries
    ]
    statuses: list[str] = []
    begin = time.process_time()
    for environment in environments:
        handler(environment, lambda status, _headers: statuses.append(status)).close()
    spent = time.process_time() - begin
    assert {status[:3] for status in statuses} == {"200"}
    return spent / len(deliveries) * 1000


def payments_of(orders: list[Order]) -> list[bytes]:
    return [envelope("payment_succeeded", payment_object(payment_of(order))) for order in orders]


def test_processor_time_of_a_delivery(sandbox):
    offers = [OfferFactory(price_minor=10_00), OfferFactory(price_minor=5_00)]
    handler, orders = WSGIHandler(), []
    figures: dict[str, list[float]] = {"write set": [], "reference writer": [], "duplicate": [], "refund": []}

    for number in range(ROUNDS + 1):
        for name, writer in (("write set", nullcontext()), ("reference writer", reference_writer())):
            orders = [order_of(*offers) for _ in range(SIZE)]
            raws = payments_of(orders)
            with writer:
                figures[name].append(milliseconds_each(handler, raws))
        figures["duplicate"].append(milliseconds_each(handler, raws))
        for order in orders:
            order.refresh_from_db()
            sandbox.pay(payment_of(order).provider_key)
        refunds = [envelope("refund_succeeded", refund_object(refund_of(order))) for order in orders]
        figures["refund"].append(milliseconds_each(handler, refunds))
        if number == 0:  # The first round prepares statements and fills caches.
            figures = {name: [] for name in figures}

    for name, values in figures.items():
        print(f"\n{name}: {statistics.median(values):.2f} ms ({min(values):.2f}-{max(values):.2f})")
