"""What Prometheus reads, and who may read it."""

import re
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from connect.models import SellerTransfer
from payments.models import Refund, WebhookDelivery
from tests.buying import deliver, deliver_payment, envelope, order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory
from veza import metrics as page
from veza import status
from veza.core.ids import new_id
from veza.core.models import Heartbeat, PlatformSetting, ProviderCall, ReviewItem
from veza.core.platform import maintenance

pytestmark = pytest.mark.django_db
QUERIES = 25
LONG = "a-token-for-prometheus"


@pytest.fixture(autouse=True)
def nothing_remembered(settings):
    settings.METRICS_TOKEN, settings.TRUSTED_PROXIES, settings.REDIS_URL = "", 0, ""
    for cache in (page._families, status.state, maintenance):
        cache.forget()
    yield
    for cache in (page._families, status.state, maintenance):
        cache.forget()


def fetch(client, **headers):
    return client.get("/metrics", headers=headers)


@pytest.fixture
def figures(client):
    """The figures as Prometheus understands them: {(name, values of the labels by their names): value}."""

    def ask():
        for cache in (page._families, status.state, maintenance):
            cache.forget()
        text = fetch(client).content.decode()
        return {
            (sample.name.removeprefix("veza_"), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    return ask


# --- Who may read ---


@pytest.mark.parametrize(
    ("token", "header", "status_"),
    [
        (LONG, f"Bearer {LONG}", 200),
        (LONG, "", 403),
        (LONG, "Bearer wrong", 403),
        (LONG, "Bearer ", 403),
        (LONG, "Bearer ümläut", 403),
        ("", "", 200),
    ],
)
def test_a_token_is_asked_for_once_there_is_one(client, settings, token, header, status_):
    settings.METRICS_TOKEN = token

    assert fetch(client, authorization=header).status_code == status_


@pytest.mark.parametrize(
    ("proxies", "address", "forward", "status_"),
    [
        (0, "127.0.0.1", None, 200),
        (0, "::1", None, 200),
        (0, "203.0.113.9", None, 403),
        (0, "127.0.0.1", "203.0.113.9", 403),  # A proxy on this machine that nobody told us of.
        (0, "127.0.0.1", "127.0.0.1", 403),
        (1, "127.0.0.1", "203.0.113.9", 403),
        (1, "127.0.0.1", "127.0.0.1, 203.0.113.9", 403),
        (1, "127.0.0.1", None, 200),
    ],
)
def test_without_a_token_only_this_machine_may_read(client, settings, proxies, address, forward, status_):
    settings.TRUSTED_PROXIES = proxies
    headers = {"x-forwarded-for": forward} if forward else {}

    assert client.get("/metrics", headers=headers, REMOTE_ADDR=address).status_code == status_


def test_a_refusal_is_a_problem_with_a_code(client):
    answer = client.get("/metrics", REMOTE_ADDR="203.0.113.9")

    assert (answer.status_code, answer.json()["code"]) == (403, "metrics_refused")


def test_nothing_is_done_by_a_post(client):
    assert client.post("/metrics").status_code == 405


# --- What it says ---


def test_deliveries_are_counted_by_result(figures, sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), event_id="evt_1")
    deliver_payment(payment_of(order), event_id="evt_1")
    deliver(envelope("payment_succeeded", {}), signature="00")
    deliver(b"no JSON")

    snapshot = figures()

    assert snapshot["webhook_deliveries", "hyperswitch", "ok"] == 1
    assert snapshot["webhook_deliveries", "hyperswitch", "skipped: duplicate"] == 1
    assert snapshot["webhook_deliveries", "hyperswitch", "signature_invalid"] == 1
    assert snapshot["webhook_deliveries", "hyperswitch", "error"] == 1


def test_a_delivery_of_two_hours_ago_is_history(figures, sandbox):
    paid(order_of(OfferFactory()))
    WebhookDelivery.objects.update(received_at=timezone.now() - timedelta(hours=2))

    assert ("webhook_deliveries", "hyperswitch", "ok") not in figures()


def test_the_oldest_refund_and_transfer_show_how_long_they_wait(figures, sandbox):
    order = paid(order_of(OfferFactory()))
    SellerTransfer.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert figures()["oldest_waiting_seconds", "transfer"] == pytest.approx(300, abs=10)

    sandbox.pay(payment_of(order).provider_key)
    refund_of(order)
    Refund.objects.update(created_at=timezone.now() - timedelta(hours=1))

    assert figures()["oldest_waiting_seconds", "refund"] == pytest.approx(3600, abs=10)


def test_due_rows_are_counted_by_queue_and_how_late_they_are(figures, sandbox):
    paid(order_of(OfferFactory()))
    assert figures()["due_rows", "transfers"] == 1

    SellerTransfer.objects.update(next_retry_at=timezone.now() - timedelta(minutes=10))
    assert figures()["due_oldest_seconds", "transfers"] == pytest.approx(600, abs=10)

    SellerTransfer.objects.update(next_retry_at=timezone.now() + timedelta(minutes=10))
    assert (figures()["due_rows", "transfers"], figures()["due_oldest_seconds", "transfers"]) == (0, 0)


def test_counting_stops_at_the_cap(figures, sandbox, monkeypatch):
    monkeypatch.setattr(page, "CAP", 2)
    for _ in range(4):
        paid(order_of(OfferFactory()))

    assert (figures()["due_rows", "transfers"], figures()["webhook_deliveries", "hyperswitch", "ok"]) == (2, 2)


def test_money_in_doubt_is_summed_over_open_cases_and_unanswered_transfers(figures, sandbox):
    for amount, closed_at in ((500, None), (700, None), (900, timezone.now())):
        ReviewItem.objects.create(
            kind="mismatch", subject="x", subject_id=new_id(), amount_minor=amount, currency="EUR", closed_at=closed_at
        )
    paid(order_of(OfferFactory(price_minor=10_00)))
    SellerTransfer.objects.update(in_doubt_since=timezone.now())

    snapshot = figures()

    assert snapshot["cases_open", "mismatch"] == 2
    assert snapshot["amount_in_doubt_minor", "EUR", "mismatch"] == 1_200
    assert snapshot["amount_in_doubt_minor", "EUR", "transfer_in_doubt"] == 900


def test_calls_to_providers_show_their_outcome_and_how_long_they_took(figures):
    for outcome, milliseconds in (("accepted", 100), ("accepted", 200), ("unknown", 10_000)):
        ProviderCall.objects.create(
            provider="stripe",
            outcome=outcome,
            milliseconds=milliseconds,
            subject_id=new_id(),
            correlation_id=new_id(),
            status=200,
        )

    snapshot = figures()

    assert (snapshot["provider_calls", "accepted", "stripe"], snapshot["provider_calls", "unknown", "stripe"]) == (2, 1)
    assert snapshot["provider_seconds", "stripe", "0.5"] == 0.2


def test_a_worker_shows_when_it_last_came_to_its_end(figures):
    Heartbeat.objects.create(name="payments.resend", beat_at=timezone.now() - timedelta(minutes=2), done=3, failed=1)

    snapshot = figures()

    assert snapshot["worker_heartbeat_age_seconds", "payments.resend"] == pytest.approx(120, abs=10)
    assert (snapshot["worker_last_done", "payments.resend"], snapshot["worker_last_failed", "payments.resend"]) == (
        3,
        1,
    )


def test_maintenance_version_and_services_are_told(figures, settings):
    PlatformSetting.objects.create(name="maintenance", value={"on": True})

    snapshot = figures()

    assert (snapshot["maintenance",], snapshot["up", "database"]) == (1, 1)
    assert snapshot["build_info", "development", settings.VERSION] == 1
    assert ("up", "redis") not in snapshot


def test_a_figure_that_cannot_be_read_is_named_and_takes_no_other_with_it(figures, monkeypatch):
    def away():
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setitem(page.FIGURES, "cases", away)

    snapshot = figures()

    assert snapshot["metrics_failed", "cases"] == 1
    assert ("due_rows", "transfers") in snapshot


def test_asking_costs_as_many_queries_with_a_backlog_as_without(figures, sandbox, django_assert_num_queries):
    with django_assert_num_queries(QUERIES):
        figures()
    for _ in range(3):
        paid(order_of(OfferFactory()))

    with django_assert_num_queries(QUERIES):
        figures()


def test_asking_again_within_five_seconds_costs_no_query(client, django_assert_num_queries):
    fetch(client)

    with django_assert_num_queries(0):
        assert fetch(client).status_code == 200


def test_every_figure_has_the_houses_name_and_an_explanation(client):
    text = fetch(client).content.decode()

    assert all(re.fullmatch(r"veza_\w+ \S.*\.", line[7:]) for line in text.splitlines() if line.startswith("# HELP "))
