"""The database goes away under load and comes back: nothing that was acknowledged is lost, and nothing is restarted."""

import itertools
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now

from connect.models import SellerTransfer
from marketplace.models import License, Order
from payments.models import Payment, WebhookDelivery
from tests.buying import deliver_over_http, envelope, order_of, payment_object, payment_of
from tests.connect.factories import make_seller, planned
from tests.factories import OfferFactory
from tests.operators.fleet import workers
from tests.operators.production import database_url, serving, wait_until
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db(transaction=True)
ORDERS, TRANSFERS, SENDERS, AWAY_SECONDS = 60, 40, 4, 1.0


@pytest.fixture
def web(tmp_path):
    """The web process as production runs it."""
    with serving(tmp_path, DATABASE_URL=database_url(), WEB_THREADS="4") as address:
        yield address


@contextmanager
def database_away():
    """Every connection to the test's database but our own breaks, and none can be made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), pg_backend_pid()")
        name, our_own = cursor.fetchone()
    # A database cannot lock itself.
    elsewhere = connection.get_connection_params() | {"dbname": "postgres"}
    with psycopg.connect(**elsewhere, autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            server.execute(others, [name, our_own])
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def delivered(address: str, raw: bytes) -> list[int]:
    """The statuses until it is acknowledged: the provider sends again what was not."""
    answers: list[int] = []
    while answers[-1:] != [200] and len(answers) < 100:
        answers.append(deliver_over_http(address, raw).status_code)
        time.sleep(0.05)
    return answers


def test_deliveries_are_refused_without_a_database_then_booked_once(sandbox, web):
    orders = [order_of(OfferFactory()) for _ in range(ORDERS)]
    bodies = [envelope("payment_succeeded", payment_object(payment_of(order))) for order in orders]

    with ThreadPoolExecutor(SENDERS) as senders:
        answers = senders.map(lambda raw: delivered(web, raw), bodies)
        wait_until(lambda: WebhookDelivery.objects.count() > ORDERS // 4, seconds=90)
        with database_away():
            time.sleep(AWAY_SECONDS)
        statuses = Counter(itertools.chain.from_iterable(answers))

    assert set(statuses) == {200, 503}
    assert statuses[200] == ORDERS
    assert (Order.objects.filter(status="completed").count(), License.objects.count()) == (ORDERS, ORDERS)
    assert [prove_payment(payment).differences for payment in Payment.objects.all()] == [[]] * ORDERS


def test_workers_outlive_it_and_send_each_transfer_once(sandbox, tmp_path):
    seller = make_seller(stripe_account_id=sandbox.create_account())
    rows = [planned(seller) for _ in range(TRANSFERS)]
    sandbox.fault("latency", "^/v1/transfers$", method="POST", when="after", seconds=0.05, times=0)

    with workers(sandbox, tmp_path, 2, STRIPE_RATE="20", TRANSFER_RETRY_CHECK_INTERVAL="1s"):
        wait_until(lambda: len(sent(sandbox)) > TRANSFERS // 4, seconds=90)
        with database_away():
            time.sleep(AWAY_SECONDS)
            assert not all_completed()
        # What was in hand comes back when its lease is over: nobody waits for that here.
        wait_until(lambda: due_now() and all_completed(), seconds=90)

    assert sorted(sent(sandbox)) == sorted(row.sent_minor for row in rows)


def sent(sandbox) -> list[int]:
    return [one["amount"] for one in sandbox.truth()["movements"] if one["kind"] == "transfer"]


def due_now() -> bool:
    time.sleep(0.5)
    SellerTransfer.objects.filter(next_retry_at__isnull=False).update(next_retry_at=Now())
    return True


def all_completed() -> bool:
    return not SellerTransfer.objects.exclude(status="completed").exists()
