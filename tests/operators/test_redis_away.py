"""Redis is gone, or takes connections and says nothing: buyers buy and webhooks are booked, little later if at all."""

import socket

import pytest
import requests
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from dev.ports import HOST
from marketplace.models import Order
from tests.buying import WEBHOOK, envelope, payment_object, payment_of, signed
from tests.factories import OfferFactory, PersonFactory
from tests.operators.conftest import PASSWORD
from tests.operators.production import database_url, serving
from tests.sandbox.process import HYPERSWITCH_KEY

pytestmark = pytest.mark.django_db(transaction=True)
# As long as the containers' health check is patient; a provider is more so.
SECONDS = 5


@pytest.fixture(params=["refused", "silent"])
def redis_away(request):
    """A Redis that nobody serves, or one whose machine takes connections and never answers."""
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        if request.param == "silent":
            silent.listen(128)
        yield f"redis://{HOST}:{silent.getsockname()[1]}/0"


@pytest.fixture
def web(sandbox, redis_away, tmp_path):
    payload = {
        "DATABASE_URL": database_url(),
        "REDIS_URL": redis_away,
        "HYPERSWITCH_ENABLED": "true",
        "HYPERSWITCH_API_KEY": HYPERSWITCH_KEY,
        "HYPERSWITCH_BASE_URL": sandbox.url,
    }
    with serving(tmp_path, **payload) as address:
        yield address


def test_a_buyer_logs_in_and_buys_and_the_webhook_is_booked(web):
    PersonFactory(email="buyer@example.com", password=PBKDF2PasswordHasher().encode(PASSWORD, "salt"))
    refund_request = {"items": [{"product_id": str(OfferFactory().product_id), "license": "personal"}]}

    who = {"email": "buyer@example.com", "password": PASSWORD}
    logged_in = requests.post(f"{web}/api/v1/auth/login", json=who, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {logged_in.json()['access_token']}", "Idempotency-Key": "one-order"}
    order = requests.post(f"{web}/api/v1/marketplace/orders", json=refund_request, headers=headers, timeout=SECONDS)
    raw = envelope("payment_succeeded", payment_object(payment_of(Order.objects.get())))
    answer = requests.post(
        f"{web}{WEBHOOK}", data=raw, headers={"x-webhook-signature-512": signed(raw)}, timeout=SECONDS
    )

    assert (logged_in.status_code, order.status_code, answer.json()) == (200, 201, {"result": "ok"})


def test_the_process_is_healthy_and_says_what_is_missing(web):
    assert requests.get(f"{web}/api/v1/health", timeout=SECONDS).json() == {"status": "ok"}

    services = requests.get(f"{web}/api/v1/status", timeout=SECONDS).json()["data"]["services"]
    assert (services["database"]["status"], services["redis"]["status"]) == ("ok", "degraded")
