"""Every value of Stripe's lists has a deliberate place in Veza; one that is in none of them is a review item."""

import time

import pytest
from django.urls import reverse

from connect.accounts import account_status_of
from connect.models import ConnectedAccount
from connect.payouts import _STATUS
from connect.stripe.restrictions import CAPABILITY_STATUSES, RESTRICTIONS, describe, may_receive
from connect.webhooks import HANDLERS, IGNORED
from tests.connect import factories
from tests.connect.stripe import enumerations
from tests.connect.stripe_deliveries import SECRET, account_payload, deliver, event, payout_payload
from veza.core.models import ReviewItem, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY = [SECRET], "sk_test_sandbox"


@pytest.fixture
def account():
    return factories.make_seller(active=False).connected_account


def shown(account: ConnectedAccount) -> ConnectedAccount:
    account.refresh_from_db()
    return account


def deliver_account(account: ConnectedAccount, *, reason: str | None, transfers: str = "active") -> str:
    requirements = {"currently_due": [], "disabled_reason": reason}
    payload = account_payload(account, transfers=transfers, requirements=requirements)
    return deliver(event("account.updated", payload)).json()["result"]


def test_every_type_of_event_is_handled_or_ignored_on_purpose():
    assert set(enumerations.EVENT_TYPES) == set(HANDLERS)
    assert all(reason.endswith(".") for reason in IGNORED.values())


def test_every_disabled_reason_and_capability_status_is_known():
    assert set(enumerations.DISABLED_REASONS) == set(RESTRICTIONS)
    assert set(enumerations.CAPABILITY_STATUSES) == set(CAPABILITY_STATUSES) - {""}
    assert [status for status in enumerations.CAPABILITY_STATUSES if may_receive(status, "")] == ["active"]


def test_every_status_of_a_payout_is_known():
    assert set(enumerations.PAYOUT_STATUSES) == set(_STATUS)


@pytest.mark.parametrize("reason", enumerations.DISABLED_REASONS)
def test_an_account_is_never_active_against_stripes_word(account, reason):
    is_requirement = reason.startswith(("requirements.", "action_required."))

    assert deliver_account(account, reason=reason) == "ok"

    assert shown(account).transfers_active is is_requirement
    assert account_status_of(account) == ("active" if is_requirement else "restricted")
    assert account.disabled_reason == reason
    assert not ReviewItem.objects.exists()


def test_an_account_that_is_not_listed_any_more_receives_again(account):
    deliver_account(account, reason="listed")
    assert not shown(account).can_receive()

    deliver_account(account, reason=None)

    assert (shown(account).can_receive(), account.disabled_reason) == (True, "")


def test_a_late_event_does_not_undo_that_an_account_is_listed(account):
    deliver_account(account, reason="listed")
    late = event("account.updated", account_payload(account), created=int(time.time()) - 60)

    assert deliver(late).json() == {"result": "skipped: stale"}
    assert not shown(account).transfers_active


@pytest.mark.parametrize("reason", ["listed", "rejected.fraud", "under_review"])
def test_an_active_capability_does_not_outweigh_a_barred_account(account, reason):
    deliver_account(account, reason=reason)
    capability = {"id": "transfers", "account": account.stripe_account_id, "status": "active"}

    assert deliver(event("capability.updated", capability)).json() == {"result": "ok"}

    assert not shown(account).transfers_active
    assert account.refresh_due_at is not None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((one, None) for one in enumerations.CAPABILITY_STATUSES),
        ("active", "listed"),
        ("active", "rejected.unsupported_business"),
    ],
)
def test_only_an_active_capability_that_is_not_disabled_lets_money_in(account, status, reason):
    capability = {
        "id": "transfers",
        "account": account.stripe_account_id,
        "status": status,
        "requirements": {"disabled_reason": reason},
    }

    assert deliver(event("capability.updated", capability)).json() == {"result": "ok"}

    assert shown(account).transfers_active is (status == "active" and reason is None)
    assert not ReviewItem.objects.exists()


@pytest.mark.parametrize(("reason", "transfers"), [("paused.by_the_moon", "active"), (None, "paused")])
def test_what_is_unknown_about_an_account_is_a_review_item_until_then(account, reason, transfers):
    assert deliver_account(account, reason=reason, transfers=transfers) == "ok"

    assert not shown(account).transfers_active
    item = ReviewItem.objects.get()
    assert (item.kind, item.subject_id, item.closed_at) == ("account_status_unknown", account.pk, None)
    assert (reason or transfers) in item.why

    deliver_account(account, reason=None)

    assert shown(account).transfers_active
    assert ReviewItem.objects.get().closed_at is not None


@pytest.mark.parametrize("status", ["returned", "paid\n", "PAID"])
def test_an_unknown_status_of_a_payout_is_a_review_item_until_it_is_known(account, status):
    payout = account.seller.payouts.create(
        stripe_account_id=account.stripe_account_id, amount_minor=5_00, currency="EUR", external_payout_id="po_1"
    )
    of_seller = {"account": account.stripe_account_id}

    answer = deliver(event("payout.updated", payout_payload(payout, status), **of_seller))

    assert (answer.status_code, answer.json()) == (200, {"result": "skipped: ignored"})
    assert ReviewItem.objects.get().kind == "payout_status_unknown"
    deliver(event("payout.paid", payout_payload(payout, "paid"), **of_seller))
    payout.refresh_from_db()
    assert (payout.status, ReviewItem.objects.get().closed_at is None) == ("paid", False)


@pytest.mark.parametrize("fields", [{"amount": 5_01}, {"currency": "usd"}, {"id": "po_other"}], ids=str)
def test_a_payout_that_contradicts_ours_changes_nothing(account, fields):
    ours = {"stripe_account_id": account.stripe_account_id, "amount_minor": 5_00, "currency": "EUR"}
    payout = account.seller.payouts.create(**ours)
    account.seller.payouts.create(**ours, external_payout_id="po_other")

    raw = event("payout.paid", payout_payload(payout, "paid", **fields), account="acct_other")
    assert deliver(raw).json() == {"result": "skipped: unmatched"}
    raw = event("payout.paid", payout_payload(payout, "paid", **fields), account=account.stripe_account_id)
    answer = deliver(raw)

    payout.refresh_from_db()
    assert (answer.status_code, payout.status) == (200, "pending")


@pytest.mark.parametrize("reason", ["", *enumerations.DISABLED_REASONS, "paused.by_the_moon"])
def test_an_accounts_page_says_in_words_what_stripe_reports(client, account, reason):
    client.force_login(User.objects.create_superuser("support@example.com", "a-long-password"))
    deliver_account(account, reason=reason)

    page = client.get(reverse("admin:connect_connectedaccount_change", args=[account.pk])).content.decode()

    assert describe("active", reason).replace("'", "&#x27;") in page
