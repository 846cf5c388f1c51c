import hashlib
import hmac
import json

import pytest
import stripe

from sandbox.hyperswitch.announcements import sign_body
from tests.sandbox.actors import ask_refund, ask_transfer, create_payment, paid_payment

HYPERSWITCH_SECRET = "hyperswitch_sandbox_secret"
STRIPE_SECRET = "whsec_sandbox"
VECTOR_BODY = (
    '{"merchant_id":"merchant_demo","event_id":"evt_0190000000007000800000000000abcd",'
    '"event_type":"refund_succeeded","content":{"type":"refund_details","object":{"refund_id":"ref_demo",'
    '"payment_id":"pay_demo","amount":100,"currency":"EUR","status":"succeeded","reason":"café"}},'
    '"timestamp":"2026-08-12T08:15:02.099Z","processor_merchant_id":"merchant_demo"}'
).encode()
VECTOR_SIGNATURE = (
    "de234613d92414e4363b1a44822258ba5dd6f749c4e38a3fcf5efeebcf63a9d5"
    "3fcbcdc5373b9b2e53a2523b15a0608e71d8a6c471febee0d3712d8b2230b558"
)


def types_of(deliveries):
    return [json.loads(delivery.body)["event_type"] for delivery in deliveries]


def test_the_signature_matches_the_published_vector():
    assert len(VECTOR_BODY) == 354
    assert sign_body(VECTOR_BODY, "demo_hash_key") == VECTOR_SIGNATURE


def test_a_webhook_is_signed_over_its_exact_compact_bytes(sandbox, receiver):
    paid_payment(sandbox, metadata={"title": "café"})

    delivery = receiver.wait_for(1)[0]

    right = hmac.new(HYPERSWITCH_SECRET.encode(), delivery.body, hashlib.sha512).hexdigest()
    assert delivery.headers["x-webhook-signature-512"] == right
    assert delivery.headers["user-agent"] == "Hyperswitch-Backend-Server"
    assert "café".encode() in delivery.body
    assert b'": ' not in delivery.body


def test_the_envelope_carries_what_a_read_would_show(sandbox, receiver):
    payment = paid_payment(sandbox)

    event = json.loads(receiver.wait_for(1)[0].body)

    assert event["event_type"] == "payment_succeeded"
    assert event["content"] == {"type": "payment_details", "object": payment}
    assert event["event_id"].startswith("evt_")
    assert len(event["event_id"]) == len("evt_") + 32


def test_each_type_is_sent_only_once_per_object(sandbox, receiver):
    create_payment(sandbox)
    for action in ("decline", "decline", "pay"):
        sandbox.pay("pay_1", action)

    receiver.wait_for(2)

    assert [event["event_type"] for event in sandbox.webhooks()] == ["payment_failed", "payment_succeeded"]


def test_a_retry_sends_the_stored_body_again(sandbox, receiver):
    receiver.statuses = [500]
    paid_payment(sandbox)

    first, second = receiver.wait_for(2)

    assert first.body == second.body
    header = "x-webhook-signature-512"
    assert first.headers[header] == second.headers[header]
    event = sandbox.wait_for(lambda: [e for e in sandbox.webhooks() if e["status"] == "delivered"])[0]
    assert [attempt["status"] for attempt in event["attempts"]] == [500, 200]


def test_a_redirect_is_not_followed_and_not_a_delivery(sandbox, receiver):
    receiver.statuses = [302, 302, 302]
    paid_payment(sandbox)

    sandbox.wait_for(lambda: sandbox.webhooks()[0]["status"] == "failed")

    assert len(receiver.deliveries) == 3  # the first and the two of the schedule


def test_a_lost_webhook_never_arrives_but_can_be_sent_by_hand(sandbox, receiver):
    sandbox.webhook_fault("lose", "payment_succeeded")
    paid_payment(sandbox)

    event = sandbox.webhooks()[0]
    assert (event["status"], receiver.deliveries) == ("lost", [])
    assert sandbox.control(f"webhooks/{event['event_id']}/send")["status"] == 200
    assert types_of(receiver.deliveries) == ["payment_succeeded"]


def test_a_doubled_webhook_arrives_twice_unchanged(sandbox, receiver):
    sandbox.webhook_fault("double", "payment_")
    paid_payment(sandbox)

    first, second = receiver.wait_for(2)

    assert first.body == second.body


def test_a_delayed_webhook_arrives_after_a_later_one(sandbox, receiver):
    sandbox.settings(refund_outcome="succeed_at_once")
    sandbox.webhook_fault("delay", "payment_succeeded", seconds=0.3)
    paid_payment(sandbox)
    ask_refund(sandbox)

    assert types_of(receiver.wait_for(2)) == ["refund_succeeded", "payment_succeeded"]


@pytest.mark.parametrize(
    ("order", "types"),
    [
        ("fifo", ["payment_succeeded", "refund_succeeded"]),
        ("lifo", ["refund_succeeded", "payment_succeeded"]),
    ],
)
def test_webhooks_on_hold_are_released_in_the_requested_order(sandbox, receiver, order, types):
    sandbox.settings(webhooks_paused=True, refund_outcome="succeed_at_once")
    paid_payment(sandbox)
    ask_refund(sandbox)
    assert receiver.deliveries == []

    sandbox.control("webhooks/release", order=order)

    assert types_of(receiver.deliveries) == types


def test_a_silent_change_sends_no_webhook(sandbox, receiver):
    create_payment(sandbox)
    sandbox.control("payments/pay_1", status="succeeded", silent=True)

    assert sandbox.webhooks() == []
    assert receiver.deliveries == []
    assert sandbox.truth()["totals"]["payment"] == {"EUR": 50_00}


def test_stripe_webhooks_satisfy_stripes_own_library(sandbox, receiver):
    account = sandbox.create_account()
    ask_transfer(sandbox, account, key="transfer-1")
    sandbox.wait_for(lambda: all(event["status"] == "delivered" for event in sandbox.webhooks()))

    events = [
        stripe.Webhook.construct_event(each.body, each.headers["stripe-signature"], STRIPE_SECRET)
        for each in receiver.deliveries
    ]

    by_type = {event["type"]: event for event in events}
    assert set(by_type) == {"account.updated", "capability.updated", "transfer.created"}
    assert by_type["account.updated"]["account"] == account
    assert by_type["transfer.created"]["request"]["idempotency_key"] == "transfer-1"
    assert "account" not in by_type["transfer.created"]
