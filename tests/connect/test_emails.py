"""What sellers are told about their money and their account."""

import time

import pytest

from connect.messages.payouts import write_payout_email
from connect.models import ConnectedAccount, SellerPayout
from payments.models import Refund
from tests.connect.builders import debt_of, return_by_bank, reverse, send
from tests.connect.factories import make_seller, planned, refund, to_reverse
from tests.connect.stripe_deliveries import SECRET, account_payload, deliver, event, payout_payload
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses
from tests.emails import composed, mark_sent, send_what_waits, texts_to, written_to
from veza.core.email.content import Outdated
from veza.core.models import Email

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY = [SECRET], "sk_test_sandbox"


@pytest.fixture
def account() -> ConnectedAccount:
    account = make_seller().connected_account
    ConnectedAccount.objects.update(details_submitted=True)
    account.refresh_from_db()
    return account


def asks_for(account: ConnectedAccount, *requirements: str, transfers: str = "active") -> None:
    payload = account_payload(account, transfers=transfers, requirements={"currently_due": list(requirements)})
    deliver(event("account.updated", payload, created=int(time.time())))


def test_a_seller_hears_of_a_transfer(stripe):
    transfer = planned()
    stripe.will("create_transfer", accepts_transfer())
    send(transfer)

    (text,) = texts_to(transfer.seller, "transfer_sent")
    assert ("Transferred: €9.00" in text, transfer.stripe_transfer_id in text) == (True, True)


def test_a_reversal_says_how_much_is_left(stripe):
    transfer = to_reverse(target=4_00)
    stripe.will("create_reversal", accepts_reversal())
    reverse(transfer)

    (text,) = texts_to(transfer.seller, "transfer_reversed")
    assert ("-€4.00" in text, "Left for you: €5.00" in text) == (True, True)


def test_a_debt_is_told_once_however_often_stripe_refuses(stripe, seller):
    transfer = debt_of(stripe, seller)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse(transfer)

    (text,) = texts_to(seller, "seller_debt")
    assert "You owe: €9.00" in text


def test_a_debt_that_was_paid_is_not_told_any_more(stripe, seller):
    transfer = debt_of(stripe, seller)
    (email,) = written_to(seller, "seller_debt")
    stripe.will("create_reversal", accepts_reversal())
    reverse(transfer)

    assert composed(email) == Outdated("The seller does not owe this amount any more.")


def test_a_debt_that_is_owed_again_is_told_again(stripe, seller):
    transfer = debt_of(stripe, seller)
    return_by_bank(Refund.objects.get(), transfer)
    refund(transfer.order, seller, 9_00)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse(transfer)

    assert len(written_to(seller, "seller_debt")) == 2


def test_a_sale_that_was_refunded_before_it_was_transferred_is_told(seller):
    transfer = planned(seller, amount_minor=9_00)
    for amount_minor in (4_00, 5_00):
        refund(transfer.order, seller, amount_minor)

    first, second = texts_to(seller, "share_reduced")
    assert "Your share so far: €9.00" in first
    assert ("Refunded or disputed: -€5.00" in second, "Left for you: €0.00" in second) == (True, True)


def test_a_share_that_paid_a_debt_in_full_is_told(stripe, seller):
    debt_of(stripe, seller)
    send(planned(seller, amount_minor=6_00))

    (text,) = texts_to(seller, "share_withheld")
    assert "Withheld for an earlier debt: -€6.00" in text


def test_a_requirement_of_stripe_is_told_in_words(account):
    asks_for(account, "individual.verification.document", "external_account", transfers="inactive")

    (text,) = texts_to(account.seller, "account_needs_attention")
    assert "A photo of your identity document" in text
    assert "your money waits with us" in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("under_review", "Stripe is reviewing your account."),
        ("rejected.fraud", "Your account was rejected."),
        ("something_new", "Stripe has restricted your account."),
    ],
)
def test_why_stripe_restricts_an_account_is_told_in_our_words(account, reason, words):
    payload = account_payload(account, transfers="inactive", requirements={"disabled_reason": reason})
    deliver(event("account.updated", payload, created=int(time.time())))

    (text,) = texts_to(account.seller, "account_needs_attention")
    assert words in text
    assert reason not in text


def test_the_same_requirements_are_told_once_and_others_again(account):
    for requirements in (("external_account",), ("external_account",), ("external_account", "company.tax_id")):
        asks_for(account, *requirements)

    assert len(written_to(account.seller, "account_needs_attention")) == 2
    assert len(texts_to(account.seller, "account_needs_attention")) == 1


def test_requirements_that_are_back_after_others_are_told_again(account):
    for requirements in (("external_account",), ("company.tax_id",), ("external_account",)):
        asks_for(account, *requirements)
        Email.objects.waiting().update(status="sent", next_attempt_at=None)

    assert len(written_to(account.seller, "account_needs_attention")) == 3


def test_requirements_that_were_met_and_are_back_are_told_again(account):
    for requirements in (["external_account"], [], [], ["external_account"]):
        asks_for(account, *requirements)
        mark_sent(account.seller)

    attention, in_order = "account_needs_attention", "account_in_order"
    assert [email.message for email in written_to(account.seller)] == [attention, in_order, attention]


def test_what_stripe_asked_and_got_within_minutes_is_not_told(account):
    for requirements in (["external_account"], []):
        asks_for(account, *requirements)
    send_what_waits()

    assert {(email.status, email.last_error) for email in written_to(account.seller)} == {
        ("dropped", "Stripe's requirements have changed since."),
        ("dropped", "The recipient was told nothing that this would end."),
    }


def test_what_stripe_takes_back_within_minutes_is_not_told_twice(account):
    asks_for(account, "external_account")
    send_what_waits()
    for requirements in ([], ["external_account"]):
        asks_for(account, *requirements)
    send_what_waits()

    assert [email.status for email in written_to(account.seller)] == ["sent", "dropped", "dropped"]


def test_an_account_in_order_from_the_start_hears_nothing(account):
    asks_for(account)

    assert not Email.objects.exists()


def test_a_seller_who_is_still_filling_in_the_forms_hears_nothing(account):
    ConnectedAccount.objects.update(details_submitted=False)
    payload = account_payload(account, details_submitted=False, requirements={"currently_due": ["external_account"]})
    deliver(event("account.updated", payload, created=int(time.time())))

    assert not Email.objects.exists()


def test_a_changed_bank_account_is_told_once_for_each_event(account):
    raw = event(
        "account.external_account.updated",
        {"object": "bank_account", "last4": "6789"},
        account=account.stripe_account_id,
        created=int(time.time()),
    )
    for _ in range(2):
        assert deliver(raw).status_code == 200

    (text,) = texts_to(account.seller, "bank_account_changed")
    assert "Account number ends in: 6789" in text


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [("in_transit", "payout_sent", "one to three working days"), ("failed", "payout_failed", "account is closed")],
)
def test_a_payout_is_told_when_it_leaves_and_when_it_fails(account, status, message, words):
    payout = SellerPayout.objects.create(
        seller=account.seller,
        stripe_account_id=account.stripe_account_id,
        amount_minor=5_00,
        currency="EUR",
        external_payout_id="po_1",
    )
    payload = payout_payload(payout, status, failure_code="account_closed" if status == "failed" else None)
    deliver(
        event(f"payout.{'failed' if status == 'failed' else 'updated'}", payload, account=account.stripe_account_id)
    )

    (text,) = texts_to(account.seller, message)
    assert words in text


def test_a_payout_that_came_back_is_not_on_its_way_any_more(account):
    payout = SellerPayout.objects.create(
        seller=account.seller, stripe_account_id="acct", amount_minor=5_00, currency="EUR", status="paid"
    )
    write_payout_email(payout)
    SellerPayout.objects.update(status="failed")

    assert texts_to(account.seller, "payout_sent") == []


@pytest.mark.parametrize(
    ("code", "words"), [("payout_not_mature", "too new to be paid out"), ("payout_exceeds_balance", "was asked back")]
)
def test_a_payout_that_was_never_sent_is_told_with_our_reason(account, code, words):
    payout = SellerPayout.objects.create(
        seller=account.seller, amount_minor=5_00, currency="EUR", status="failed", failure_code=code
    )

    write_payout_email(payout)

    (text,) = texts_to(account.seller, "payout_failed")
    assert words in text
    assert "The money stays in your Stripe account." in text


def test_what_was_withheld_is_on_the_next_transfer(stripe, seller):
    debt_of(stripe, seller)
    later = planned(seller, amount_minor=20_00)
    stripe.will("create_transfer", accepts_transfer())
    send(later)

    assert "Withheld for an earlier debt: -€9.00" in texts_to(seller, "transfer_sent")[-1]
