"""Payouts: asked for once, never more than the account has, and standing where Stripe and the bank say they do."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from connect.models import ConnectedAccount, SellerPayout
from connect.payouts import PayoutExceedsBalance, advance_due, request_payout, send_payout
from connect.reversals.reversal_requests import reverse_transfer
from connect.stripe.calls import ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE
from connect.stripe.objects import RemotePayout
from connect.transfers.transfer_requests import send_transfer
from tests.connect.conftest import call, has, not_sent, paid_out, refused, sent, unknown
from tests.connect.factories import BY_TEST, long_ago, make_seller, planned, refund, to_reverse
from tests.connect.stripe_deliveries import SECRET, deliver, event, payout_shown
from veza.core.ids import new_id
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/connect/payouts"
DISCONNECTED = refused(ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE, 403)


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY = [SECRET], "sk_test_sandbox"


@pytest.fixture
def seller():
    seller = make_seller()
    type(seller.connected_account).objects.update(payouts_enabled=True)
    return seller


@pytest.fixture
def api(seller):
    api = APIClient()
    api.force_authenticate(seller)
    return api


def ask(api, amount_minor=5_00, key="a key"):
    body = {"amount_minor": amount_minor, "currency": "EUR"}
    return api.post(ADDRESS, body, format="json", headers={"Idempotency-Key": key})


def payout_of(seller, **fields):
    account = seller.connected_account.stripe_account_id
    usual = {"seller": seller, "stripe_account_id": account, "amount_minor": 5_00, "currency": "EUR"}
    return SellerPayout.objects.create(**{**usual, **fields})


def test_a_seller_pays_out_and_sees_it(stripe, api):
    stripe.will("read_balance", has(EUR=5_00))
    stripe.will("create_payout", paid_out("po_1"))

    answer = ask(api)

    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["external_payout_id"]) == ("pending", "po_1")
    assert api.get(ADDRESS).json()["results"] == [answer.json()]


def test_the_request_is_a_function_of_the_row(stripe, api, seller):
    stripe.will("read_balance", has(EUR=5_00))
    stripe.will("create_payout", paid_out())

    payout_id = ask(api).json()["id"]

    assert stripe.keys() == [f"{payout_id}:payout"]
    assert stripe.params[-1][1]["stripe_account_id"] == seller.connected_account.stripe_account_id


@pytest.mark.parametrize("available", [{}, {"EUR": 4_99}, {"EUR": -1}, {"USD": 9_00}])
def test_never_more_than_the_account_has(stripe, api, available):
    stripe.will("read_balance", has(**available))

    answer = ask(api)

    assert (answer.status_code, answer.json()["code"]) == (400, "payout_exceeds_balance")
    assert not SellerPayout.objects.exists()


def test_what_is_being_taken_back_cannot_be_paid_out(stripe, seller):
    owed = to_reverse(amount_minor=2_00)
    type(owed).objects.filter(pk=owed.pk).update(seller=seller)
    stripe.will("read_balance", has(EUR=6_00))

    with pytest.raises(PayoutExceedsBalance):
        request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=5_00, currency="EUR", cause=BY_TEST)


def test_a_balance_that_cannot_be_read_pays_nothing_out(stripe, api):
    stripe.will("read_balance", unknown())

    assert ask(api).status_code == 503
    assert not SellerPayout.objects.exists()


def test_a_seller_whose_account_is_not_complete_is_told_so(stripe):
    api = APIClient()
    api.force_authenticate(make_seller())

    assert ask(api).json()["code"] == "payouts_not_enabled"
    assert stripe.params == []


def test_asking_twice_under_one_key_pays_out_once(stripe, api):
    stripe.will("read_balance", has(EUR=9_00))
    stripe.will("create_payout", paid_out())

    first, second = ask(api), ask(api)

    assert first.json() == second.json()
    assert SellerPayout.objects.count() == 1


def test_an_unanswered_payout_is_202_and_asking_again_uses_the_same_key(stripe, api):
    stripe.will("read_balance", has(EUR=9_00))
    stripe.will("create_payout", unknown(), paid_out())

    first, second = ask(api), ask(api)

    assert (first.status_code, second.status_code) == (202, 201)
    assert len(set(stripe.keys())) == 1


def test_a_payout_that_stripe_refuses_has_failed_and_says_why(stripe, api):
    stripe.will("read_balance", has(EUR=9_00))
    stripe.will("create_payout", refused("balance_insufficient", "You have insufficient funds."))

    told = ask(api).json()

    assert (told["status"], told["failure_code"]) == ("failed", "balance_insufficient")


def test_being_turned_away_leaves_the_payout_due_and_opens_a_case(stripe, seller):
    payout = payout_of(seller)
    stripe.will("create_payout", not_sent(401))

    send_payout(payout.pk, cause=BY_TEST)

    payout.refresh_from_db()
    assert (payout.status, payout.in_doubt, payout.next_attempt_at is None) == ("pending", False, False)
    assert ReviewItem.objects.filter(kind="stripe_auth_rejected").exists()


def test_the_worker_sends_what_nobody_answered(stripe, seller):
    payout = payout_of(seller, in_doubt=True, first_sent_at=timezone.now(), next_attempt_at=long_ago())
    stripe.will("create_payout", paid_out("po_7"))

    advance_due()

    payout.refresh_from_db()
    assert (payout.external_payout_id, payout.in_doubt) == ("po_7", False)


def test_a_payout_unanswered_for_a_day_is_looked_for_first(stripe, seller):
    payout = payout_of(
        seller, in_doubt=True, first_sent_at=timezone.now() - timedelta(days=2), next_attempt_at=long_ago()
    )
    others = RemotePayout("po_0", 5_00, "EUR", "paid", "", "", "")
    mine = RemotePayout("po_1", 5_00, "EUR", "paid", str(payout.pk), "", "")
    stripe.will("list_payouts", Accepted([others, mine], call()))

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.external_payout_id, stripe.names()) == ("paid", "po_1", ["list_payouts"])


def test_the_bank_is_asked_about_when_no_webhook_comes(stripe, seller):
    payout = payout_of(seller, external_payout_id="po_1", next_attempt_at=long_ago())
    stripe.will("read_payout", Accepted(RemotePayout("po_1", 5_00, "EUR", "in_transit", "", "", ""), call()))

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.next_attempt_at is None) == ("in_transit", False)


@pytest.mark.parametrize(
    ("told", "ends"),
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
def test_news_in_any_order_ends_where_the_bank_left_it(seller, told, ends):
    payout = payout_of(seller, external_payout_id="po_1")

    for status in told:
        tell(payout, status)

    payout.refresh_from_db()
    assert payout.status == ends


def test_the_same_news_twice_is_kept_once(seller):
    payout = payout_of(seller, external_payout_id="po_1")
    raw = event("payout.paid", payout_shown(payout, "paid"), account=payout.stripe_account_id)

    assert [deliver(raw).json()["result"] for _ in range(2)] == ["ok", "skipped: duplicate"]


def test_a_failure_is_shown_with_its_reason(seller):
    payout = payout_of(seller, external_payout_id="po_1")

    tell(payout, "failed", failure_code="account_closed", failure_message="The account is closed.")

    payout.refresh_from_db()
    assert (payout.failure_code, payout.failure_message) == ("account_closed", "The account is closed.")


def test_news_before_the_answer_to_our_own_request_names_the_payout(stripe, seller):
    payout = payout_of(seller)

    def told_meanwhile(given):
        tell(payout, "paid")
        return paid_out("po_1")(given)

    stripe.will("create_payout", told_meanwhile)
    send_payout(payout.pk, cause=BY_TEST)

    payout.refresh_from_db()
    assert (payout.status, payout.external_payout_id) == ("paid", "po_1")


def test_news_for_another_account_touches_nothing(seller):
    payout = payout_of(seller, external_payout_id="po_1")

    raw = event("payout.paid", payout_shown(payout, "paid"), account="acct_other")

    assert deliver(raw).json()["result"] == "skipped: unmatched"


def test_a_payout_that_stripe_makes_by_its_own_schedule_is_no_concern_of_ours(seller):
    shown = payout_shown(payout_of(seller), "paid", id="po_auto", metadata={})

    raw = event("payout.paid", shown, account=seller.connected_account.stripe_account_id)

    assert deliver(raw).json()["result"] == "skipped: ignored"


def test_nobody_sees_anybody_elses_payouts(api):
    payout_of(make_seller())

    assert api.get(ADDRESS).json()["results"] == []


def test_a_payout_on_the_wire(sandbox, seller):
    account = sandbox.create_account()
    type(seller.connected_account).objects.update(stripe_account_id=account)
    sandbox.control("balances", account=account, amount_minor=5_00)

    payout_id = new_id()
    payout = request_payout(payout_id=payout_id, seller_id=seller.pk, amount_minor=5_00, currency="EUR", cause=BY_TEST)

    moved = [one for one in sandbox.truth()["movements"] if one["kind"] == "payout"]
    assert [(one["id"], one["amount"]) for one in moved] == [(payout.external_payout_id, 5_00)]
    with pytest.raises(PayoutExceedsBalance):
        request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=1, currency="EUR", cause=BY_TEST)


def tell(payout, status, **payload):
    name = "updated" if status in ("pending", "in_transit") else status
    raw = event(f"payout.{name}", payout_shown(payout, status, **payload), account=payout.stripe_account_id)
    assert deliver(raw).status_code == 200


@pytest.mark.parametrize("body", [{"amount_minor": 0}, {"amount_minor": 1.5}, {"currency": "ZZZ"}, {"currency": "eur"}])
def test_what_cannot_be_paid_out_is_refused_before_stripe_is_asked(stripe, api, body):
    answer = api.post(ADDRESS, {"amount_minor": 5_00, "currency": "EUR", **body}, format="json")

    assert answer.status_code == 400
    assert stripe.params == []


def test_what_was_given_up_taking_back_cannot_be_paid_out(stripe, seller, api):
    owing = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", sent())
    send_transfer(owing.pk, cause=BY_TEST)
    refund(owing.order, seller, 4_00)
    stripe.will("create_reversal", refused("resource_missing", status=404))
    reverse_transfer(owing.pk, cause=BY_TEST)
    stripe.will("read_balance", has(EUR=5_00))

    assert ask(api, amount_minor=1_01).json()["code"] == "payout_exceeds_balance"


def test_a_payout_that_stripe_does_not_show_any_more_is_a_case_and_asked_about_seldom(stripe, seller):
    payout = payout_of(seller, external_payout_id="po_1", next_attempt_at=long_ago())
    stripe.will("read_payout", refused("account_gone", status=403))

    advance_due()

    payout.refresh_from_db()
    assert ReviewItem.objects.get().kind == "payout_not_readable"
    assert payout.next_attempt_at - timezone.now() > timedelta(hours=5)


def test_the_case_of_a_payout_that_could_not_be_read_closes_when_stripe_shows_it_again(stripe, seller):
    payout_of(seller, external_payout_id="po_1", next_attempt_at=long_ago())
    shown = Accepted(RemotePayout("po_1", 5_00, "EUR", "in_transit", "", "", ""), call())
    stripe.will("read_payout", refused(ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE, 403), shown)
    advance_due()
    SellerPayout.objects.update(next_attempt_at=long_ago())

    advance_due()

    assert ReviewItem.objects.get().note == "Stripe shows it: po_1."


def test_the_payout_of_an_account_that_is_gone_fails_in_our_words_and_the_account_is_read(stripe, api):
    stripe.will("read_balance", has(EUR=9_00))
    stripe.will("create_payout", DISCONNECTED)

    answer = ask(api)

    assert (answer.json()["status"], answer.json()["failure_code"]) == ("failed", "account_gone")
    assert ConnectedAccount.objects.get().refresh_due_at is not None


def test_an_account_whose_balance_is_hidden_from_us_is_read_too(stripe, api):
    stripe.will("read_balance", DISCONNECTED)

    answer = ask(api)

    assert (answer.status_code, answer.json()["code"]) == (400, "payouts_not_enabled")
    assert ConnectedAccount.objects.get().refresh_due_at is not None


def test_a_payout_nobody_answered_has_not_failed_because_the_account_is_gone_now(stripe, seller):
    payout = payout_of(seller, in_doubt=True, first_sent_at=timezone.now(), next_attempt_at=long_ago())
    stripe.will("create_payout", DISCONNECTED)

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.in_doubt) == ("pending", True)
    assert ReviewItem.objects.get().kind == "payout_not_readable"
    assert payout.next_attempt_at - timezone.now() > timedelta(hours=5)
