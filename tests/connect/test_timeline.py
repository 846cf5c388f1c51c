"""What support reads about a seller's money."""

import pytest

from connect.reporting.timeline import lines, next_steps
from connect.reversals.reversal_requests import reverse_transfer
from connect.transfers.transfer_requests import send_transfer
from tests.connect.conftest import refused, sent, taken_back
from tests.connect.factories import BY_TEST, completed, make_seller, planned, refund, to_reverse
from tests.connect.proving import faults_of, terms_of_order

pytestmark = pytest.mark.django_db


def told(transfer) -> list[str]:
    return [line.text for line in sorted(lines(transfer.order_id), key=lambda line: line.at)]


def test_the_whole_life_of_a_transfer_in_sentences(stripe):
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", sent("tr_1"))
    send_transfer(transfer.pk, cause=BY_TEST)
    refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", taken_back("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    email = transfer.seller.email
    assert told(transfer) == [
        f"A transfer of 9.00 EUR to {email} was planned.",
        f"Stripe sent 9.00 EUR to {email} (tr_1).",
        f"Stripe took back 9.00 EUR from {email} (trr_1).",
    ]


def test_a_refused_reversal_says_why(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refused("balance_insufficient", "Too low."))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    assert f"Stripe did not take back 9.00 EUR from {transfer.seller.email}: Too low." in told(transfer)


def test_a_transfer_that_waits_says_for_what(stripe):
    transfer = planned(make_seller(active=False))
    send_transfer(transfer.pk, cause=BY_TEST)

    (step,) = next_steps(transfer.order_id)

    assert "waits until the seller's Stripe account can receive transfers; looked at again" in step


def test_a_debt_says_that_it_is_one(stripe):
    transfer = to_reverse()
    stripe.will("create_reversal", refused("balance_insufficient"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    (step,) = next_steps(transfer.order_id)

    assert step.startswith(f"9.00 EUR of {transfer.seller.email} is owed by the seller")


def test_what_was_given_up_waits_for_a_person(stripe):
    transfer = planned()
    stripe.will("create_transfer", refused("resource_missing", "No such destination."))
    send_transfer(transfer.pk, cause=BY_TEST)

    (step,) = next_steps(transfer.order_id)

    assert "was given up and waits for a person: resource_missing No such destination." in step


@pytest.mark.parametrize("make", [planned, to_reverse])
def test_what_is_due_says_when(make):
    assert len(next_steps(make().order_id)) == 1


def test_a_transfer_at_rest_has_no_next_step():
    assert next_steps(completed().order_id) == []


def test_the_proof_holds_through_the_whole_life(stripe):
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", sent("tr_1"))
    send_transfer(transfer.pk, cause=BY_TEST)
    refund(transfer.order, transfer.seller, 4_00)
    stripe.will("create_reversal", taken_back("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    assert [(term.booked_minor, term.holds) for term in terms_of_order(transfer.order_id)] == [
        (9_00, True),
        (4_00, True),
    ]


def test_the_proof_shows_a_transfer_that_was_never_booked():
    transfer = completed(amount_minor=9_00)

    (fault,) = faults_of(transfer.order_id)

    assert str(fault).startswith(f"not posted: transfer {transfer.pk}: 9.00 EUR from seller:{transfer.seller_id}")


def test_a_set_off_is_told_in_both_orders(stripe):
    seller = make_seller()
    debt = planned(seller, amount_minor=4_00)
    stripe.will("create_transfer", sent())
    send_transfer(debt.pk, cause=BY_TEST)
    refund(debt.order, seller, 4_00)
    stripe.will("create_reversal", refused("balance_insufficient"))
    reverse_transfer(debt.pk, cause=BY_TEST)
    transfer = planned(seller, amount_minor=4_00)
    send_transfer(transfer.pk, cause=BY_TEST)

    texts = [line.text for order in (transfer.order_id, debt.order_id) for line in lines(order)]

    assert f"4.00 EUR was kept back from {seller.email}, who owed it for order {debt.order_id}." in texts
    assert f"4.00 EUR that {seller.email} owed was kept back from order {transfer.order_id}." in texts
