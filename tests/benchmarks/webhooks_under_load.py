"""Real deliveries while something else goes on, by hand: pytest tests/benchmarks/webhooks_under_load.py -s

    REAL=600 GAP_SECONDS=0.15 FORGED=100000 PER_SECOND=200 pytest tests/benchmarks/webhooks_under_load.py -s -k flood
    OLD_ROWS=1000000 pytest tests/benchmarks/webhooks_under_load.py -s -k cleaned

gunicorn with two workers of four threads, over loopback. Each real delivery is a payment that nobody has heard of yet,
sent ten a second unless GAP_SECONDS says otherwise. It prints their p50 and p99 quiet, meanwhile and quiet again, all
in one run, and the ratio. The flood shares the machine's cores with whom it floods.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import quantiles

import pytest
from django.db import connection

from payments.models import InvalidSignatureCount, Payment, WebhookDelivery
from tests.buying import WEBHOOK, envelope, order_of, payment_object, payment_of, signed
from tests.factories import OfferFactory
from tests.operators.production import ROOT, database_url, environment

pytestmark = pytest.mark.django_db(transaction=True)
REAL = int(os.environ.get("REAL", "200"))
FORGED = int(os.environ.get("FORGED", "20000"))
PER_SECOND = int(os.environ.get("PER_SECOND", "300"))
OLD_ROWS = int(os.environ.get("OLD_ROWS", "200000"))
GAP_SECONDS = float(os.environ.get("GAP_SECONDS", "0.1"))
SECONDS = 1_200
_FILL = """
INSERT INTO webhook_log (id, provider, payload, payload_sha256, signature_valid, processing_result, user_agent,
                         request_id, received_at, attempts)
SELECT gen_random_uuid(), 'hyperswitch', repeat(md5(n::text), 40), repeat('0', 64), true, 'skipped: ignored', '', '',
       now() - interval '100 days' - n * interval '1 second', 1
FROM generate_series(1, %s) AS n
"""


def payments(number: int) -> list[Payment]:
    offer = OfferFactory()
    return [payment_of(order_of(offer)) for _ in range(number)]


def deliver_all(url: str, waiting: list[Payment], going_on: Callable[[], bool] = lambda: True) -> list[float]:
    """Deliver them one after another while `going_on`; the milliseconds that each took, of those that were settled."""
    host, taken = url.removeprefix("http://").removesuffix(WEBHOOK), []
    client = http.client.HTTPConnection(host, timeout=30)
    begun = time.perf_counter()
    for number, payment in enumerate(waiting):
        raw = envelope("payment_succeeded", payment_object(payment))
        headers = {"Content-Type": "application/json", "x-webhook-signature-512": signed(raw)}
        time.sleep(max(0.0, begun + number * GAP_SECONDS - time.perf_counter()))
        if not going_on():
            break
        sent = time.perf_counter()
        client.request("POST", WEBHOOK, raw, headers | {"X-Forwarded-For": "198.51.100.7"})
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"result": "ok"}')
        taken.append((time.perf_counter() - sent) * 1_000)
    return taken


def told(label: str, taken: list[float]) -> float:
    cuts = quantiles(taken, n=100, method="inclusive")
    print(
        f"{label}: {len(taken)} real deliveries, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, max {max(taken):.1f} ms"
    )
    return cuts[98]


@contextmanager
def meanwhile(*command: str, payload: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, *command]
    process = subprocess.Popen(line, cwd=ROOT, env=environment(payload), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        print(process.communicate(timeout=30)[0].strip()[-300:])


def measure(url: str, label: str, *command: str) -> None:
    """Print the p99 before, during and after `command`."""
    warm, before, during, after = (payments(number) for number in (20, REAL, REAL, REAL))
    deliver_all(url, warm)
    print()
    quiet = deliver_all(url, before)
    with meanwhile(*command, payload={"DATABASE_URL": database_url(), "LOG_LEVEL": "ERROR"}) as process:
        time.sleep(2)
        loud = deliver_all(url, during, going_on=lambda: process.poll() is None)
        process.wait(SECONDS)
    again = deliver_all(url, after)
    told("quiet before", quiet)
    busy = told(label, loud)
    told("quiet after", again)
    calm = told("quiet, both", quiet + again)
    print(f"p99 {label} is {busy / calm:.2f} times the quiet one")


def test_real_deliveries_during_a_flood_of_forged_ones(sandbox, url):
    measure(url, "during the flood", "-m", "tests.benchmarks.forging", url, str(FORGED), str(PER_SECOND))

    kept = WebhookDelivery.objects.filter(signature_valid=False).count()
    counted = sum(InvalidSignatureCount.objects.values_list("deliveries", flat=True))
    print(f"{kept} forged deliveries kept, {counted} counted")


def test_real_deliveries_while_the_log_is_cleaned(sandbox, url):
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '60s'")
        cursor.execute(_FILL, [OLD_ROWS])
        cursor.execute("ANALYZE webhook_log")
        cursor.execute("RESET statement_timeout")

    measure(url, "during the cleaning", "manage.py", "clean_webhook_log", "--json")

    print(f"{OLD_ROWS} old rows, {WebhookDelivery.objects.filter(processing_result='skipped: ignored').count()} left")
