"""A seller's part of an order's history, as support reads it."""

import pytest

from connect.reporting.timeline import lines, next_steps
from connect.reversals.reversal_requests import reverse_transfer
from connect.transfers.transfer_requests import send_transfer
from tests.connect.factories import BY_TEST, completed, make_seller, planned, refund, to_reverse
from tests.connect.proving import faults_of, terms_of_order
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses

pytestmark = pytest.mark.django_db


def texts_of(transfer) -> list[str]:
    return [line.text for line in sorted(lines(transfer.order_id), key=lambda line: line.at)]


def test_the_whole_life_of_a_transfer_in_sentences(stripe):
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", accepts_transfer("tr_1"))
    send_transfer(transfer.pk, cause=BY_TEST)
    refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", accepts_reversal("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    email = transfer.seller.email
    assert texts_of(transfer) == [
        f"A transfer of 9.00 EUR to {email} was planned.",
        f"Stripe sent 9.00 EUR to {email} (tr_1).",
        f"Stripe reversed 9.00 EUR from {email} (trr_1).",
    ]


def test_a_refused_reversal_says_why(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refuses("balance_insufficient", "Too low."))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    assert f"Stripe did not reverse 9.00 EUR from {transfer.seller.email}: Too low." in texts_of(transfer)


def test_a_transfer_that_waits_says_for_what(stripe):
    transfer = planned(make_seller(active=False))
    send_transfer(transfer.pk, cause=BY_TEST)

    (step,) = next_steps(transfer.order_id)

    assert "waits until the seller's Stripe account can receive transfers; retried" in step


def test_a_debt_says_that_it_is_one(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    (step,) = next_steps(transfer.order_id)

    assert step.startswith(f"9.00 EUR of {transfer.seller.email} is owed by the seller")


def test_a_failed_transfer_needs_review(stripe):
    transfer = planned()
    stripe.will("create_transfer", refuses("resource_missing", "No such destination."))
    send_transfer(transfer.pk, cause=BY_TEST)

    (step,) = next_steps(transfer.order_id)

    assert "failed and needs review: resource_missing No such destination." in step


@pytest.mark.parametrize("make", [planned, to_reverse])
def test_what_is_due_says_when(make):
    assert len(next_steps(make().order_id)) == 1


def test_a_transfer_at_rest_has_no_next_step():
    assert next_steps(completed().order_id) == []


def test_the_proof_holds_through_the_whole_life(stripe):
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", accepts_transfer("tr_1"))
    send_transfer(transfer.pk, cause=BY_TEST)
    refund(transfer.order, transfer.seller, 4_00)
    stripe.will("create_reversal", accepts_reversal("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    assert [(term.booked_minor, term.holds) for term in terms_of_order(transfer.order_id)] == [
        (9_00, True),
        (4_00, True),
    ]


def test_the_proof_shows_a_transfer_that_was_never_booked():
    transfer = completed(amount_minor=9_00)

    (fault,) = faults_of(transfer.order_id)

    assert str(fault).startswith(f"not posted: transfer {transfer.pk}: 9.00 EUR from seller:{transfer.seller_id}")


def test_a_set_off_is_in_the_history_of_both_orders(stripe):
    seller = make_seller()
    debt = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", accepts_transfer())
    send_transfer(debt.pk, cause=BY_TEST)
    refund(debt.order, seller, 4_00)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse_transfer(debt.pk, cause=BY_TEST)
    transfer = planned(seller, amount_minor=4_00)
    send_transfer(transfer.pk, cause=BY_TEST)

    texts = [line.text for order in (transfer.order_id, debt.order_id) for line in lines(order)]

    assert f"4.00 EUR was withheld from {seller.email}, who owed it for order {debt.order_id}." in texts
    assert f"4.00 EUR that {seller.email} owed was withheld from order {transfer.order_id}." in texts
