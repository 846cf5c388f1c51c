"""Signed nonsense: a real envelope, changed at random, is answered, logged once, and books nothing that it should not.
What is applied because it still has a meaning leaves a ledger that the proof finds right.

A few hundred bodies; `VEZA_HOSTILE_BODIES=20000 make test ARGS=tests/doors/test_hostile_payloads.py` sends more to each
door, and `VEZA_HOSTILE_SEED` others.
"""

import json
import os
from random import Random

import pytest
from django.db import transaction

import connect.webhooks
import payments.webhooks
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from payments.models import Dispute, Payment, Posting, Refund, RevokedMandate, WebhookDelivery
from subscriptions.models import Subscription
from tests import buying
from tests.connect import stripe_deliveries
from tests.connect.factories import completed
from tests.doors.hostile_payloads import mutate, values_in
from tests.factories import OfferFactory
from veza.backoffice.verification import faults_of_ledger
from veza.core.ids import new_id
from veza.core.models import ReviewItem, StatusChange

pytestmark = pytest.mark.django_db
BODIES = int(os.environ.get("VEZA_HOSTILE_BODIES", "200"))
SEED = int(os.environ.get("VEZA_HOSTILE_SEED", "14"))
ANSWERS = {200, 400, 401, 411, 413}
BOOKS = (Posting, StatusChange, Refund, Dispute, RevokedMandate)
# What nonsense may open: it was not understood, or it names a status that we do not know, or is not ours.
ABOUT_NONSENSE = {
    "unknown_event", "unreadable_event", "unknown_profile", "payment_status_unknown", "dispute_status_unknown",
    "payout_status_unknown", "account_status_unknown", "refund_in_doubt",
}  # fmt: skip


@pytest.fixture
def hyperswitch(sandbox):
    """Envelopes about two orders: one paid, partly refunded and disputed, one that waits for its buyer."""
    order = buying.two_sellers_order()
    sandbox.pay(buying.payment_of(order).provider_key)
    buying.paid(order)
    payment, refund = buying.payment_of(order), buying.refund_of(order, amount_minor=2_00)
    buying.deliver_dispute(payment, "opened", amount_minor=3_00)
    external = buying.refund_object(refund, refund_id="ref_at_the_dashboard", amount=1_00)
    buying.deliver(buying.envelope("refund_succeeded", external))
    waiting = buying.payment_of(buying.order_of(OfferFactory()))
    dispute = buying.dispute_object(payment=payment, amount_minor=3_00, status="dispute_lost")
    mandate = {"mandate_id": "man_1", "status": "revoked", "payment_method_id": "pm_1", "payment_method": "card"}
    return [
        buying.envelope("payment_succeeded", buying.payment_object(payment)),
        buying.envelope("payment_succeeded", buying.payment_object(waiting)),
        buying.envelope("action_required", buying.payment_object(waiting, status="requires_customer_action")),
        buying.envelope("refund_succeeded", buying.refund_object(refund)),
        buying.envelope("refund_failed", {**external, "status": "failed"}),
        buying.envelope("dispute_lost", dispute),
        buying.envelope("mandate_revoked", mandate),
    ]


@pytest.fixture
def stripe(sandbox, settings):
    """Envelopes about an account, its transfer, and two payouts of two sellers."""
    settings.STRIPE_WEBHOOK_SECRETS = [stripe_deliveries.SECRET]
    transfer, other = completed(), completed()
    account = transfer.seller.connected_account
    payout, another = (_payout_of(one, f"po_{number}") for number, one in enumerate((transfer, other)))
    unsent = _payout_of(transfer, None)
    capability = {"id": "transfers", "object": "capability", "account": account.stripe_account_id, "status": "active"}
    reversal = {
        "id": "trr_1",
        "transfer": transfer.stripe_transfer_id,
        "amount": 1_00,
        "currency": "eur",
        "metadata": {},
    }
    reversed_once = stripe_deliveries.transfer_payload(transfer, reversed_minor=1_00)
    reversed_once["reversals"]["data"] = [reversal]
    of_seller = {"account": account.stripe_account_id}
    event, payload = stripe_deliveries.event, stripe_deliveries.payout_payload
    return [
        event("account.updated", stripe_deliveries.account_payload(account), **of_seller),
        event("capability.updated", capability, **of_seller),
        event("account.application.deauthorized", {"id": "ca_1"}, **of_seller),
        event("transfer.reversed", reversed_once),
        event("payout.paid", payload(payout, "paid"), **of_seller),
        event("payout.failed", payload(another, "failed"), account=another.stripe_account_id),
        event("payout.created", {**payload(unsent, "pending"), "id": "po_new"}, **of_seller),
    ]


def _payout_of(transfer: SellerTransfer, external_payout_id: str | None) -> SellerPayout:
    return SellerPayout.objects.create(
        seller=transfer.seller,
        stripe_account_id=transfer.seller.connected_account.stripe_account_id,
        amount_minor=5_00,
        currency="EUR",
        external_payout_id=external_payout_id,
    )


def books() -> list[object]:
    """What nonsense must not change."""
    rows = [*Payment.objects.order_by("pk").values_list("status", "received_minor", "refunded_minor", "disputed_minor")]
    rows += [*SellerTransfer.objects.order_by("pk").values_list("status", "reversed_minor", "refresh_due_at")]
    rows += [*SellerPayout.objects.order_by("pk").values_list("status", "failure_code")]
    rows += [*ConnectedAccount.objects.order_by("pk").values_list("transfers_active", "payouts_enabled")]
    rows += [*Subscription.objects.order_by("pk").values_list("status", "hyperswitch_payment_method_id")]
    return [*rows, *(model.objects.count() for model in BOOKS)]


def faults() -> list[str]:
    """What the proof finds in the ledger."""
    return sorted(str(fault) for _, fault in faults_of_ledger())


def send_hostile(envelopes, types, deliver) -> None:
    random, known = Random(SEED), [json.loads(raw) for raw in envelopes]
    pool = [*types, *(value for envelope in known for value in values_in(envelope))]
    before, deliveries, faults_before = books(), WebhookDelivery.objects.count(), faults()
    reviews = set(ReviewItem.objects.values_list("pk", flat=True))
    for number in range(BODIES):
        envelope = {**random.choice(known), random.choice(["id", "event_id"]): f"evt_{new_id().hex}"}
        raw = mutate(envelope, random, pool=pool)
        name = f"body {number} of seed {SEED}: {raw[:3_000]!r}"
        savepoint = transaction.savepoint()
        answer = deliver(raw)
        result = answer.json()["result"]
        assert answer.status_code in ANSWERS, f"{answer.status_code} {result}, {name}"
        assert WebhookDelivery.objects.count() == deliveries + (answer.status_code < 411), name
        if result != "ok":
            opened = ReviewItem.objects.exclude(pk__in=reviews).values_list("kind", flat=True)
            assert set(opened) <= ABOUT_NONSENSE, f"{result}, {name}"
            assert books() == before, f"{result}, {name}"
        elif books() != before:
            assert faults() == faults_before, f"applied, and the ledger is wrong: {name}"
        transaction.savepoint_rollback(savepoint)


def test_nonsense_from_hyperswitch_is_answered_and_books_nothing(hyperswitch):
    assert faults() == []
    send_hostile(hyperswitch, payments.webhooks.HANDLERS, buying.deliver)


def test_nonsense_from_stripe_is_answered_and_books_nothing(stripe):
    send_hostile(stripe, connect.webhooks.HANDLERS, stripe_deliveries.deliver)
