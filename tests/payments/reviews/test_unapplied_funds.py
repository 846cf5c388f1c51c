"""Unapplied funds are returned automatically; when that fails, finance retries it from a review item."""

import pytest

from marketplace.models import License
from payments import tasks
from payments.models import Payment, Refund
from payments.refunds.refund_requests import RefundAlreadyRequested
from payments.reviews.automatic_refunds import NothingToReturn, retry_return_of_funds
from payments.reviews.mismatches import accept_received_amount
from tests.buying import (
    ago,
    answer_dispute,
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
)
from tests.factories import OfferFactory
from tests.payments.builders import BY_STAFF, open_reviews
from veza.backoffice.proof import prove_payment
from veza.backoffice.verification import verify_ledger
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def unapplied_order(sandbox):
    """An order of an exclusive licence that was sold while its buyer paid: 12.00 have to be returned."""
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive)
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))
    return second


def refused_return(sandbox, order) -> Refund:
    """The refund of unapplied funds, refused by Hyperswitch when it was sent."""
    key = payment_of(order).provider_key
    sandbox.control(f"payments/{key}", status="cancelled", silent=True)
    tasks.resend()
    sandbox.control(f"payments/{key}", status="succeeded", silent=True)
    return Refund.objects.get(status="failed")


def retry_return(order) -> Refund:
    return retry_return_of_funds(refund_id=new_id(), payment_id=payment_of(order).pk, reason="The bank is back.")


def test_a_refused_return_opens_a_review_item_with_the_providers_error(sandbox, unapplied_order):
    refund = refused_return(sandbox, unapplied_order)

    item = ReviewItem.objects.get()
    assert (item.kind, item.amount_minor, item.subject_id) == ("unapplied_funds", 12_00, refund.payment_id)
    assert refund.error_code in item.why
    assert refund.error_message in item.why


def test_a_return_that_fails_later_opens_a_review_item(sandbox, unapplied_order):
    sandbox.settings(refund_outcome="fail")
    tasks.resend()
    refund = Refund.objects.get()

    deliver_refund(refund, status="failed", error_code="54", error_message="No credit possible.")

    assert open_reviews() == [("unapplied_funds", 12_00)]
    assert "54 No credit possible." in ReviewItem.objects.get().why


def test_a_buyers_refund_that_fails_opens_no_review_item(sandbox):
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)
    refund = Refund.objects.create(
        payment=payment_of(order),
        correlation_id=order.pk,
        amount_minor=1,
        currency="EUR",
        allocation={"tax": 1},
        source="buyer",
    )

    deliver_refund(refund, status="failed")

    assert open_reviews() == []


def test_the_review_item_closes_when_the_return_succeeds_after_all(sandbox, unapplied_order):
    refund = refused_return(sandbox, unapplied_order)

    deliver_refund(refund)

    assert open_reviews() == []
    assert prove_payment(payment_of(unapplied_order)).is_balanced


def test_a_retried_return_closes_the_review_item_once_it_succeeded(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)

    again = retry_return(unapplied_order)
    tasks.resend()
    assert open_reviews() == [("unapplied_funds", 12_00)]
    deliver_refund(again)

    unapplied_order.refresh_from_db()
    assert (unapplied_order.status, open_reviews()) == ("refunded", [])
    assert prove_payment(payment_of(unapplied_order)).is_balanced


def test_a_pending_return_cannot_be_retried(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)
    retry_return(unapplied_order)

    with pytest.raises(RefundAlreadyRequested):
        retry_return(unapplied_order)


def test_what_was_returned_is_not_returned_again(sandbox, unapplied_order):
    deliver_refund(refused_return(sandbox, unapplied_order))

    with pytest.raises(NothingToReturn):
        retry_return(unapplied_order)


def test_a_second_failure_is_one_review_item_with_its_own_error(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)
    again = retry_return(unapplied_order)

    deliver_refund(again, status="failed", error_code="99", error_message="Closed.")

    [item] = ReviewItem.objects.filter(closed_at=None)
    assert "99 Closed." in item.why


def overpaid_order_with_a_sold_item(surplus_minor: int):
    """An order of 24.00 for an exclusive licence that was sold meanwhile and another work; more was received."""
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    deliver_payment(payment_of(second), amount_received=24_00 + surplus_minor)
    return second


def test_a_surplus_and_a_sold_item_are_returned_in_one_refund(sandbox):
    order = overpaid_order_with_a_sold_item(surplus_minor=3_00)

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    order.refresh_from_db()
    assert (Refund.objects.get().amount_minor, order.status, open_reviews()) == (15_00, "completed", [])
    assert prove_payment(payment_of(order)).is_balanced


def test_a_returned_surplus_is_not_returned_again_after_a_later_acceptance(sandbox):
    order = overpaid_order_with_a_sold_item(surplus_minor=3_00)
    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())
    deliver(envelope("action_required", payment_object(payment_of(order), status="review")))

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)

    assert Refund.objects.count() == 1


def test_funds_too_old_to_refund_are_booked_with_a_review_item(sandbox):
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    Payment.objects.filter(pk=payment_of(second).pk).update(created_at=ago(days=366))

    assert deliver_payment(payment_of(second)).json() == {"result": "ok"}

    second.refresh_from_db()
    assert (second.status, payment_of(second).received_minor) == ("completed", 24_00)
    assert open_reviews() == [("unapplied_funds", 12_00)]
    assert "older than a year" in ReviewItem.objects.get().why


def test_a_free_licence_that_was_sold_leaves_no_order_waiting_for_a_refund(sandbox):
    free = OfferFactory(license="exclusive", price_minor=0)
    waits = order_of(free, OfferFactory())
    order_of(free)

    assert paid(waits).status == "completed"
    assert (License.objects.filter(order=waits).count(), Refund.objects.count()) == (1, 0)


def test_a_return_that_the_bank_returned_is_retried_and_its_review_closes(sandbox, unapplied_order):
    refund = Refund.objects.get()
    deliver_refund(refund)
    deliver_refund(refund, status="failed")
    assert open_reviews() == [("refund_returned", 12_00)]

    deliver_refund(retry_return(unapplied_order))

    assert open_reviews() == []
    assert prove_payment(payment_of(unapplied_order)).is_balanced


def test_the_item_about_funds_lost_to_a_dispute_closes(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)

    deliver_dispute(payment_of(unapplied_order), "lost")

    item = ReviewItem.objects.get(kind="unapplied_funds")
    assert (item.status, item.note) == ("closed", "Lost to a dispute: the buyer has 12.00 EUR from their bank.")
    assert prove_payment(payment_of(unapplied_order)).differences == []


def test_what_a_dispute_left_of_the_funds_is_still_to_be_returned(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)

    deliver_dispute(payment_of(unapplied_order), "lost", amount_minor=7_00)

    assert open_reviews() == [("unapplied_funds", 5_00)]


def test_funds_in_a_dispute_that_is_not_decided_keep_their_item(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)

    deliver_dispute(payment_of(unapplied_order), "opened")

    assert ("unapplied_funds", 12_00) in open_reviews()


def test_funds_that_the_bank_gives_back_are_to_be_returned_again(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)
    deliver_dispute(payment_of(unapplied_order), "lost")

    answer_dispute(payment_of(unapplied_order), "won")

    assert open_reviews() == [("unapplied_funds", 12_00)]
    assert retry_return(unapplied_order).amount_minor == 12_00


def test_what_a_dispute_left_can_be_returned(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)
    deliver_dispute(payment_of(unapplied_order), "lost", amount_minor=7_00)

    assert retry_return(unapplied_order).amount_minor == 5_00


def test_an_older_item_about_lost_funds_closes_with_the_daily_proof(sandbox, unapplied_order):
    refused_return(sandbox, unapplied_order)
    deliver_dispute(payment_of(unapplied_order), "lost")
    ReviewItem.objects.filter(kind="unapplied_funds").update(closed_at=None)

    verify_ledger()

    assert open_reviews() == []
