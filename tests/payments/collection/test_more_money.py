"""More money for a payment that is settled: booked, never ignored, and returned by an action that is offered."""

import pytest

from marketplace.models import License
from payments import tasks
from payments.admin_actions import RetryReturnOfFunds
from payments.ledger.postings import balances
from payments.models import Posting, Refund
from payments.reviews.automatic_refunds import retry_return_of_funds
from payments.reviews.mismatches import accept_received_amount
from tests.buying import (
    ago,
    deliver,
    deliver_dispute,
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
from tests.payments.voiding import BY_STAFF, at_provider, deliver_action, open_items, read, sums_of
from tests.subscriptions.subscribing import activate, last_payment
from veza.backoffice.proof import prove_payment
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(sandbox):
    """12.00 with tax, paid."""
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)
    return paid(order)


def test_more_money_for_a_settled_payment_is_booked_as_a_surplus(order):
    assert deliver_payment(payment_of(order), amount_received=19_00).json() == {"result": "ok"}

    order.refresh_from_db()
    assert (order.status, *sums_of(order)) == ("completed", "succeeded", 19_00, 0)
    assert balances()["unapplied", "EUR"] == 7_00
    assert Posting.objects.filter(kind="received").count() == 2
    assert open_items() == {("unapplied_funds", 7_00)}
    assert prove_payment(payment_of(order)).is_balanced


def test_more_money_while_a_refund_is_under_way_fulfils_nothing_again(order):
    refund_of(order, amount_minor=4_00)

    assert deliver_payment(payment_of(order), amount_received=19_00).json() == {"result": "ok"}

    order.refresh_from_db()
    assert (order.status, License.objects.count(), order.transfers.count()) == ("refund_pending", 1, 1)


def test_a_surplus_gives_sellers_back_what_a_lost_dispute_takes_of_it(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=4_00)

    deliver_payment(payment_of(order), amount_received=19_00)

    assert prove_payment(payment_of(order)).differences == []


def test_more_money_is_booked_when_it_is_only_read(sandbox, order):
    at_provider(sandbox, order, amount_received=19_00)

    for _ in range(2):
        read(order)

    assert sums_of(order) == ("succeeded", 19_00, 0)
    assert open_items() == {("unapplied_funds", 7_00)}


def test_the_surplus_goes_back_by_the_action_its_item_names(sandbox, order):
    at_provider(sandbox, order, amount_received=19_00)
    deliver_payment(payment_of(order), amount_received=19_00)
    assert RetryReturnOfFunds().is_available(payment_of(order))

    retry_return_of_funds(refund_id=new_id(), payment_id=payment_of(order).pk, reason="Paid too much.")
    tasks.resend()
    deliver_refund(Refund.objects.get())

    order.refresh_from_db()
    assert (order.status, License.objects.get().status, open_items()) == ("completed", "active", set())
    assert (Refund.objects.get().amount_minor, balances()["unapplied", "EUR"]) == (7_00, 0)
    assert prove_payment(payment_of(order)).is_balanced


def test_more_money_twice_over_late_and_out_of_order_ends_the_same(order):
    most = envelope("payment_succeeded", payment_object(payment_of(order), amount_received=19_00), event_id="evt_19")
    less = payment_object(payment_of(order), amount_received=15_00, updated=ago(seconds=-1))
    most_late = payment_object(payment_of(order), amount_received=19_00, updated=ago(seconds=-2))
    results = [deliver(envelope("payment_succeeded", one)).json()["result"] for one in (most_late, less)]

    assert results == ["ok", "skipped: stale"]
    assert [deliver(most).json()["result"] for _ in range(2)] == ["skipped: stale", "skipped: duplicate"]
    assert (sums_of(order), open_items()) == (("succeeded", 19_00, 0), {("unapplied_funds", 7_00)})


def test_money_that_arrives_in_three_parts_is_one_item_of_the_surplus(order):
    for amount in (15_00, 19_00):
        deliver_payment(payment_of(order), amount_received=amount)

    assert open_items() == {("unapplied_funds", 7_00)}


def test_more_money_of_a_payment_under_review_is_left_over_after_it(order):
    deliver_action(order, "review", amount_received=None)
    assert payment_of(order).status == "mismatched"

    deliver_payment(payment_of(order), amount_received=19_00)

    assert (sums_of(order), open_items()) == (("succeeded", 19_00, 0), {("unapplied_funds", 7_00)})


def test_more_money_for_a_paid_invoice_is_a_surplus_too(sandbox):
    subscription = activate(sandbox)
    payment = last_payment(subscription)

    deliver_payment(payment, amount_received=payment.amount_minor + 7_00)

    subscription.refresh_from_db()
    assert (subscription.status, open_items()) == ("active", {("unapplied_funds", 7_00)})
    assert prove_payment(payment).is_balanced


def test_money_that_is_captured_under_review_is_booked_and_can_be_accepted(sandbox):
    order = order_of(OfferFactory())
    deliver_action(order, "conflicted")
    assert (sums_of(order), open_items()) == (("mismatched", 12_00, 0), {("payment_mismatch", 12_00)})

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)

    order.refresh_from_db()
    assert (order.status, open_items()) == ("completed", set())
