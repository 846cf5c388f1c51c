"""Money that comes late, wrong or foreign is in the books, fulfils nothing wrongly, and a person is told what to do."""

import pytest

from marketplace.models import License
from payments import tasks
from payments.ledger.postings import balances
from payments.models import Refund
from payments.reconciliation import refresh as reconcile
from payments.refunds.refund_requests import PaymentMissing
from payments.reviews import mismatches
from payments.reviews.mismatches import NothingUnclaimed, NotMismatched, TooLittleReceived
from tests.buying import (
    deliver,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_of,
)
from tests.factories import OfferFactory
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_STAFF = Cause("staff", actor="finance@example.com", reason="agreed with the buyer")


@pytest.fixture
def order(sandbox):
    order = order_of(OfferFactory())  # 12.00 with tax
    sandbox.pay(payment_of(order).provider_key)
    return order


def open_cases() -> set[str]:
    return set(ReviewItem.objects.filter(closed_at=None).values_list("kind", flat=True))


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_late_success_completes_an_order_that_was_given_up(order, end):
    deliver_payment(payment_of(order), status=end, amount_received=None)

    assert paid(order).status == "completed"
    assert prove_payment(payment_of(order)).is_balanced


ODD = {
    "too little": {"amount_received": 11_99},
    "too much": {"amount_received": 12_01},
    "another currency": {"currency": "USD"},
    "a part": {"status": "partially_captured", "amount_received": 5_00},
}


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD.keys())
def test_wrong_money_is_booked_as_it_came_fulfils_nothing_and_opens_a_case(order, payload):
    deliver(envelope("payment_captured", payment_object(payment_of(order), **payload)))

    currency, amount = payload.get("currency", "EUR"), payload.get("amount_received", 12_00)
    assert balances()["unapplied", currency] == amount
    assert payment_of(order).status == "mismatched"
    assert (License.objects.count(), open_cases()) == (0, {"payment_mismatch"})
    assert prove_payment(payment_of(order)).is_balanced


@pytest.mark.parametrize("status", ["review", "conflicted"])
def test_doubt_after_a_success_opens_a_case_and_takes_nothing_from_the_buyer(order, status):
    paid(order)

    deliver(envelope("action_required", payment_object(payment_of(order), status=status)))

    assert (payment_of(order).status, open_cases()) == ("mismatched", {"payment_mismatch"})
    assert License.objects.get().status == "active"
    assert prove_payment(payment_of(order)).is_balanced


def test_a_doubt_that_names_no_amount_is_told_with_what_we_hold(order):
    paid(order)

    deliver(envelope("action_required", payment_object(payment_of(order), status="review", amount_received=None)))

    assert "12.00 EUR was received (Hyperswitch reports review)" in ReviewItem.objects.get().why


def test_money_in_a_second_currency_is_told_with_what_the_provider_says(order):
    deliver_payment(payment_of(order), **ODD["too little"])

    deliver_payment(payment_of(order), currency="USD", amount_received=12_00)

    assert payment_of(order).received_minor == 11_99
    assert "11.99 EUR was received" in ReviewItem.objects.filter(closed_at=None).get().why


def test_a_word_we_do_not_know_is_a_case_of_its_own_until_one_we_know_comes(order):
    deliver(envelope("action_required", payment_object(payment_of(order), status="pondering")))
    assert (payment_of(order).status, open_cases()) == ("pending", {"payment_status_unknown"})
    assert "refund" not in ReviewItem.objects.get().what_to_do

    paid(order)
    assert open_cases() == set()


def test_the_rest_that_arrives_completes_the_order(order):
    part = payment_object(payment_of(order), status="partially_captured", amount_received=5_00)
    deliver(envelope("payment_captured", part))

    assert paid(order).status == "completed"
    assert open_cases() == set()
    assert prove_payment(payment_of(order)).is_balanced


def test_a_person_accepts_too_much_and_the_surplus_goes_back_by_itself(sandbox, order):
    payment = payment_of(order)
    sandbox.control(f"payments/{payment.provider_key}", amount_received=15_00, silent=True)
    deliver_payment(payment, amount_received=15_00)

    mismatches.accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)
    tasks.resend()
    deliver_refund(Refund.objects.get())

    order.refresh_from_db()
    assert (order.status, open_cases()) == ("completed", set())
    assert (Refund.objects.get().amount_minor, Refund.objects.get().status) == (3_00, "succeeded")
    assert License.objects.get().status == "active"
    assert prove_payment(payment_of(order)).is_balanced


def test_a_surplus_that_went_back_does_not_count_as_a_part_of_the_order(sandbox, order):
    payment = payment_of(order)
    sandbox.control(f"payments/{payment.provider_key}", amount_received=15_00, silent=True)
    deliver_payment(payment, amount_received=15_00)
    mismatches.accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())
    order.refresh_from_db()

    deliver_refund(refund_of(order, amount_minor=9_00))

    order.refresh_from_db()
    assert (order.status, License.objects.get().status) == ("completed", "active")
    deliver_refund(refund_of(order))
    order.refresh_from_db()
    assert (order.status, License.objects.get().status) == ("refunded", "revoked")
    assert not any(balances().values())


def test_too_little_cannot_be_accepted(order):
    deliver_payment(payment_of(order), amount_received=11_99)

    with pytest.raises(TooLittleReceived):
        mismatches.accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)


@pytest.mark.parametrize(
    "payload", [ODD["too little"], ODD["another currency"]], ids=["too little", "another currency"]
)
def test_a_person_gives_wrong_money_back_and_the_order_is_cancelled(sandbox, order, payload):
    deliver_payment(payment_of(order), **payload)

    mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    order.refresh_from_db()
    assert (payment_of(order).status, order.status) == ("cancelled", "cancelled")
    assert not any(balances().values())


def test_the_case_of_wrong_money_stays_open_until_it_has_gone_back(sandbox, order):
    deliver_payment(payment_of(order), **ODD["too little"])

    mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    assert open_cases() == {"payment_mismatch"}

    deliver_refund(Refund.objects.get())
    assert open_cases() == set()


@pytest.mark.parametrize("word", ["cancelled", "expired"])
def test_a_wrong_payment_whose_money_we_hold_is_not_cancelled_by_the_provider(sandbox, order, word):
    deliver_payment(payment_of(order), **ODD["too little"])

    deliver(envelope("payment_cancelled", payment_object(payment_of(order), status=word, amount_received=None)))

    order.refresh_from_db()
    assert (payment_of(order).status, order.status, open_cases()) == ("mismatched", "pending", {"payment_mismatch"})


def test_a_doubt_that_ends_in_a_cancel_before_anything_came_is_over(sandbox, order):
    for word in ("conflicted", "cancelled"):
        deliver(envelope("action_required", payment_object(payment_of(order), status=word, amount_received=None)))

    order.refresh_from_db()
    assert (payment_of(order).status, order.status, open_cases()) == ("cancelled", "cancelled", set())


def test_a_price_of_which_a_part_went_back_meanwhile_fulfils_nothing(sandbox, order):
    deliver_payment(payment_of(order), **ODD["too little"])
    mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    assert paid(order).status == "cancelled"  # One cent is new, and all the others are gone.

    assert (payment_of(order).status, open_cases()) == ("mismatched", {"payment_mismatch"})
    with pytest.raises(TooLittleReceived, match="Less than the price remains"):
        mismatches.accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    assert balances()["unapplied", "EUR"] == 1


def test_what_the_provider_says_of_money_that_has_gone_back_is_old_news_however_new(sandbox, order):
    deliver_payment(payment_of(order), **ODD["too little"])
    mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    assert deliver_payment(payment_of(order), **ODD["too little"]).json() == {"result": "skipped: stale"}

    assert (payment_of(order).status, open_cases()) == ("cancelled", set())


def test_a_review_after_a_decision_about_an_earlier_one_is_news(order):
    paid(order)
    deliver(envelope("action_required", payment_object(payment_of(order), status="review")))
    mismatches.accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)

    deliver(envelope("action_required", payment_object(payment_of(order), status="review")))

    assert (payment_of(order).status, open_cases()) == ("mismatched", {"payment_mismatch"})


def test_what_was_fulfilled_is_not_given_back_as_if_nobody_had_claimed_it(sandbox, order):
    paid(order)
    deliver(envelope("action_required", payment_object(payment_of(order), status="review")))

    with pytest.raises(NothingUnclaimed, match="was fulfilled"):
        mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)

    assert (Refund.objects.count(), open_cases()) == (0, {"payment_mismatch"})


def test_a_mismatch_of_which_nothing_came_is_cancelled_with_its_order(sandbox, order):
    payload = payment_object(payment_of(order), status="conflicted", amount_received=None)
    deliver(envelope("action_required", payload))

    mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)

    order.refresh_from_db()
    assert (payment_of(order).status, order.status) == ("cancelled", "cancelled")
    assert (Refund.objects.count(), open_cases()) == (0, set())


def test_a_buyer_whose_payment_is_in_doubt_is_not_told_that_nothing_was_received(sandbox, order):
    paid(order)
    deliver(envelope("action_required", payment_object(payment_of(order), status="review")))

    with pytest.raises(PaymentMissing, match="needs review"):
        refund_of(order)


def test_there_is_nothing_to_decide_about_the_right_money(order):
    paid(order)

    with pytest.raises(NotMismatched):
        mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)


def test_a_refund_in_review_stays_pending_with_a_case_until_it_is_decided(sandbox, order):
    paid(order)
    refund = refund_of(order)
    sandbox.control(f"refunds/{refund.provider_key}", status="review", silent=True)

    for _ in range(2):
        reconcile.refresh_refund(refund.pk, cause=reconcile.by_reconciler())
    refund.refresh_from_db()
    assert (refund.status, open_cases()) == ("pending", {"refund_in_doubt"})

    deliver_refund(refund)
    refund.refresh_from_db()
    assert (refund.status, open_cases()) == ("succeeded", set())


def test_a_doubt_about_a_refund_ends_when_it_fails(order):
    paid(order)
    refund = refund_of(order)
    deliver_refund(refund, status="review")

    deliver_refund(refund, status="failed")

    assert open_cases() == set()


def test_a_bounced_refund_that_succeeds_after_all_leaves_nobody_to_be_paid_twice(order):
    paid(order)
    refund = refund_of(order)
    for status in ("succeeded", "failed", "succeeded"):
        deliver_refund(refund, status=status)

    assert open_cases() == set()
    assert prove_payment(payment_of(order)).is_balanced


def test_what_a_refund_exceeded_is_no_case_when_it_bounces(order):
    paid(order)
    deliver_refund(refund_of(order))
    there = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "amount": 4_00, "currency": "EUR"}
    deliver(envelope("refund_succeeded", there | {"status": "succeeded"}))
    assert open_cases() == {"external_refund", "refund_exceeds_payment"}

    deliver(envelope("refund_failed", there | {"status": "failed"}))

    assert open_cases() == {"refund_returned"}


@pytest.mark.parametrize("status", ["failed", "pending"])
def test_a_dashboard_refund_that_gave_nothing_back_is_not_said_to_have(order, status):
    paid(order)
    there = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "amount": 4_00, "currency": "EUR"}

    deliver(envelope(f"refund_{'failed' if status == 'failed' else 'succeeded'}", there | {"status": status}))

    assert (Refund.objects.get().status, open_cases()) == (status, set())


def test_wrong_money_that_bounces_back_to_us_is_decided_about_anew(order):
    deliver_payment(payment_of(order), **ODD["too little"])
    mismatches.refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    deliver_refund(Refund.objects.get(), status="failed")

    assert (payment_of(order).status, open_cases()) == ("mismatched", {"payment_mismatch", "refund_returned"})
    assert prove_payment(payment_of(order)).is_balanced


def test_a_refund_that_bounces_gives_license_and_share_back_with_a_case(order):
    paid(order)
    refund = refund_of(order)
    deliver_refund(refund)

    deliver_refund(refund, status="failed")

    order.refresh_from_db()
    assert (order.status, License.objects.get().status, open_cases()) == ("completed", "active", {"refund_returned"})
    assert prove_payment(payment_of(order)).is_balanced
