"""Payouts: requested once, never more than the account has, and always at the status of Stripe and the bank."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from connect.funds import PayoutExceedsBalance
from connect.models import ConnectedAccount, SellerPayout
from connect.payouts import advance_due, request_payout, send_payout
from connect.reversals.reversal_requests import reverse_transfer
from connect.stripe.calls import ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE
from connect.stripe.objects import RemotePayout
from connect.transfers.transfer_requests import send_transfer
from tests.connect.factories import BY_TEST, long_ago, make_seller, planned, refund, to_reverse
from tests.connect.stripe_deliveries import SECRET, deliver, event, payout_payload
from tests.connect.stripe_double import (
    accepts_payout,
    accepts_transfer,
    call,
    refuses,
    rejects_key,
    shows_balance,
    times_out,
)
from veza.core.ids import new_id
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/connect/payouts"
DISCONNECTED = refuses(ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE, 403)


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY = [SECRET], "sk_test_sandbox"


def ask(api, amount_minor=5_00, key="a key"):
    body = {"amount_minor": amount_minor, "currency": "EUR"}
    return api.post(ADDRESS, body, format="json", headers={"Idempotency-Key": key})


def payout_of(seller, **fields):
    account = seller.connected_account.stripe_account_id
    usual = {"seller": seller, "stripe_account_id": account, "amount_minor": 5_00, "currency": "EUR"}
    return SellerPayout.objects.create(**{**usual, **fields})


def test_a_seller_pays_out_and_sees_it(stripe, api):
    stripe.will("read_balance", shows_balance(EUR=5_00))
    stripe.will("create_payout", accepts_payout("po_1"))

    answer = ask(api)

    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["external_payout_id"]) == ("pending", "po_1")
    assert api.get(ADDRESS).json()["results"] == [answer.json()]


def test_the_request_is_a_function_of_the_row(stripe, api, seller):
    stripe.will("read_balance", shows_balance(EUR=5_00))
    stripe.will("create_payout", accepts_payout())

    payout_id = ask(api).json()["id"]

    assert stripe.keys() == [f"{payout_id}:payout"]
    assert stripe.params[-1][1]["stripe_account_id"] == seller.connected_account.stripe_account_id


@pytest.mark.parametrize("available", [{}, {"EUR": 4_99}, {"EUR": -1}, {"USD": 9_00}])
def test_never_more_than_the_account_has(stripe, api, available):
    stripe.will("read_balance", shows_balance(**available))

    answer = ask(api)

    assert (answer.status_code, answer.json()["code"]) == (400, "payout_exceeds_balance")
    assert not SellerPayout.objects.exists()


def test_what_is_to_be_reversed_cannot_be_paid_out(stripe, seller):
    debt = to_reverse(amount_minor=2_00)
    type(debt).objects.filter(pk=debt.pk).update(seller=seller)
    stripe.will("read_balance", shows_balance(EUR=6_00))

    with pytest.raises(PayoutExceedsBalance):
        request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=5_00, currency="EUR", cause=BY_TEST)


def test_a_balance_that_cannot_be_read_pays_nothing_out(stripe, api):
    stripe.will("read_balance", times_out())

    assert ask(api).status_code == 503
    assert not SellerPayout.objects.exists()


def test_an_incomplete_account_cannot_pay_out(stripe):
    api = APIClient()
    api.force_authenticate(make_seller())

    assert ask(api).json()["code"] == "payouts_not_enabled"
    assert stripe.params == []


def test_two_requests_under_one_key_pay_out_once(stripe, api):
    stripe.will("read_balance", shows_balance(EUR=9_00))
    stripe.will("create_payout", accepts_payout())

    first, second = ask(api), ask(api)

    assert first.json() == second.json()
    assert SellerPayout.objects.count() == 1


def test_an_unanswered_payout_is_202_and_repeated_under_the_same_key(stripe, api):
    stripe.will("read_balance", shows_balance(EUR=9_00))
    stripe.will("create_payout", times_out(), accepts_payout())

    first, second = ask(api), ask(api)

    assert (first.status_code, second.status_code) == (202, 201)
    assert len(set(stripe.keys())) == 1


def test_a_payout_that_stripe_refuses_fails_with_its_reason(stripe, api):
    stripe.will("read_balance", shows_balance(EUR=9_00))
    stripe.will("create_payout", refuses("balance_insufficient", "You have insufficient funds."))

    body = ask(api).json()

    assert (body["status"], body["failure_code"]) == ("failed", "balance_insufficient")


def test_a_rejected_key_leaves_the_payout_due_and_needs_review(stripe, seller):
    payout = payout_of(seller)
    stripe.will("read_balance", shows_balance(EUR=5_00))
    stripe.will("create_payout", rejects_key(401))

    send_payout(payout.pk, cause=BY_TEST)

    payout.refresh_from_db()
    assert (payout.status, payout.in_doubt, payout.next_attempt_at is None) == ("pending", False, False)
    assert ReviewItem.objects.filter(kind="stripe_auth_rejected").exists()


def test_the_worker_repeats_an_unanswered_payout(stripe, seller):
    payout = payout_of(seller, in_doubt=True, first_sent_at=timezone.now(), next_attempt_at=long_ago())
    stripe.will("create_payout", accepts_payout("po_7"))

    advance_due()

    payout.refresh_from_db()
    assert (payout.external_payout_id, payout.in_doubt) == ("po_7", False)


def test_a_payout_unanswered_for_a_day_is_listed_first(stripe, seller):
    payout = payout_of(
        seller, in_doubt=True, first_sent_at=timezone.now() - timedelta(days=2), next_attempt_at=long_ago()
    )
    others = RemotePayout("po_0", 5_00, "EUR", "paid", "", "", "")
    own = RemotePayout("po_1", 5_00, "EUR", "paid", str(payout.pk), "", "")
    stripe.will("list_payouts", Accepted([others, own], call()))

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.external_payout_id, stripe.names()) == ("paid", "po_1", ["list_payouts"])


def test_a_payout_is_refreshed_when_no_webhook_comes(stripe, seller):
    payout = payout_of(seller, external_payout_id="po_1", next_attempt_at=long_ago())
    stripe.will("read_payout", Accepted(RemotePayout("po_1", 5_00, "EUR", "in_transit", "", "", ""), call()))

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.next_attempt_at is None) == ("in_transit", False)


@pytest.mark.parametrize(
    ("statuses", "end"),
    [
        (["paid"], "paid"),
        (["failed"], "failed"),
        (["canceled"], "cancelled"),
        (["in_transit", "paid"], "paid"),
        (["paid", "in_transit"], "paid"),
        (["paid", "pending"], "paid"),
        (["paid", "failed"], "failed"),
        (["failed", "paid"], "failed"),
        (["paid", "paid"], "paid"),
    ],
)
def test_webhooks_in_any_order_end_at_the_banks_status(seller, statuses, end):
    payout = payout_of(seller, external_payout_id="po_1")

    for status in statuses:
        deliver_status(payout, status)

    payout.refresh_from_db()
    assert payout.status == end


def test_the_same_webhook_twice_is_applied_once(seller):
    payout = payout_of(seller, external_payout_id="po_1")
    raw = event("payout.paid", payout_payload(payout, "paid"), account=payout.stripe_account_id)

    assert [deliver(raw).json()["result"] for _ in range(2)] == ["ok", "skipped: duplicate"]


def test_a_failure_is_shown_with_its_reason(seller):
    payout = payout_of(seller, external_payout_id="po_1")

    deliver_status(payout, "failed", failure_code="account_closed", failure_message="The account is closed.")

    payout.refresh_from_db()
    assert (payout.failure_code, payout.failure_message) == ("account_closed", "The account is closed.")


def test_a_webhook_before_the_answer_names_the_payout(stripe, seller):
    payout = payout_of(seller)

    def webhook_meanwhile(params):
        deliver_status(payout, "paid")
        return accepts_payout("po_1")(params)

    stripe.will("read_balance", shows_balance(EUR=5_00))
    stripe.will("create_payout", webhook_meanwhile)
    send_payout(payout.pk, cause=BY_TEST)

    payout.refresh_from_db()
    assert (payout.status, payout.external_payout_id) == ("paid", "po_1")


def test_a_webhook_for_another_account_changes_nothing(seller):
    payout = payout_of(seller, external_payout_id="po_1")

    raw = event("payout.paid", payout_payload(payout, "paid"), account="acct_other")

    assert deliver(raw).json()["result"] == "skipped: unmatched"


def test_a_payout_by_stripes_own_schedule_is_ignored(seller):
    payload = payout_payload(payout_of(seller), "paid", id="po_auto", metadata={})

    raw = event("payout.paid", payload, account=seller.connected_account.stripe_account_id)

    assert deliver(raw).json()["result"] == "skipped: ignored"


def test_a_seller_sees_their_own_payouts_only(api):
    payout_of(make_seller())

    assert api.get(ADDRESS).json()["results"] == []


def test_a_payout_on_the_wire(sandbox, seller):
    account = sandbox.create_account()
    type(seller.connected_account).objects.update(stripe_account_id=account)
    sandbox.control("balances", account=account, amount_minor=5_00)

    payout_id = new_id()
    payout = request_payout(payout_id=payout_id, seller_id=seller.pk, amount_minor=5_00, currency="EUR", cause=BY_TEST)

    payouts = [one for one in sandbox.truth()["movements"] if one["kind"] == "payout"]
    assert [(one["id"], one["amount"]) for one in payouts] == [(payout.external_payout_id, 5_00)]
    with pytest.raises(PayoutExceedsBalance):
        request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=1, currency="EUR", cause=BY_TEST)


def deliver_status(payout, status, **payload):
    name = "updated" if status in ("pending", "in_transit") else status
    raw = event(f"payout.{name}", payout_payload(payout, status, **payload), account=payout.stripe_account_id)
    assert deliver(raw).status_code == 200


@pytest.mark.parametrize("body", [{"amount_minor": 0}, {"amount_minor": 1.5}, {"currency": "ZZZ"}, {"currency": "eur"}])
def test_an_invalid_request_is_refused_without_a_call(stripe, api, body):
    answer = api.post(ADDRESS, {"amount_minor": 5_00, "currency": "EUR", **body}, format="json")

    assert answer.status_code == 400
    assert stripe.params == []


def test_a_failed_reversal_cannot_be_paid_out(stripe, seller, api):
    owing = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", accepts_transfer())
    send_transfer(owing.pk, cause=BY_TEST)
    refund(owing.order, seller, 4_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(owing.pk, cause=BY_TEST)
    stripe.will("read_balance", shows_balance(EUR=5_00))

    assert ask(api, amount_minor=1_01).json()["code"] == "payout_exceeds_balance"


def test_an_unreadable_payout_needs_review_and_is_refreshed_rarely(stripe, seller):
    payout = payout_of(seller, external_payout_id="po_1", next_attempt_at=long_ago())
    stripe.will("read_payout", refuses("account_gone", status=403))

    advance_due()

    payout.refresh_from_db()
    assert ReviewItem.objects.get().kind == "payout_not_readable"
    assert payout.next_attempt_at - timezone.now() > timedelta(hours=5)


def test_the_review_of_an_unreadable_payout_closes_once_it_is_read(stripe, seller):
    payout_of(seller, external_payout_id="po_1", next_attempt_at=long_ago())
    snapshot = Accepted(RemotePayout("po_1", 5_00, "EUR", "in_transit", "", "", ""), call())
    stripe.will("read_payout", refuses(ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE, 403), snapshot)
    advance_due()
    SellerPayout.objects.update(next_attempt_at=long_ago())

    advance_due()

    assert ReviewItem.objects.get().note == "Stripe shows it: po_1."


def test_a_payout_without_access_fails_and_refreshes_the_account(stripe, api):
    stripe.will("read_balance", shows_balance(EUR=9_00))
    stripe.will("create_payout", DISCONNECTED)

    answer = ask(api)

    assert (answer.json()["status"], answer.json()["failure_code"]) == ("failed", "account_gone")
    assert ConnectedAccount.objects.get().refresh_due_at is not None


def test_an_account_whose_balance_is_hidden_from_us_is_read_too(stripe, api):
    stripe.will("read_balance", DISCONNECTED)

    answer = ask(api)

    assert (answer.status_code, answer.json()["code"]) == (400, "payouts_not_enabled")
    assert ConnectedAccount.objects.get().refresh_due_at is not None


def test_an_unanswered_payout_has_not_failed_when_access_is_revoked(stripe, seller):
    payout = payout_of(seller, in_doubt=True, first_sent_at=timezone.now(), next_attempt_at=long_ago())
    stripe.will("create_payout", DISCONNECTED)

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.in_doubt) == ("pending", True)
    assert ReviewItem.objects.get().kind == "payout_not_readable"
    assert payout.next_attempt_at - timezone.now() > timedelta(hours=5)
