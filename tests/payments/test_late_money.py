"""Money that pays for nothing goes back by itself; when that comes to nothing, a person is told and sends it again."""

import pytest

from marketplace.models import License
from payments import tasks
from payments.models import Payment, Refund
from payments.refunds.refund_requests import RefundAlreadyRequested
from payments.reviews.automatic_refunds import NothingToReturn, retry_return_of_funds
from payments.reviews.mismatches import accept_received_amount
from tests.buying import (
    ago,
    deliver,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
)
from tests.factories import OfferFactory
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_STAFF = Cause("staff", actor="finance@example.com", reason="agreed with the buyer")


@pytest.fixture
def second(sandbox):
    """An order of an exclusive licence that was sold while its buyer paid: 12.00 wait to go back."""
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive)
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))
    return second


def open_cases() -> set[tuple[str, int]]:
    return set(ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor"))


def refused(sandbox, second) -> Refund:
    """The refund of late money, turned down by the provider when it was sent."""
    key = payment_of(second).provider_key
    sandbox.control(f"payments/{key}", status="cancelled", silent=True)
    tasks.resend()
    sandbox.control(f"payments/{key}", status="succeeded", silent=True)
    return Refund.objects.get(status="failed")


def sent_again(second) -> Refund:
    return retry_return_of_funds(refund_id=new_id(), payment_id=payment_of(second).pk, reason="The bank is back.")


def test_late_money_whose_refund_is_refused_when_sent_asks_a_person_with_the_providers_words(sandbox, second):
    refund = refused(sandbox, second)

    case = ReviewItem.objects.get()
    assert (case.kind, case.amount_minor, case.subject_id) == ("unapplied_funds", 12_00, refund.payment_id)
    assert refund.error_code in case.why
    assert refund.error_message in case.why


def test_late_money_whose_refund_answers_that_it_failed_asks_a_person(sandbox, second):
    sandbox.settings(refund_outcome="fail")
    tasks.resend()
    refund = Refund.objects.get()

    deliver_refund(refund, status="failed", error_code="54", error_message="No credit possible.")

    assert open_cases() == {("unapplied_funds", 12_00)}
    assert "54 No credit possible." in ReviewItem.objects.get().why


def test_a_buyers_refund_that_fails_is_no_case_since_the_buyer_sees_it(sandbox):
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

    assert open_cases() == set()


def test_the_case_closes_when_the_refund_succeeds_after_all(sandbox, second):
    refund = refused(sandbox, second)

    deliver_refund(refund)

    assert open_cases() == set()
    assert prove_payment(payment_of(second)).is_balanced


def test_a_person_sends_it_back_again_and_the_case_closes_when_that_has_succeeded(sandbox, second):
    refused(sandbox, second)

    again = sent_again(second)
    tasks.resend()
    assert open_cases() == {("unapplied_funds", 12_00)}
    deliver_refund(again)

    second.refresh_from_db()
    assert (second.status, open_cases()) == ("refunded", set())
    assert prove_payment(payment_of(second)).is_balanced


def test_what_is_on_its_way_back_is_not_sent_twice(sandbox, second):
    refused(sandbox, second)
    sent_again(second)

    with pytest.raises(RefundAlreadyRequested):
        sent_again(second)


def test_what_was_returned_is_not_sent_again(sandbox, second):
    deliver_refund(refused(sandbox, second))

    with pytest.raises(NothingToReturn):
        sent_again(second)


def test_a_second_failure_is_still_one_case_with_its_own_words(sandbox, second):
    refused(sandbox, second)
    again = sent_again(second)

    deliver_refund(again, status="failed", error_code="99", error_message="Closed.")

    [case] = ReviewItem.objects.filter(closed_at=None)
    assert "99 Closed." in case.why


def paid_too_much_for_what_is_gone(surplus_minor: int):
    """24.00 were asked for an exclusive licence that was sold meanwhile and another work; more came."""
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    deliver_payment(payment_of(second), amount_received=24_00 + surplus_minor)
    return second


def test_a_surplus_and_what_is_gone_go_back_in_one_refund(sandbox):
    order = paid_too_much_for_what_is_gone(surplus_minor=3_00)

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    order.refresh_from_db()
    assert (Refund.objects.get().amount_minor, order.status, open_cases()) == (15_00, "completed", set())
    assert prove_payment(payment_of(order)).is_balanced


def test_a_surplus_that_went_back_is_not_sent_again_when_a_later_doubt_is_accepted(sandbox):
    order = paid_too_much_for_what_is_gone(surplus_minor=3_00)
    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())
    deliver(envelope("action_required", payment_object(payment_of(order), status="review")))

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)

    assert Refund.objects.count() == 1


def test_money_too_old_to_refund_is_booked_and_a_person_is_asked(sandbox):
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    Payment.objects.filter(pk=payment_of(second).pk).update(created_at=ago(days=366))

    assert deliver_payment(payment_of(second)).json() == {"result": "ok"}

    second.refresh_from_db()
    assert (second.status, payment_of(second).received_minor) == ("completed", 24_00)
    assert open_cases() == {("unapplied_funds", 12_00)}
    assert "older than a year" in ReviewItem.objects.get().why


def test_a_free_licence_that_is_gone_leaves_no_order_waiting_for_a_refund(sandbox):
    free = OfferFactory(license="exclusive", price_minor=0)
    waits = order_of(free, OfferFactory())
    order_of(free)

    assert paid(waits).status == "completed"
    assert (License.objects.filter(order=waits).count(), Refund.objects.count()) == (1, 0)


def test_late_money_that_bounced_is_sent_again_and_its_case_closes(sandbox, second):
    refund = Refund.objects.get()
    deliver_refund(refund)
    deliver_refund(refund, status="failed")
    assert open_cases() == {("refund_returned", 12_00)}

    deliver_refund(sent_again(second))

    assert open_cases() == set()
    assert prove_payment(payment_of(second)).is_balanced
