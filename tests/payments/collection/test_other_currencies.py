"""A payment that loses what it received, and receives another currency: both are booked, and both have an end."""

import pytest

from payments import tasks
from payments.admin_actions import EnterReceivedAmount, RefundMismatchInFull, RetryReturnOfFunds
from payments.ledger.postings import balances
from payments.models import Dispute, ForeignReceipt, Payment, Refund
from payments.reviews.mismatches import TooLittleReceived, accept_received_amount, refund_in_full
from payments.reviews.missing_amounts import enter_received_amount
from tests.buying import (
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_of,
)
from tests.factories import OfferFactory
from tests.payments.voiding import BY_STAFF, at_provider, deliver_action, open_items, read, read_twice, sums_of
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db
BOTH = {("payment_voided", 12_00), ("payment_mismatch", 9_00)}


@pytest.fixture
def order(sandbox):
    """12.00 EUR with tax, paid."""
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)
    return paid(order)


def receive_dollars(order, amount_minor: int = 9_00, **payload) -> None:
    deliver_payment(payment_of(order), currency="USD", amount_received=amount_minor, **payload)


def refund_dollars(order, amount_minor: int) -> None:
    """At the dashboard."""
    payload = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "status": "succeeded"}
    deliver(envelope("refund_succeeded", {**payload, "amount": amount_minor, "currency": "USD"}))


def faults(order) -> list[str]:
    return [str(fault) for fault in prove_payment(payment_of(order)).differences]


def booked(account: str) -> dict[str, int]:
    return {currency: amount for (name, currency), amount in balances().items() if name == account and amount}


def test_another_currency_after_a_void_is_booked_and_reviewed(order):
    deliver_payment(payment_of(order), status="failed")

    receive_dollars(order)

    assert (sums_of(order), open_items()) == (("mismatched", 12_00, 12_00), BOTH)
    assert (booked("psp_clearing"), booked("unapplied")) == ({"USD": -9_00}, {"USD": 9_00})
    assert faults(order) == []


def test_another_currency_after_a_refund_in_full_is_booked_too(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), amount_received=11_99)
    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    receive_dollars(order)

    # Hyperswitch refunded 11.99 EUR, and does not hold them either.
    assert booked("unapplied") == {"USD": 9_00}
    assert ("payment_mismatch", 9_00) in open_items()
    assert faults(order) == []


def test_a_success_that_changes_its_currency_is_booked_in_the_new_one(order):
    receive_dollars(order)

    assert (sums_of(order), open_items()) == (("mismatched", 12_00, 12_00), BOTH)
    assert booked("psp_clearing") == {"USD": -9_00}
    order.refresh_from_db()
    assert order.status == "refunded"
    assert faults(order) == []


def test_a_changed_currency_is_believed_after_two_reads_that_agree(sandbox, order):
    at_provider(sandbox, order, currency="USD", amount_received=9_00)

    read(order)
    assert (sums_of(order), payment_of(order).is_in_doubt()) == (("succeeded", 12_00, 0), True)

    read_twice(order)
    assert booked("psp_clearing") == {"USD": -9_00}


def test_money_under_review_is_booked_after_a_void(order):
    deliver_payment(payment_of(order), status="failed")

    deliver_action(order, "review", amount_received=12_00)

    assert sums_of(order) == ("mismatched", 12_00, 0)
    assert faults(order) == []


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_currency_that_comes_and_goes_is_booked_as_it_is_held(order, rounds):
    for _ in range(rounds):
        receive_dollars(order)
        deliver_payment(payment_of(order))
    assert booked("psp_clearing") == {"EUR": -12_00}

    receive_dollars(order)

    assert booked("psp_clearing") == {"USD": -9_00}
    assert ForeignReceipt.objects.get().received_minor == 9_00
    assert faults(order) == []


def test_the_first_currency_that_is_there_again_undoes_everything(order):
    receive_dollars(order)

    deliver_payment(payment_of(order))

    order.refresh_from_db()
    assert (order.status, *sums_of(order)) == ("completed", "succeeded", 12_00, 0)
    assert booked("psp_clearing") == {"EUR": -12_00}
    assert faults(order) == []


@pytest.mark.parametrize(("amount", "clearing"), [(15_00, {"USD": -15_00}), (4_00, {"USD": -4_00})])
def test_a_second_currency_that_changes_is_followed(order, amount, clearing):
    receive_dollars(order)

    receive_dollars(order, amount)

    assert booked("psp_clearing") == clearing
    assert ("payment_mismatch", amount) in open_items()
    assert faults(order) == []


def test_a_second_currency_that_went_away_ends_the_mismatch(order):
    receive_dollars(order)

    deliver_payment(payment_of(order), status="failed", currency="USD")

    assert (sums_of(order)[0], booked("psp_clearing")) == ("cancelled", {})
    assert open_items() == {("payment_voided", 12_00), ("payment_voided", 9_00)}
    assert faults(order) == []


def test_finance_refunds_the_second_currency_by_the_action_of_its_item(sandbox, order):
    at_provider(sandbox, order, currency="USD", amount_received=9_00)
    receive_dollars(order)
    assert RefundMismatchInFull().is_available(payment_of(order))

    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    tasks.resend()
    refund = Refund.objects.get(source="late_payment")
    deliver_refund(refund)

    assert (refund.amount_minor, refund.currency, sandbox.objects()["refunds"][0]["currency"]) == (9_00, "USD", "USD")
    assert (sums_of(order)[0], booked("psp_clearing")) == ("cancelled", {})
    assert open_items() == {("payment_voided", 12_00)}
    assert faults(order) == []


def test_a_refund_of_the_second_currency_that_failed_is_retried(order):
    receive_dollars(order)
    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)

    deliver_refund(Refund.objects.get(source="late_payment"), status="failed")

    assert ("unapplied_funds", 9_00) in open_items()
    assert RetryReturnOfFunds().is_available(payment_of(order))


def test_a_second_currency_cannot_be_accepted_as_the_price(order):
    receive_dollars(order, 12_00)

    with pytest.raises(TooLittleReceived):
        accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)


@pytest.mark.parametrize("refund_first", [True, False])
def test_a_dashboard_refund_of_the_second_currency_is_not_in_doubt(order, refund_first):
    steps = [lambda: refund_dollars(order, 9_00), lambda: receive_dollars(order)]
    for step in steps if refund_first else reversed(steps):
        step()

    assert not payment_of(order).is_in_doubt()
    assert sums_of(order)[0] == "cancelled"
    assert (booked("psp_clearing"), booked("unapplied"), booked("recoverable")) == ({}, {}, {})
    assert faults(order) == []


@pytest.mark.parametrize("dispute_first", [True, False])
def test_a_dispute_of_the_second_currency_takes_its_funds(order, dispute_first):
    dispute = {"amount_minor": 11_00, "currency": "USD"}
    steps = [lambda: deliver_dispute(payment_of(order), "lost", **dispute), lambda: receive_dollars(order)]
    for step in steps if dispute_first else reversed(steps):
        step()

    assert not Dispute.objects.in_doubt().exists()
    assert Dispute.objects.get().allocation == {"unapplied": 9_00, "recoverable": 2_00}
    assert ("dispute_exceeds_payment", 2_00) in open_items()
    assert faults(order) == []


def test_a_dispute_of_what_was_refunded_in_the_second_currency_exceeds_it(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=5_00, currency="USD")
    refund_dollars(order, 9_00)
    assert ("amount_in_doubt", 5_00) in open_items()

    receive_dollars(order)

    assert {kind for kind, _ in open_items()} == {"payment_voided", "dispute_exceeds_payment", "external_refund"}
    assert faults(order) == []


def test_a_void_of_refunded_dollars_is_ours_to_recover(order):
    receive_dollars(order)
    refund_dollars(order, 9_00)

    deliver_payment(payment_of(order), status="failed", currency="USD")

    assert booked("recoverable") == {"USD": -9_00}
    assert ("refund_exceeds_payment", 9_00) in open_items()
    assert faults(order) == []


@pytest.mark.parametrize(
    ("status", "euros", "item"),
    [("succeeded", {"EUR": -12_00}, ("refund_exceeds_payment", 12_00)), ("failed", {}, None)],
)
def test_a_refund_under_way_ends_in_the_first_currency_after_a_change(order, status, euros, item):
    refund = refund_of(order)
    receive_dollars(order)

    deliver_refund(refund, status=status)

    assert (payment_of(order).status, booked("recoverable"), booked("unapplied")) == (
        "mismatched",
        euros,
        {"USD": 9_00},
    )
    assert open_items() == BOTH | ({item} if item else set())
    assert faults(order) == []


def test_dollars_are_not_returned_while_a_refund_of_euros_is_under_way(order):
    refund = refund_of(order)
    receive_dollars(order)
    assert not RefundMismatchInFull().is_available(payment_of(order))

    deliver_refund(refund, status="failed")

    assert RefundMismatchInFull().is_available(payment_of(order))


def test_dollars_lost_to_a_dispute_end_the_mismatch(order):
    receive_dollars(order)

    deliver_dispute(payment_of(order), "lost", amount_minor=9_00, currency="USD")

    assert (payment_of(order).status, open_items()) == ("cancelled", {("payment_voided", 12_00)})
    assert faults(order) == []


def test_a_success_without_an_amount_after_a_void_waits_for_its_amount(sandbox, order):
    deliver_payment(payment_of(order), status="failed")
    at_provider(sandbox, order, status="succeeded", amount_received=None)

    deliver_payment(payment_of(order), amount_received=None)
    Payment.objects.update(amount_missing_since="2020-01-01T00:00Z")
    read(order)
    assert EnterReceivedAmount().is_available(payment_of(order))
    enter_received_amount(payment_id=payment_of(order).pk, amount_minor=12_00, cause=BY_STAFF)

    assert sums_of(order) == ("succeeded", 12_00, 0)


def test_a_success_in_another_currency_without_an_amount_is_asked_for(order):
    response = deliver_payment(payment_of(order), currency="USD", amount_received=None)

    assert response.json() == {"result": "skipped: waiting"}
    assert payment_of(order).next_attempt_at is not None


def test_a_receipt_whose_posting_is_missing_is_a_difference(order):
    receive_dollars(order)

    ForeignReceipt.objects.update(received_minor=10_00)

    assert any("1.00 USD" in fault for fault in faults(order))
