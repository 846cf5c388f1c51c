"""A seller is gone only when Stripe says so, and when our key is known to be good."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect import accounts
from connect.accounts import access_revoked, refresh_account, refresh_due, revoke_access
from connect.models import ConnectedAccount
from connect.stripe import client
from connect.stripe.calls import ACCOUNT_DISCONNECTED
from tests.connect.factories import long_ago, make_seller
from tests.connect.stripe_deliveries import SECRET, account_payload, deliver, event
from tests.factories import SellerFactory
from veza.core.models import ReviewItem
from veza.core.outcomes import NotSent, Refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]


def leave(sandbox, seller) -> ConnectedAccount:
    """The seller takes our access away in Stripe's own pages."""
    sandbox.control(f"accounts/{seller.connected_account.stripe_account_id}", revoked=True)
    return seller.connected_account


def test_a_seller_who_left_is_gone(sandbox, seller):
    account = leave(sandbox, seller)

    outcome = refresh_account(seller_id=seller.pk)

    assert isinstance(outcome, Refused)
    assert outcome.code == ACCOUNT_DISCONNECTED
    assert access_revoked(account)


def test_a_key_without_a_permission_says_nothing_about_the_seller(sandbox, seller):
    sandbox.fault("status", "^/v1/accounts/", method="GET", status=403, times=0)

    assert isinstance(refresh_account(seller_id=seller.pk), NotSent)
    assert not access_revoked(seller.connected_account)


def test_a_key_that_cannot_read_our_own_account_says_nothing_about_a_seller(sandbox, seller):
    leave(sandbox, seller)
    sandbox.fault("status", "^/v1/account$", method="GET", status=401, times=0)

    assert isinstance(refresh_account(seller_id=seller.pk), NotSent)
    assert not ReviewItem.objects.filter(kind=accounts.DISCONNECTED).exists()


def test_a_wrong_key_is_not_taken_for_a_seller_who_left(sandbox, seller, settings):
    settings.STRIPE_SECRET_KEY = "sk_test_of_another_mode"

    assert isinstance(client.read_account(seller.connected_account.stripe_account_id), NotSent)


def test_several_sellers_gone_at_once_are_one_question(sandbox):
    rows = [make_seller().connected_account for _ in range(accounts.SEVERAL + 2)]

    for row in rows:
        revoke_access(row, at=timezone.now())

    kinds = list(ReviewItem.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == [accounts.DISCONNECTED] * accounts.SEVERAL + [accounts.SEVERAL_DISCONNECTED]
    last = ConnectedAccount.objects.get(pk=rows[-1].pk)
    assert (last.transfers_active, last.refresh_due_at is not None, access_revoked(last)) == (True, True, False)


def test_the_question_closes_when_stripe_shows_accounts_again(sandbox, seller):
    for _ in range(accounts.SEVERAL + 1):
        revoke_access(make_seller().connected_account, at=timezone.now())
    ConnectedAccount.objects.filter(seller=seller).update(refresh_due_at=long_ago())

    refresh_due()

    assert ReviewItem.objects.get(kind=accounts.SEVERAL_DISCONNECTED).closed_by == "veza"


@pytest.mark.parametrize("seconds", [-60, 0, 60])
def test_no_update_revives_an_account_after_its_access_was_revoked(seller, seconds):
    account, at = seller.connected_account, timezone.now()
    deliver(event("account.application.deauthorized", {"id": "ca_1"}, account=account.stripe_account_id))

    created = int((at + timedelta(seconds=seconds)).timestamp())
    answer = deliver(event("account.updated", account_payload(account), created=created))

    account.refresh_from_db()
    assert (answer.json()["result"], account.transfers_active) == ("skipped: stale", False)
    assert account.refresh_due_at is not None


def test_an_account_that_stripe_shows_again_receives_again(sandbox, seller):
    account = leave(sandbox, seller)
    refresh_account(seller_id=seller.pk)
    sandbox.control(f"accounts/{account.stripe_account_id}", revoked=False)

    refresh_account(seller_id=seller.pk)

    account.refresh_from_db()
    assert (account.transfers_active, access_revoked(account)) == (True, False)


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("account.updated", {"id": "acct_elsewhere", "object": "account", "requirements": {}, "capabilities": {}}),
        ("account.application.deauthorized", {"id": "ca_1"}),
        ("account.external_account.updated", {"id": "ba_1", "last4": "6789"}),
        ("capability.updated", {"id": "transfers", "account": "acct_elsewhere", "status": "active"}),
    ],
)
def test_an_event_of_an_account_that_is_not_ours_is_ignored(seller, event_type, payload):
    answer = deliver(event(event_type, payload, account="acct_elsewhere"))

    assert answer.json() == {"result": "skipped: ignored"}


def test_an_event_that_may_be_of_an_account_being_opened_is_replayed(seller):
    ConnectedAccount.objects.create(seller=SellerFactory(), country="DE")

    answer = deliver(event("account.updated", {"id": "acct_new", "object": "account"}, account="acct_new"))

    assert answer.json() == {"result": "skipped: unmatched"}
