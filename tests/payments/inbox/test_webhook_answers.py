"""Every case of a webhook: the answer, the row in the log, and the effects."""

import hashlib
import json
import re
from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from payments.inbox.replay import replay
from payments.models import Posting, WebhookDelivery
from payments.webhooks import IGNORED, is_signed_by_hyperswitch
from tests.buying import (
    SECRET,
    WEBHOOK,
    ago,
    deliver,
    deliver_dispute,
    deliver_payment,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_object,
    refund_of,
    signed,
)
from tests.factories import OfferFactory
from veza.core.causes import Cause
from veza.core.ids import new_id, provider_id
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment(sandbox):
    return payment_of(order_of(OfferFactory()))


def only_row() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


def nothing_happened(payment) -> bool:
    payment.refresh_from_db()
    return payment.status == "pending" and not Posting.objects.exists()


def test_a_chunked_body_is_refused_and_leaves_no_row(payment):
    answer = Client().generic("POST", WEBHOOK, b"", headers={"Transfer-Encoding": "chunked"}, CONTENT_LENGTH="")

    assert answer.status_code == 411
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("content_length", ["65537", "9" * 5_000])
def test_a_body_over_64_kb_is_refused_before_anything_is_written(payment, content_length):
    answer = Client().generic("POST", WEBHOOK, b" ", CONTENT_LENGTH=content_length)

    assert answer.status_code == 413
    assert not WebhookDelivery.objects.exists()


def test_a_body_of_exactly_64_kb_is_handled(payment):
    raw = envelope("payment_succeeded", payment_object(payment))
    longest = raw + b" " * (64 * 1024 - len(raw))

    assert deliver(longest).json() == {"result": "ok"}
    assert deliver(longest + b" ").status_code == 413
    assert WebhookDelivery.objects.count() == 1


def test_without_a_secret_the_endpoint_names_the_missing_setting(payment, settings):
    settings.HYPERSWITCH_WEBHOOK_SECRETS = []

    answer = deliver_payment(payment)

    assert (answer.status_code, only_row().signature_valid) == (500, False)
    assert only_row().processing_result == "error: HYPERSWITCH_WEBHOOK_SECRET is not set"
    assert nothing_happened(payment)


RIGHT = signed(b"{}")


@pytest.mark.parametrize(
    "signature",
    ["", "0", RIGHT[:-2], RIGHT + "00", "z" * 128, "é" * 64, f"{RIGHT},{RIGHT}", "sha512=" + RIGHT, signed(b"[]")],
)
def test_an_invalid_signature_is_401_logged_and_never_handled(payment, signature):
    answer = deliver(b"{}", signature=signature)

    assert (answer.status_code, only_row().processing_result) == (401, "signature_invalid")
    assert (only_row().signature_valid, only_row().event_id, only_row().event_type) == (False, None, None)
    assert nothing_happened(payment)


def test_a_missing_signature_and_the_256_variant_are_401(payment):
    raw = envelope("payment_succeeded", payment_object(payment))

    answers = [
        Client().post(WEBHOOK, raw, content_type="application/json", headers=headers).status_code
        for headers in ({}, {"x-webhook-signature-256": hashlib.sha256(raw).hexdigest()})
    ]

    assert answers == [401, 401]
    assert nothing_happened(payment)


def test_hex_in_upper_case_is_the_same_signature(payment):
    raw = envelope("payment_succeeded", payment_object(payment))

    assert deliver(raw, signature=signed(raw).upper()).json() == {"result": "ok"}


def test_one_changed_byte_is_another_body(payment):
    raw = envelope("payment_succeeded", payment_object(payment))

    assert deliver(raw.replace(b"succeeded", b"Succeeded", 1), signature=signed(raw)).status_code == 401


@pytest.mark.parametrize("secret", ["the-old-secret", "the-new-secret"])
def test_two_secrets_are_valid_while_one_is_replaced(payment, settings, secret):
    settings.HYPERSWITCH_WEBHOOK_SECRETS = ["the-old-secret", "the-new-secret"]
    raw = envelope("payment_succeeded", payment_object(payment))

    assert deliver(raw, signature=signed(raw, secret)).json() == {"result": "ok"}
    assert deliver(raw, signature=signed(raw, SECRET)).status_code == 401


def test_the_signature_is_the_providers_own():
    """The vector of the wire contract: 354 bytes, signed with `demo_hash_key`."""
    raw = (
        '{"merchant_id":"merchant_demo","event_id":"evt_0190000000007000800000000000abcd",'
        '"event_type":"refund_succeeded","content":{"type":"refund_details","object":{"refund_id":"ref_demo",'
        '"payment_id":"pay_demo","amount":100,"currency":"EUR","status":"succeeded","reason":"café"}},'
        '"timestamp":"2026-08-12T08:15:02.099Z","processor_merchant_id":"merchant_demo"}'
    ).encode()
    signature = (
        "de234613d92414e4363b1a44822258ba5dd6f749c4e38a3fcf5efeebcf63a9d5"
        "3fcbcdc5373b9b2e53a2523b15a0608e71d8a6c471febee0d3712d8b2230b558"
    )

    assert len(raw) == 354
    assert is_signed_by_hyperswitch(raw, signature, secrets=["demo_hash_key"])


BROKEN = {
    "not JSON": b"{",
    "60,000 brackets": b"[" * 60_000,
    "NaN": b'{"event_id":"evt_1","event_type":"x","amount":NaN}',
    "a key twice": b'{"event_id":"evt_1","event_id":"evt_2","event_type":"x"}',
    "NUL": b'{"event_id":"evt_1\\u0000","event_type":"x"}',
    "a lone surrogate": b'{"event_id":"evt_1","event_type":"x\\ud800"}',
    "bad UTF-8": b'{"event_id":"evt_1","event_type":"\xff"}',
    "an endless number": b'{"event_id":"evt_1","event_type":"x","amount":' + b"9" * 5_000 + b"}",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
def test_a_signed_body_that_is_no_json_is_400_and_logged(sandbox, raw):
    answer = deliver(raw)

    row = only_row()
    assert (answer.status_code, row.signature_valid, row.next_attempt_at) == (400, True, None)
    assert (row.event_id, row.event_type) == (None, None)
    assert row.processing_result.startswith("error: ")
    assert row.payload_sha256 == hashlib.sha256(raw).hexdigest()


UNKNOWN_SHAPES = {
    "no object": b"[1]",
    "a text": b'"evt_1"',
    "no event id": b'{"event_type":"payment_succeeded"}',
    "no event type": b'{"event_id":"evt_1"}',
    "a number for an event id": b'{"event_id":1,"event_type":"payment_succeeded"}',
    "a list for an event type": b'{"event_id":"evt_1","event_type":["payment_succeeded"]}',
    "an absurd event id": json.dumps({"event_id": "e" * 101, "event_type": "payment_succeeded"}).encode(),
}


@pytest.mark.parametrize("raw", UNKNOWN_SHAPES.values(), ids=UNKNOWN_SHAPES.keys())
def test_json_of_an_unknown_shape_is_ignored_with_a_review_item(sandbox, raw):
    answer = deliver(raw)

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: ignored"})
    assert (only_row().event_id, only_row().next_attempt_at) == (None, None)
    item = ReviewItem.objects.get()
    assert (item.kind, item.subject_id) == ("unreadable_event", only_row().pk)


@pytest.mark.parametrize(
    "payload",
    [
        {"amount_received": True},
        {"amount_received": "1200"},
        {"amount_received": 12.0},
        {"amount_received": -1},
        {"amount_received": 2**60},
        {"amount": None},
        {"payment_id": None},
        {"payment_id": ["pay_1"]},
        {"currency": "EURO"},
        {"currency": "XXX"},
        {"updated": "yesterday"},
        {"updated": "2026-08-12T08:15:02"},
        {"updated": 17},
        {"updated": "9999-12-31T23:59:59-14:00"},
        {"updated": "0001-01-01T00:00:00+14:00"},
        {"payment_id": "p" * 65},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_is_ignored_with_a_review_item(payment, payload):
    answer = deliver_payment(payment, event_id="evt_1", **payload)

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: ignored"})
    item = ReviewItem.objects.get()
    assert item.kind == "unreadable_event"
    assert {next(iter(payload)), "payment_succeeded", "evt_1"} <= set(re.findall(r"\w+", item.why))
    assert nothing_happened(payment)


@pytest.mark.parametrize("refund_id", [{}, {"refund_id": None}, {"refund_id": ""}], ids=str)
def test_a_refund_event_without_a_refund_id_is_400(payment, refund_id):
    payload = payment_object(payment, **refund_id)

    assert deliver(envelope("refund_succeeded", payload)).status_code == 400
    assert only_row().processing_result.startswith("error: refund_id")
    assert not ReviewItem.objects.exists()


def test_the_same_event_twice_is_a_duplicate(payment):
    deliver_payment(payment, event_id="evt_1")

    answer = deliver_payment(payment, event_id="evt_1")

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: duplicate"})
    assert WebhookDelivery.objects.count() == 2
    assert Posting.objects.filter(kind="received").count() == 1


def test_an_older_update_is_stale(payment):
    deliver_payment(payment)

    answer = deliver_payment(payment, status="processing", updated=ago(minutes=5))

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: stale"})


@pytest.mark.parametrize("event_type", sorted(IGNORED))
def test_an_event_ignored_on_purpose_opens_no_review_item(payment, event_type):
    answer = deliver(envelope(event_type, payment_object(payment)))

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: ignored"})
    assert only_row().event_type == event_type
    assert not ReviewItem.objects.exists()
    assert nothing_happened(payment)


def test_an_unknown_event_is_ignored_with_a_review_item_that_names_it(payment):
    raw = envelope("something_new", payment_object(payment), event_id="evt_1")

    answers = [deliver(raw).json()["result"] for _ in range(2)]

    assert answers == ["skipped: ignored", "skipped: duplicate"]
    item = ReviewItem.objects.get()
    assert item.kind == "unknown_event"
    assert "'something_new' ('evt_1')" in item.why
    assert nothing_happened(payment)


def test_unknown_shapes_open_one_review_item_a_day(sandbox):
    deliver(envelope("something_new", {}))
    close_review_by_hand(case_id=ReviewItem.objects.get().pk, cause=Cause("staff", actor="support", reason="Seen."))
    deliver(envelope("something_else", {}))
    deliver(b"[]")
    assert ReviewItem.objects.count() == 1

    with time_machine.travel(timedelta(hours=25)):
        ReviewItem.objects.update(opened_at=timezone.now() - timedelta(hours=25))
        deliver(b"{}")

    assert sorted(ReviewItem.objects.values_list("kind", flat=True)) == ["unknown_event", "unreadable_event"]


def test_an_event_that_can_be_read_later_is_replayed_and_closed(payment, monkeypatch):
    monkeypatch.setattr("payments.api.webhook.HANDLERS", {})
    deliver_payment(payment)
    assert ReviewItem.objects.get().closed_at is None

    assert replay(only_row().pk).text == "ok"

    assert ReviewItem.objects.get().closed_at is not None
    payment.refresh_from_db()
    assert payment.status == "succeeded"


def test_an_unknown_status_is_ignored_with_a_review_item(payment):
    answer = deliver(envelope("payment_succeeded", payment_object(payment, status="frozen")))

    assert answer.json() == {"result": "skipped: ignored"}
    assert "frozen" in ReviewItem.objects.get().why
    assert nothing_happened(payment)


def test_an_unknown_payment_is_unmatched_and_due_again(sandbox):
    other_owner = provider_id("pay", new_id())
    payload = {"payment_id": other_owner, "status": "succeeded", "amount": 1, "amount_received": 1, "currency": "EUR"}

    answer = deliver(envelope("payment_succeeded", payload))

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: unmatched"})
    assert only_row().next_attempt_at is not None


def test_a_refund_before_its_payment_waits(sandbox):
    order = paid(order_of(OfferFactory()))
    refund = refund_of(order)
    other = order_of(OfferFactory())
    payload = refund_object(refund, refund_id="ref_dashboard", payment_id=payment_of(other).provider_key)

    answer = deliver(envelope("refund_succeeded", payload))

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: waiting"})
    assert WebhookDelivery.objects.get(event_type="refund_succeeded").correlation_id == other.pk


def test_a_handled_event_is_ok_with_its_row_in_the_same_commit(payment):
    answer = deliver_payment(payment)

    row = only_row()
    assert (answer.status_code, row.processing_result, row.correlation_id) == (200, "ok", payment.correlation_id)
    assert Posting.objects.filter(correlation_id=row.correlation_id).exists()
    assert payment.postings.first().at == row.received_at


def test_a_failing_handler_is_500_rolled_back_and_due_again(payment, monkeypatch):
    monkeypatch.setattr("marketplace.licenses.grant", lambda *args: 1 / 0)

    answer = deliver_payment(payment)

    assert (answer.status_code, only_row().processing_result) == (500, "error: ZeroDivisionError: division by zero")
    assert only_row().next_attempt_at is not None
    assert nothing_happened(payment)


def test_without_a_database_it_is_503_and_the_hash_is_logged(payment, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise OperationalError("the database is away")

    monkeypatch.setattr("payments.api.webhook.receive_delivery", fail)

    answer = deliver(b"{}")

    assert answer.status_code == 503
    assert hashlib.sha256(b"{}").hexdigest() in caplog.text


@pytest.mark.parametrize("shape", ["flat", "object", "content without type"])
def test_flatter_shapes_of_the_envelope_are_understood(payment, shape):
    payload, head = payment_object(payment), {"event_id": "evt_1", "event_type": "payment_succeeded"}
    body = {"flat": {**head, **payload}, "object": {**head, "object": payload}}.get(
        shape, {**head, "content": {"object": payload}}
    )

    assert deliver(json.dumps(body).encode()).json() == {"result": "ok"}


@pytest.mark.parametrize(
    "content",
    [
        "pay_1",
        [],
        {"object": "pay_1"},
        {"object": ["pay_1"]},
        {"object": {"id": "12345_pay_1", "status": "succeeded", "amount": {"order_amount": 1, "currency": "EUR"}}},
        {"object": {"payment_id": {"id": "pay_1"}, "status": "succeeded"}},
        None,
    ],
    ids=str,
)
def test_odd_shapes_are_ignored_with_a_review_item_and_never_a_5xx(sandbox, content):
    body = {"event_id": "evt_1", "event_type": "payment_succeeded", "content": content}

    assert deliver(json.dumps(body).encode()).json() == {"result": "skipped: ignored"}
    assert ReviewItem.objects.get().kind == "unreadable_event"


def test_the_objects_status_wins_over_the_events_name(payment):
    raw = envelope("payment_failed", payment_object(payment, status="succeeded"))

    assert deliver(raw).json() == {"result": "ok"}
    payment.refresh_from_db()
    assert payment.status == "succeeded"


@pytest.mark.parametrize("other_owner", [{"profile_id": "pro_other"}, {"merchant_id": "merchant_other"}], ids=str)
def test_another_profiles_events_are_ignored_with_one_review_item(payment, other_owner):
    for event_id in ("evt_1", "evt_2"):
        payload = payment_object(payment)
        body = json.loads(envelope("payment_succeeded", payload, event_id=event_id))
        body["merchant_id"] = other_owner.get("merchant_id", body["merchant_id"])
        body["content"]["object"] |= {"profile_id": other_owner.get("profile_id", payload["profile_id"])}
        assert deliver(json.dumps(body).encode()).json() == {"result": "skipped: ignored"}

    assert ReviewItem.objects.get().kind == "unknown_profile"
    assert nothing_happened(payment)


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "snapshot"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "198.51.100.7, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.7, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (1, "", "192.0.2.1"),
    ],
)
def test_the_source_is_what_our_own_proxies_saw(sandbox, settings, proxies, forwarded_for, snapshot):
    settings.TRUSTED_PROXIES = proxies
    headers = {"x-forwarded-for": forwarded_for} if forwarded_for else {}

    Client(REMOTE_ADDR="192.0.2.1").post(WEBHOOK, b"{}", content_type="text/plain", headers=headers)

    assert only_row().source_ip == snapshot


def test_the_log_has_the_sender_and_the_request_id(sandbox):
    deliver(b"{}", **{"user-agent": "Hyperswitch-Backend-Server", "x-request-id": "req-17"})

    assert (only_row().user_agent, only_row().request_id) == ("Hyperswitch-Backend-Server", "req-17")


def test_a_delivery_without_a_request_id_is_given_one(sandbox):
    deliver(b"{}")

    assert len(only_row().request_id) == 36


@pytest.mark.parametrize("kind", ["refund", "dispute"])
def test_a_refund_or_dispute_that_names_another_payment_changes_nothing(sandbox, kind):
    first, second = (payment_of(paid(order_of(OfferFactory()))) for _ in range(2))
    for payment in (first, second):
        if kind == "refund":
            payload = {"refund_id": "ref_there", "payment_id": payment.provider_key, "status": "succeeded"}
            answer = deliver(envelope("refund_succeeded", payload | {"amount": 4_00, "currency": "EUR"}))
        else:
            answer = deliver_dispute(payment, "lost", amount_minor=4_00)

    assert answer.json() == {"result": "skipped: ignored"}
    second.refresh_from_db()
    assert (second.refunded_minor, second.disputed_minor) == (0, 0)
