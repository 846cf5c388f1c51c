"""Stripe's webhooks: trusted only when signed now, applied once, right in any order, and refreshed afterwards."""

import time

import pytest

from connect.accounts import refresh_due as refresh_accounts
from connect.models import ConnectedAccount, SellerTransfer
from connect.transfers.transfer_refresh import refresh_due as refresh_transfers
from connect.webhooks import IGNORED
from payments.inbox.replay import replay
from payments.models import WebhookDelivery
from tests.connect.builders import reversed_at_stripe
from tests.connect.factories import completed, make_seller, planned
from tests.connect.stripe_deliveries import (
    SECRET,
    account_payload,
    deliver,
    event,
    signature,
    transfer_payload,
)
from tests.connect.stripe_double import rejects_key, shows, shows_account
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_being_replaced", SECRET]
    settings.STRIPE_SECRET_KEY = "sk_test_sandbox"


@pytest.fixture
def account():
    return make_seller(active=False).connected_account


def result(response):
    return response.status_code, response.json()["result"]


def is_active_now(account) -> bool:
    account.refresh_from_db()
    return account.transfers_active


BAD = {
    "another secret": lambda raw: signature(raw, secret="whsec_other"),
    "an empty header": lambda _raw: "",
    "garbage": lambda _raw: "t=soon,v1=,,=",
    "no time": lambda raw: signature(raw).partition(",")[2],
    "two times": lambda raw: f"t={int(time.time())},{signature(raw)}",
    "only v0": lambda raw: signature(raw).replace("v1=", "v0="),
    "too old": lambda raw: signature(raw, at=time.time() - 301),
    "too far ahead": lambda raw: signature(raw, at=time.time() + 310),
    "an enormous time": lambda raw: "t=" + "9" * 400 + "," + signature(raw).partition(",")[2],
    "letters that are not ASCII": lambda raw: signature(raw)[:-1] + "é",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_signature_is_answered_401_logged_and_never_handled(name, account):
    raw = event("account.updated", account_payload(account))

    assert result(deliver(raw, header=BAD[name](raw))) == (401, "signature_invalid")
    assert WebhookDelivery.objects.get().provider == "stripe"
    assert not is_active_now(account)


def test_a_signature_under_either_secret_counts_also_beside_another(account):
    raw = event("account.updated", account_payload(account))
    header = signature(raw, secret="whsec_other") + "," + signature(raw).partition(",")[2]

    assert result(deliver(raw, header=header)) == (200, "ok")


def test_without_a_secret_nothing_is_handled(settings, account):
    settings.STRIPE_WEBHOOK_SECRETS = []

    assert deliver(event("account.updated", account_payload(account))).status_code == 500
    assert not is_active_now(account)


@pytest.mark.parametrize("raw", [b"no json", b"\xff", b'{"id": NaN}', b'{"id": 1, "id": 2}'])
def test_signed_bytes_that_are_no_json_are_answered_400(raw):
    assert deliver(raw).status_code == 400
    assert not ReviewItem.objects.exists()


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"object": "event", "id": "evt_1"}', b'{"object": "event"}'])
def test_json_that_is_no_event_is_ignored_with_a_review_item(raw):
    assert result(deliver(raw)) == (200, "skipped: ignored")
    assert ReviewItem.objects.get().kind == "unreadable_event"


def test_an_event_of_the_other_mode_is_ignored(account):
    assert result(deliver(event("account.updated", account_payload(account), livemode=True))) == (
        200,
        "skipped: ignored",
    )


@pytest.mark.parametrize("event_type", sorted(IGNORED))
def test_an_event_that_is_ignored_on_purpose_opens_no_review_item(event_type):
    assert result(deliver(event(event_type, {}))) == (200, "skipped: ignored")
    assert not ReviewItem.objects.exists()


def test_an_unknown_event_is_ignored_with_a_review_item_that_names_it():
    assert result(deliver(event("charge.succeeded", {}, id="evt_1"))) == (200, "skipped: ignored")

    item = ReviewItem.objects.get()
    assert (item.kind, "'charge.succeeded' ('evt_1')" in item.why) == ("unknown_event", True)


def test_an_account_that_becomes_active_wakes_the_transfers_that_waited(account):
    transfer = planned(account.seller, waiting_for="account")
    SellerTransfer.objects.filter(pk=transfer.pk).update(next_retry_at="2099-01-01T00:00Z")

    assert result(deliver(event("account.updated", account_payload(account)))) == (200, "ok")

    assert is_active_now(account)
    assert SellerTransfer.objects.unsent().due().get() == transfer


def test_an_account_that_stops_being_active_is_stored_at_once(account):
    deliver(event("account.updated", account_payload(account)))

    deliver(
        event("account.updated", account_payload(account, transfers="inactive", requirements={"currently_due": ["id"]}))
    )

    assert not is_active_now(account)
    assert account.currently_due == ["id"]


def test_the_same_event_twice_is_applied_once(account):
    raw = event("account.updated", account_payload(account))

    assert [result(deliver(raw))[1] for _ in range(2)] == ["ok", "skipped: duplicate"]


def test_an_older_event_that_arrives_later_changes_nothing(account):
    deliver(event("account.updated", account_payload(account, transfers="inactive")))

    late = event("account.updated", account_payload(account), created=int(time.time()) - 60)
    assert result(deliver(late)) == (200, "skipped: stale")

    assert not is_active_now(account)


def test_whatever_an_event_shows_the_account_is_refreshed_afterwards(account, stripe):
    deliver(event("account.updated", account_payload(account)))
    stripe.will("read_account", shows_account(active=False))

    refresh_accounts()

    assert not is_active_now(account)
    assert account.refresh_due_at is None


def test_an_account_that_could_not_be_read_is_read_again(account, stripe):
    deliver(event("account.updated", account_payload(account)))
    stripe.will("read_account", rejects_key(401))

    refresh_accounts()

    account.refresh_from_db()
    assert account.refresh_due_at is not None


@pytest.mark.parametrize(("status", "active"), [("active", True), ("inactive", False), ("pending", False)])
def test_the_capability_transfers_decides(account, status, active):
    capability = {"id": "transfers", "object": "capability", "account": account.stripe_account_id, "status": status}

    assert result(deliver(event("capability.updated", capability))) == (200, "ok")

    assert is_active_now(account) == active


def test_another_capability_decides_nothing(account):
    capability = {"id": "card_payments", "account": account.stripe_account_id, "status": "active"}

    assert result(deliver(event("capability.updated", capability))) == (200, "skipped: ignored")


def test_a_late_capability_event_changes_nothing(account):
    deliver(event("account.updated", account_payload(account)))
    capability = {"id": "transfers", "account": account.stripe_account_id, "status": "inactive"}

    late = event("capability.updated", capability, created=int(time.time()) - 60)

    assert result(deliver(late)) == (200, "skipped: stale")
    assert is_active_now(account)


def test_a_seller_who_takes_our_access_away_can_receive_nothing(account):
    deliver(event("account.updated", account_payload(account)))

    deliver(event("account.application.deauthorized", {"id": "ca_1"}, account=account.stripe_account_id))

    assert not is_active_now(account)


def test_an_event_before_the_accounts_answer_is_replayed(account):
    ConnectedAccount.objects.update(stripe_account_id=None)
    account.stripe_account_id = "acct_new"
    raw = event("account.updated", account_payload(account))
    assert result(deliver(raw)) == (200, "skipped: unmatched")

    ConnectedAccount.objects.update(stripe_account_id="acct_new")
    replay(WebhookDelivery.objects.get().pk)

    assert is_active_now(account)


def test_an_external_reversal_is_read_imported_and_needs_review(stripe):
    transfer = completed(amount_minor=9_00)
    raw = event("transfer.reversed", transfer_payload(transfer, reversed_minor=4_00))
    assert result(deliver(raw)) == (200, "ok")
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 4_00)))

    refresh_transfers()

    transfer.refresh_from_db()
    assert (transfer.reversed_minor, transfer.refresh_due_at) == (4_00, None)
    assert ReviewItem.objects.filter(kind="external_reversal").exists()


def test_a_reversal_reported_twice_is_read_once(stripe):
    transfer = completed(amount_minor=9_00)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 4_00)))

    for _ in range(2):
        deliver(event("transfer.reversed", transfer_payload(transfer, reversed_minor=4_00)))
        refresh_transfers()

    assert stripe.names() == ["read_transfer"]


def test_a_booked_reversal_is_not_read_again(stripe):
    transfer = completed(amount_minor=9_00, reversal_target_minor=4_00, reversed_minor=4_00)

    assert result(deliver(event("transfer.reversed", transfer_payload(transfer, reversed_minor=4_00)))) == (200, "ok")

    refresh_transfers()
    assert stripe.params == []


def test_a_reversal_of_a_transfer_without_an_answer_yet_is_tried_again():
    transfer = planned()
    transfer.stripe_transfer_id = "tr_1"

    response = deliver(event("transfer.reversed", transfer_payload(transfer, reversed_minor=4_00)))

    assert result(response) == (200, "skipped: unmatched")
    assert WebhookDelivery.objects.get().next_attempt_at is not None


UNREADABLE = {
    "a text for an amount": {"amount_reversed": "4.00"},
    "a number for the reversals": {"reversals": {"data": 5}},
    "an object for the reversals": {"reversals": {"data": {"id": "trr_1"}}},
    "texts for the reversals": {"reversals": {"data": ["trr_1"]}},
    "a list for the list": {"reversals": []},
    "no currency": {"currency": "eu"},
    "an endless id": {"id": "tr_" + "1" * 62},
}


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in UNREADABLE.items()])
def test_an_event_with_an_unreadable_object_is_ignored_with_a_review_item(fields):
    payload = {**transfer_payload(completed(), reversed_minor=1), **fields}

    assert result(deliver(event("transfer.reversed", payload))) == (200, "skipped: ignored")

    item = ReviewItem.objects.get()
    assert (item.kind, "transfer.reversed" in item.why) == ("unreadable_event", True)


@pytest.mark.parametrize("requirements", [5, [], {"currently_due": 5}, {"currently_due": [None]}], ids=str)
def test_an_account_whose_requirements_cannot_be_read_stays_as_it_is(account, requirements):
    payload = account_payload(account, requirements=requirements)

    assert result(deliver(event("account.updated", payload))) == (200, "skipped: ignored")
    assert not is_active_now(account)


@pytest.mark.parametrize("created", [None, "1795951724", 0, 10**10, True], ids=str)
def test_an_event_without_a_believable_time_changes_nothing(account, created):
    raw = event("account.updated", account_payload(account), created=created)

    assert result(deliver(raw)) == (200, "skipped: ignored")
    assert not is_active_now(account)
