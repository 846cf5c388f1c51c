"""What every floor's tests share: the providers' double over HTTP, and settings that point at it."""

import gc
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.servers.basehttp import WSGIServer
from django.db import connection
from django.test import TransactionTestCase

from payments.inbox.invalid_signatures import invalid_signatures
from tests.buying import SECRET
from tests.database_roles import become_application
from tests.fresh_database import FreshDatabase, may_skip_triggers
from tests.sandbox.process import HYPERSWITCH_KEY, MERCHANT_ID, STRIPE_KEY, Sandbox
from veza.core.api.counts import shared_cache
from veza.core.platform import maintenance

# Fifty people at once must not be turned away by the test server's own queue of ten.
WSGIServer.request_queue_size = 128
# The passwords of tests protect nothing, and a real hash takes a quarter of a second.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Every test client loads the middleware: it must not read the whole folder of static files each time.
settings.WHITENOISE_AUTOREFRESH = True


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all code and 6000 collected tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """The tests' database, which a test that commits leaves as it found it. Without the right to: by Django's flush."""
    with django_db_blocker.unblock():
        if may_skip_triggers():
            fresh = FreshDatabase()
            become_application()
            TransactionTestCase._fixture_teardown = lambda _test: fresh.restore()


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """What throttles and locks count, and what a process remembers, must not travel from one test to the next."""
    cache.clear()
    shared_cache.forget()
    maintenance.forget()


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox(refund_delay_seconds=3600) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: Sandbox, settings) -> Sandbox:
    """Hyperswitch and Stripe for one test, with nothing in them. Their webhooks wait until a test asks for them."""
    sandbox_process.reset()
    sandbox_process.settings(webhooks_paused=True)
    settings.HYPERSWITCH_ENABLED = True
    settings.HYPERSWITCH_API_KEY = HYPERSWITCH_KEY
    settings.HYPERSWITCH_BASE_URL = sandbox_process.url
    settings.HYPERSWITCH_MERCHANT_ID = MERCHANT_ID
    settings.HYPERSWITCH_PROFILE_ID = "pro_sandbox"
    settings.HYPERSWITCH_WEBHOOK_SECRETS = [SECRET]
    settings.HYPERSWITCH_RATE_PER_SECOND = 10_000
    settings.STRIPE_SECRET_KEY = STRIPE_KEY
    settings.STRIPE_BASE_URL = sandbox_process.url
    settings.STRIPE_RATE_PER_SECOND = 10_000
    return sandbox_process


@pytest.fixture
def patient_connections(monkeypatch) -> None:
    """What is connected from now on, by any thread, waits a minute for a lock instead of three seconds."""
    options = connection.settings_dict["OPTIONS"]
    longer = f"{options['options']} -c lock_timeout=60s -c statement_timeout=60s"
    monkeypatch.setitem(options, "options", longer)


@pytest.fixture(autouse=True)
def nobody_has_forged_yet() -> None:
    """What one test forges must not keep the next one's from the log."""
    invalid_signatures.reset()
