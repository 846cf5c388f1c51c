"""An event that comes before our commit of what it is about is matched by itself: at once, or by the sweep."""

from collections.abc import Callable

import pytest

from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from connect.payouts import record_payout
from payments.models import WebhookDelivery
from payments.tasks import retry_deliveries
from tests.connect.factories import BY_TEST, make_seller, planned
from tests.connect.stripe_deliveries import (
    SECRET,
    account_payload,
    deliver,
    event,
    payout_payload,
    transfer_payload,
)
from tests.connect.stripe_double import accepts_payout
from tests.crowd import before_commit
from tests.payments.builders import make_deliveries_due


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY = [SECRET], "sk_test_sandbox"


def sent_payout() -> SellerPayout:
    seller = make_seller()
    account = seller.connected_account.stripe_account_id
    return SellerPayout.objects.create(
        seller=seller, stripe_account_id=account, amount_minor=5_00, currency="EUR", in_doubt=True
    )


@pytest.mark.django_db(transaction=True)
def test_a_payout_event_during_our_commit_is_applied_at_once():
    payout = sent_payout()
    raw = event("payout.paid", payout_payload(payout, "paid"), account=payout.stripe_account_id)
    answer = accepts_payout("po_1")({"payout_id": payout.pk, "amount_minor": 5_00, "currency": "EUR"})

    _, webhook = before_commit(lambda: record_payout(payout.pk, answer, cause=BY_TEST), lambda: deliver(raw))

    payout.refresh_from_db()
    assert (webhook.waited, webhook.result().json()["result"], payout.status) == (True, "ok", "paid")


def early_account_event(event_type: str) -> tuple[bytes, Callable[[], object]]:
    account = make_seller().connected_account
    account.stripe_account_id, stored = None, account.stripe_account_id
    account.save(update_fields=["stripe_account_id"])
    account.stripe_account_id = stored
    capability = {"id": "transfers", "object": "capability", "account": stored, "status": "active"}
    payload = capability if event_type == "capability.updated" else account_payload(account)
    row = ConnectedAccount.objects.filter(pk=account.pk)
    return event(event_type, payload, account=stored), lambda: row.update(stripe_account_id=stored)


def early_transfer_event(event_type: str) -> tuple[bytes, Callable[[], object]]:
    transfer = planned()
    transfer.stripe_transfer_id = "tr_1"
    row = SellerTransfer.objects.filter(pk=transfer.pk)
    raw = event(event_type, transfer_payload(transfer, reversed_minor=4_00))
    return raw, lambda: row.update(stripe_transfer_id="tr_1")


EARLY = {
    "account.updated": early_account_event,
    "account.application.deauthorized": early_account_event,
    "capability.updated": early_account_event,
    "transfer.reversed": early_transfer_event,
    "transfer.updated": early_transfer_event,
}


@pytest.mark.django_db
@pytest.mark.parametrize("event_type", EARLY)
def test_an_event_before_our_commit_is_matched_by_the_sweep(event_type):
    raw, commit = EARLY[event_type](event_type)
    assert deliver(raw).json()["result"] == "skipped: unmatched"

    commit()
    make_deliveries_due()
    retry_deliveries()

    delivery = WebhookDelivery.objects.get()
    assert (delivery.processing_result, delivery.next_attempt_at) == ("ok", None)
