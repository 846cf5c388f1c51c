"""Money that arrives late, in a wrong amount or currency is booked, fulfils nothing, and is reviewed."""

import pytest

from marketplace.models import License, Order
from payments import tasks
from payments.ledger.postings import balances
from payments.models import Refund
from payments.reconciliation import refresh as reconcile
from payments.refunds.refund_requests import PaymentMissing
from payments.reviews import mismatches
from payments.reviews.mismatches import NothingUnclaimed, NotMismatched, TooLittleReceived
from tests.buying import (
    ago,
    deliver,
    deliver_payment,
    deliver_refund,
    envelope,
    paid,
    payment_object,
    payment_of,
    refund_object,
    refund_of,
)
from tests.payments.builders import BY_STAFF, open_kinds
from veza.backoffice.proof import prove_payment
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def report_status(order: Order, status: str, **payload) -> dict:
    """Deliver another status of the order's payment; the result."""
    snapshot = payment_object(payment_of(order), status=status, **payload)
    return deliver(envelope("action_required", snapshot)).json()


def external_refund(order: Order) -> dict:
    return {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "amount": 4_00, "currency": "EUR"}


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_late_success_completes_a_failed_or_cancelled_order(captured_order, end):
    deliver_payment(payment_of(captured_order), status=end, amount_received=None)

    assert paid(captured_order).status == "completed"
    assert prove_payment(payment_of(captured_order)).is_balanced


MISMATCHES = {
    "too little": {"amount_received": 11_99},
    "too much": {"amount_received": 12_01},
    "another currency": {"currency": "USD"},
    "a part": {"status": "partially_captured", "amount_received": 5_00},
}


@pytest.mark.parametrize("payload", MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_wrong_amount_is_booked_fulfils_nothing_and_opens_a_review_item(captured_order, payload):
    deliver(envelope("payment_captured", payment_object(payment_of(captured_order), **payload)))

    currency, amount = payload.get("currency", "EUR"), payload.get("amount_received", 12_00)
    assert balances()["unapplied", currency] == amount
    assert payment_of(captured_order).status == "mismatched"
    assert (License.objects.count(), open_kinds()) == (0, {"payment_mismatch"})
    assert prove_payment(payment_of(captured_order)).is_balanced


@pytest.mark.parametrize("status", ["review", "conflicted"])
def test_doubt_after_a_success_opens_a_review_item_and_revokes_nothing(captured_order, status):
    paid(captured_order)

    report_status(captured_order, status)

    assert (payment_of(captured_order).status, open_kinds()) == ("mismatched", {"payment_mismatch"})
    assert License.objects.get().status == "active"
    assert prove_payment(payment_of(captured_order)).is_balanced


def test_a_doubt_without_an_amount_is_described_with_what_we_hold(captured_order):
    paid(captured_order)

    deliver(
        envelope("action_required", payment_object(payment_of(captured_order), status="review", amount_received=None))
    )

    assert "12.00 EUR was received (Hyperswitch reports review)" in ReviewItem.objects.get().why


def test_money_in_a_second_currency_is_described_as_it_is_held(captured_order):
    deliver_payment(payment_of(captured_order), **MISMATCHES["too little"])

    deliver_payment(payment_of(captured_order), currency="USD", amount_received=12_00)

    assert payment_of(captured_order).received_minor == 11_99
    assert "12.00 USD was received" in ReviewItem.objects.get(kind="payment_mismatch", closed_at=None).why


def test_an_unknown_status_is_a_review_item_until_a_known_one_arrives(captured_order):
    report_status(captured_order, "pondering")
    assert (payment_of(captured_order).status, open_kinds()) == ("pending", {"payment_status_unknown"})
    assert "refund" not in ReviewItem.objects.get().what_to_do

    paid(captured_order)
    assert open_kinds() == set()


def test_the_rest_that_arrives_completes_the_order(captured_order):
    part = payment_object(payment_of(captured_order), status="partially_captured", amount_received=5_00)
    deliver(envelope("payment_captured", part))

    assert paid(captured_order).status == "completed"
    assert open_kinds() == set()
    assert prove_payment(payment_of(captured_order)).is_balanced


def test_an_accepted_surplus_is_returned_automatically(sandbox, captured_order):
    payment = payment_of(captured_order)
    sandbox.control(f"payments/{payment.provider_key}", amount_received=15_00, silent=True)
    deliver_payment(payment, amount_received=15_00)

    mismatches.accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)
    tasks.resend()
    deliver_refund(Refund.objects.get())

    captured_order.refresh_from_db()
    assert (captured_order.status, open_kinds()) == ("completed", set())
    assert (Refund.objects.get().amount_minor, Refund.objects.get().status) == (3_00, "succeeded")
    assert License.objects.get().status == "active"
    assert prove_payment(payment_of(captured_order)).is_balanced


def test_a_returned_surplus_does_not_count_as_a_refund_of_the_order(sandbox, captured_order):
    payment = payment_of(captured_order)
    sandbox.control(f"payments/{payment.provider_key}", amount_received=15_00, silent=True)
    deliver_payment(payment, amount_received=15_00)
    mismatches.accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())
    captured_order.refresh_from_db()

    deliver_refund(refund_of(captured_order, amount_minor=9_00))

    captured_order.refresh_from_db()
    assert (captured_order.status, License.objects.get().status) == ("completed", "active")
    deliver_refund(refund_of(captured_order))
    captured_order.refresh_from_db()
    assert (captured_order.status, License.objects.get().status) == ("refunded", "revoked")
    assert not any(balances().values())


def test_too_little_cannot_be_accepted(captured_order):
    deliver_payment(payment_of(captured_order), amount_received=11_99)

    with pytest.raises(TooLittleReceived):
        mismatches.accept_received_amount(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)


@pytest.mark.parametrize(
    "payload", [MISMATCHES["too little"], MISMATCHES["another currency"]], ids=["too little", "another currency"]
)
def test_a_mismatch_refunded_in_full_cancels_the_order(sandbox, captured_order, payload):
    deliver_payment(payment_of(captured_order), **payload)

    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    captured_order.refresh_from_db()
    assert (payment_of(captured_order).status, captured_order.status) == ("cancelled", "cancelled")
    assert not any(balances().values())


def test_a_mismatch_stays_in_review_until_its_refund_succeeded(sandbox, captured_order):
    deliver_payment(payment_of(captured_order), **MISMATCHES["too little"])

    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)
    assert open_kinds() == {"payment_mismatch"}

    deliver_refund(Refund.objects.get())
    assert open_kinds() == set()


@pytest.mark.parametrize("word", ["cancelled", "expired"])
def test_a_mismatch_whose_money_we_hold_is_not_cancelled_by_an_update(sandbox, captured_order, word):
    deliver_payment(payment_of(captured_order), **MISMATCHES["too little"])

    deliver(
        envelope("payment_cancelled", payment_object(payment_of(captured_order), status=word, amount_received=None))
    )

    captured_order.refresh_from_db()
    assert (payment_of(captured_order).status, captured_order.status, open_kinds()) == (
        "mismatched",
        "pending",
        {"payment_mismatch"},
    )


def test_a_doubt_that_is_cancelled_before_money_arrived_is_closed(sandbox, captured_order):
    for word in ("conflicted", "cancelled"):
        deliver(
            envelope("action_required", payment_object(payment_of(captured_order), status=word, amount_received=None))
        )

    captured_order.refresh_from_db()
    assert (payment_of(captured_order).status, captured_order.status, open_kinds()) == ("cancelled", "cancelled", set())


def test_a_price_that_was_partly_refunded_meanwhile_fulfils_nothing(sandbox, captured_order):
    deliver_payment(payment_of(captured_order), **MISMATCHES["too little"])
    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    assert paid(captured_order).status == "cancelled"  # One cent is new, and the rest was refunded.

    assert (payment_of(captured_order).status, open_kinds()) == ("mismatched", {"payment_mismatch"})
    with pytest.raises(TooLittleReceived, match="Less than the price remains"):
        mismatches.accept_received_amount(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)
    assert balances()["unapplied", "EUR"] == 1


def test_an_update_about_refunded_money_is_stale_however_new(sandbox, captured_order):
    deliver_payment(payment_of(captured_order), **MISMATCHES["too little"])
    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    assert deliver_payment(payment_of(captured_order), **MISMATCHES["too little"]).json() == {
        "result": "skipped: stale"
    }

    assert (payment_of(captured_order).status, open_kinds()) == ("cancelled", set())


def test_a_review_after_a_decision_about_an_earlier_one_is_applied(captured_order):
    paid(captured_order)
    report_status(captured_order, "review")
    mismatches.accept_received_amount(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)

    report_status(captured_order, "review")

    assert (payment_of(captured_order).status, open_kinds()) == ("mismatched", {"payment_mismatch"})


def test_what_was_fulfilled_is_not_refunded_as_unapplied_funds(captured_order):
    paid(captured_order)
    report_status(captured_order, "review")

    with pytest.raises(NothingUnclaimed, match="was fulfilled"):
        mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)

    assert (Refund.objects.count(), open_kinds()) == (0, {"payment_mismatch"})


def test_a_mismatch_without_money_is_cancelled_with_its_order(sandbox, captured_order):
    payload = payment_object(payment_of(captured_order), status="conflicted", amount_received=None)
    deliver(envelope("action_required", payload))

    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)

    captured_order.refresh_from_db()
    assert (payment_of(captured_order).status, captured_order.status) == ("cancelled", "cancelled")
    assert (Refund.objects.count(), open_kinds()) == (0, set())


def test_a_report_that_finance_has_decided_is_stale_when_it_comes_again(sandbox, captured_order):
    payload = payment_object(payment_of(captured_order), status="conflicted", amount_received=None)
    deliver(envelope("action_required", payload))
    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)

    assert deliver(envelope("action_required", payload)).json() == {"result": "skipped: stale"}
    assert (payment_of(captured_order).status, open_kinds()) == ("cancelled", set())


def test_a_buyers_refund_of_a_payment_in_doubt_is_refused_as_in_doubt(sandbox, captured_order):
    paid(captured_order)
    report_status(captured_order, "review")

    with pytest.raises(PaymentMissing, match="in doubt"):
        refund_of(captured_order)


def test_there_is_nothing_to_decide_about_the_right_amount(captured_order):
    paid(captured_order)

    with pytest.raises(NotMismatched):
        mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)


def test_a_refund_in_review_stays_pending_until_it_is_decided(sandbox, captured_order):
    paid(captured_order)
    refund = refund_of(captured_order)
    sandbox.control(f"refunds/{refund.provider_key}", status="review", silent=True)

    for _ in range(2):
        reconcile.refresh_refund(refund.pk, cause=reconcile.by_reconciler())
    refund.refresh_from_db()
    assert (refund.status, open_kinds()) == ("pending", {"refund_in_doubt"})

    deliver_refund(refund)
    refund.refresh_from_db()
    assert (refund.status, open_kinds()) == ("succeeded", set())


def test_a_doubt_about_a_refund_ends_when_it_fails(captured_order):
    paid(captured_order)
    refund = refund_of(captured_order)
    deliver(envelope("refund_failed", refund_object(refund, status="review")))

    deliver_refund(refund, status="failed")

    assert open_kinds() == set()


def test_a_returned_refund_that_succeeds_after_all_closes_its_review_item(captured_order):
    paid(captured_order)
    refund = refund_of(captured_order)
    for status in ("succeeded", "failed", "succeeded"):
        deliver_refund(refund, status=status)

    assert open_kinds() == set()
    assert prove_payment(payment_of(captured_order)).is_balanced


def test_the_review_of_a_refund_excess_closes_when_it_is_returned(captured_order):
    paid(captured_order)
    deliver_refund(refund_of(captured_order))
    refund = external_refund(captured_order)
    deliver(envelope("refund_succeeded", refund | {"status": "succeeded", "updated_at": ago(hours=1)}))
    assert open_kinds() == {"external_refund", "refund_exceeds_payment"}

    deliver(envelope("refund_failed", refund | {"status": "failed", "updated_at": ago()}))

    assert open_kinds() == {"refund_returned"}


@pytest.mark.parametrize("status", ["failed", "pending"])
def test_an_external_refund_that_did_not_succeed_opens_no_review_item(captured_order, status):
    paid(captured_order)
    refund = external_refund(captured_order)

    deliver(envelope(f"refund_{'failed' if status == 'failed' else 'succeeded'}", refund | {"status": status}))

    assert (Refund.objects.get().status, open_kinds()) == (status, set())


def test_a_refunded_mismatch_that_the_bank_returns_is_in_review_again(captured_order):
    deliver_payment(payment_of(captured_order), **MISMATCHES["too little"])
    mismatches.refund_in_full(payment_id=payment_of(captured_order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    deliver_refund(Refund.objects.get(), status="failed")

    assert (payment_of(captured_order).status, open_kinds()) == ("mismatched", {"payment_mismatch", "refund_returned"})
    assert prove_payment(payment_of(captured_order)).is_balanced


def test_a_returned_refund_restores_license_and_share_with_a_review_item(captured_order):
    paid(captured_order)
    refund = refund_of(captured_order)
    deliver_refund(refund)

    deliver_refund(refund, status="failed")

    captured_order.refresh_from_db()
    assert (captured_order.status, License.objects.get().status, open_kinds()) == (
        "completed",
        "active",
        {"refund_returned"},
    )
    assert prove_payment(payment_of(captured_order)).is_balanced
