"""A deploy stops processes all day: what is in hand is finished, and what is killed instead costs nothing."""

import os
import signal
import threading
import time

import pytest
import requests
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db.models.functions import Now

from connect.models import ConnectedAccount, SellerTransfer
from connect.tasks import send_transfers
from dev.ports import free_port
from marketplace.models import Order
from payments.models import InvalidSignatureCount, Payment, WebhookDelivery
from payments.tasks import resend
from tests.buying import SECRET, WEBHOOK, order_of, paid, payment_of
from tests.dev.process_tree import descendants
from tests.factories import OfferFactory, PersonFactory
from tests.operators.conftest import PASSWORD
from tests.operators.production import a_redis, database_url, start, wait_until
from tests.sandbox.process import HYPERSWITCH_KEY, STRIPE_KEY
from veza import alive

pytestmark = pytest.mark.django_db(transaction=True)
SLOW_SECONDS = 2


@pytest.fixture
def environ(sandbox, tmp_path):
    """A development's environment whose providers are the sandbox."""
    with a_redis(tmp_path) as redis_url:
        yield {
            "DATABASE_URL": database_url(),
            "REDIS_URL": redis_url,
            "SECRET_KEY": "q7Zt0vXw3nYb5cRk8mLp2sHd6fJg9aTe1uVi4oBxQyWzNrKhMlPjSdFg",
            "WEB_BIND": f"127.0.0.1:{free_port()}",
            "HYPERSWITCH_ENABLED": "true",
            "HYPERSWITCH_API_KEY": HYPERSWITCH_KEY,
            "HYPERSWITCH_BASE_URL": sandbox.url,
            "HYPERSWITCH_PROFILE_ID": "pro_sandbox",
            "HYPERSWITCH_WEBHOOK_SECRET": SECRET,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_BASE_URL": sandbox.url,
            "TRANSFER_RETRY_CHECK_INTERVAL": "1s",
        }


@pytest.fixture
def web(environ, tmp_path):
    """The web process as production runs it, and a buyer's request to it that takes two seconds at the provider."""
    PersonFactory(email="buyer@example.com", password=PBKDF2PasswordHasher().encode(PASSWORD, "salt"))
    url = f"http://{environ['WEB_BIND']}/api/v1"
    with start("-m", "gunicorn", "--config", "gunicorn.conf.py", environ=environ, log=tmp_path / "web.log") as process:
        wait_until(lambda: alive.web_is_alive(environ["WEB_BIND"], ""), seconds=60)
        log_in = requests.post(
            f"{url}/auth/login", json={"email": "buyer@example.com", "password": PASSWORD}, timeout=10
        )
        headers = {"Authorization": f"Bearer {log_in.json()['access_token']}", "Idempotency-Key": "one-order"}
        refund_request = {"items": [{"product_id": str(OfferFactory().product_id), "license": "personal"}]}
        yield (
            process,
            lambda: requests.post(f"{url}/marketplace/orders", json=refund_request, headers=headers, timeout=20),
        )


def in_hand(sandbox, path):
    """Wait until the provider has the call: from then on the process stands in the middle of it."""
    wait_until(lambda: any(call["path"] == path and call["method"] == "POST" for call in sandbox.calls()), seconds=40)


def ask_in_the_background(ask):
    answers = []

    def run():
        try:
            answers.append(ask().status_code)
        except requests.RequestException as error:
            answers.append(type(error).__name__)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, answers


def test_sigterm_lets_a_request_in_hand_finish(web, sandbox):
    process, ask = web
    sandbox.fault("latency", "^/payments$", method="POST", when="after", seconds=SLOW_SECONDS)
    thread, answers = ask_in_the_background(ask)
    in_hand(sandbox, "/payments")

    process.send_signal(signal.SIGTERM)
    thread.join(40)

    assert (answers, process.wait(40)) == ([201], 0)
    assert Order.objects.get().status == "pending"


def test_a_stopping_web_process_tells_how_many_signatures_were_invalid(web, environ):
    process, _ask = web
    for _ in range(100):
        requests.post(f"http://{environ['WEB_BIND']}{WEBHOOK}", data=b"x", timeout=20)
    count = WebhookDelivery.objects.count()

    process.send_signal(signal.SIGTERM)
    process.wait(40)

    assert 0 < count < 100
    assert count + sum(InvalidSignatureCount.objects.values_list("deliveries", flat=True)) == 100


def test_a_killed_web_process_loses_the_answer_and_nothing_else(web, sandbox, environ, tmp_path):
    process, ask = web
    sandbox.fault("latency", "^/payments$", method="POST", when="after", seconds=SLOW_SECONDS)
    thread, answers = ask_in_the_background(ask)
    in_hand(sandbox, "/payments")

    kill_all(process)
    thread.join(40)
    Payment.objects.update(next_attempt_at=Now())
    resend()

    payment = payment_of(Order.objects.get())
    assert (answers, payment.status) == (["ConnectionError"], "pending")
    assert payment.payment_url


def kill_all(process):
    """The process and its children, one of which has the work in hand, as when the machine dies."""
    family = [process.pid, *(pid for pid, _start_time in descendants(process.pid))]
    for pid in family:
        os.kill(pid, signal.SIGKILL)


def a_planned_transfer(sandbox):
    offer = OfferFactory()
    account = sandbox.create_account()
    ConnectedAccount.objects.create(seller=offer.product.seller, stripe_account_id=account, transfers_active=True)
    paid(order_of(offer))
    return SellerTransfer.objects.get()


@pytest.fixture
def worker(environ, tmp_path, sandbox):
    """A worker and its clock, and a transfer that takes two seconds at Stripe."""
    transfer = a_planned_transfer(sandbox)
    sandbox.fault("latency", "^/v1/transfers$", method="POST", when="after", seconds=SLOW_SECONDS)
    celery = ("-m", "celery", "--quiet", "--app", "veza.celery")
    schedule = str(tmp_path / "schedule")
    with (
        start(*celery, "worker", "--concurrency", "1", environ=environ, log=tmp_path / "worker.log") as process,
        start(*celery, "beat", "--schedule", schedule, environ=environ, log=tmp_path / "beat.log"),
    ):
        in_hand(sandbox, "/v1/transfers")
        yield process, transfer


def test_sigterm_lets_a_tick_in_hand_finish(worker):
    process, transfer = worker

    process.send_signal(signal.SIGTERM)

    assert process.wait(40) == 0
    transfer.refresh_from_db()
    assert (transfer.status, transfer.in_doubt_since) == ("completed", None)


def test_a_killed_worker_costs_one_lease_and_never_a_second_transfer(worker, sandbox):
    process, transfer = worker
    kill_all(process)
    transfer.refresh_from_db()
    assert transfer.in_doubt_since

    time.sleep(SLOW_SECONDS)  # Stripe answers 409 while the first call is still under way there; a lease is longer.
    SellerTransfer.objects.update(next_retry_at=Now())
    send_transfers()

    transfer.refresh_from_db()
    transfers = [one for one in sandbox.truth()["movements"] if one["kind"] == "transfer"]
    assert (transfer.status, len(transfers)) == ("completed", 1)
