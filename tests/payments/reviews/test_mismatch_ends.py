"""What is promised counts as gone, and every payment of a wrong or unknown amount has an action that ends it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.models import License
from payments import tasks
from payments.admin_actions import AcceptReceivedAmount, EnterReceivedAmount, RefundMismatchInFull, RetryReturnOfFunds
from payments.ledger.postings import balances
from payments.models import Payment, Refund, WebhookDelivery
from payments.retry_policy import REPLAY_FOR
from payments.reviews.mismatches import NothingUnclaimed, TooLittleReceived, accept_received_amount, refund_in_full
from payments.reviews.missing_amounts import AmountNotApplicable, NoAmountMissing, enter_received_amount
from tests.buying import (
    ago,
    answer_dispute,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    order_of,
    paid,
    payment_of,
)
from tests.factories import OfferFactory
from tests.payments.voiding import BY_STAFF, at_provider, deliver_action, open_items, read, sums_of
from veza.backoffice.proof import prove_payment
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(sandbox):
    """12.00 with tax; the buyer pays, and nothing was heard of it."""
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)
    return order


def offered(order) -> set[str]:
    actions = (AcceptReceivedAmount(), RefundMismatchInFull(), EnterReceivedAmount())
    return {action.label for action in actions if action.is_available(payment_of(order))}


def test_what_is_on_its_way_back_cannot_be_accepted_as_well(order):
    deliver_payment(payment_of(order), amount_received=15_00)
    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)

    with pytest.raises(TooLittleReceived):
        accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)

    assert (License.objects.count(), offered(order)) == (0, set())


def test_the_rest_that_arrives_during_a_return_of_funds_fulfils_nothing(order):
    deliver_action(order, "partially_captured", amount_received=5_00)
    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)

    assert paid(order).status == "pending"
    deliver_refund(Refund.objects.get())

    assert (License.objects.count(), balances()["unapplied", "EUR"]) == (0, 7_00)
    assert offered(order) == {"Refund in full"}
    assert prove_payment(payment_of(order)).is_balanced


def test_the_price_can_be_accepted_when_what_was_promised_did_not_go_back(order):
    deliver_action(order, "partially_captured", amount_received=5_00)
    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    paid(order)
    deliver_refund(Refund.objects.get(), status="failed")

    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)

    order.refresh_from_db()
    assert (order.status, License.objects.count(), open_items()) == ("completed", 1, set())


@pytest.mark.parametrize(
    ("status", "amount", "actions"),
    [
        ("partially_captured", 5_00, {"Refund in full"}),
        ("conflicted", None, {"Refund in full"}),
        ("succeeded", 15_00, {"Accept received amount", "Refund in full"}),
    ],
)
def test_a_mismatch_names_the_actions_that_are_offered_and_no_other(order, status, amount, actions):
    deliver_action(order, status, amount_received=amount)

    assert offered(order) == actions
    named = ReviewItem.objects.get(kind="payment_mismatch").what_to_do
    assert {label for label in ("Accept received amount", "Refund in full") if f"“{label}”" in named} == actions


def test_a_mismatch_of_what_was_fulfilled_is_ended_by_accepting_it(order):
    paid(order)

    deliver_action(order, "review")

    assert offered(order) == {"Accept received amount"}
    assert "“Refund in full”" not in ReviewItem.objects.get(kind="payment_mismatch").what_to_do


def test_a_mismatch_that_is_lost_to_a_dispute_is_cancelled_with_its_order(order):
    deliver_action(order, "partially_captured", amount_received=5_00)

    deliver_dispute(payment_of(order), "lost", amount_minor=5_00)

    order.refresh_from_db()
    assert (sums_of(order), order.status, open_items()) == (("cancelled", 5_00, 0), "cancelled", set())
    assert prove_payment(payment_of(order)).is_balanced


def test_a_lost_mismatch_whose_money_comes_back_is_in_review_again(order):
    deliver_action(order, "partially_captured", amount_received=5_00)
    deliver_dispute(payment_of(order), "lost", amount_minor=5_00)

    answer_dispute(payment_of(order), "won", amount_minor=5_00)

    assert (sums_of(order), open_items()) == (("mismatched", 5_00, 0), {("payment_mismatch", 5_00)})
    assert offered(order) == {"Refund in full"}
    assert prove_payment(payment_of(order)).is_balanced


def test_what_a_dispute_holds_is_neither_refunded_nor_accepted(order):
    deliver_action(order, "succeeded", amount_received=15_00)
    deliver_dispute(payment_of(order), "opened", amount_minor=15_00)

    assert offered(order) == set()
    with pytest.raises(NothingUnclaimed, match="A dispute holds"):
        refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    with pytest.raises(TooLittleReceived):
        accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)


def test_what_a_lost_dispute_left_is_refunded_and_ends_the_mismatch(order):
    deliver_action(order, "partially_captured", amount_received=5_00)
    deliver_dispute(payment_of(order), "lost", amount_minor=2_00)
    assert offered(order) == {"Refund in full"}

    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get())

    assert (payment_of(order).status, payment_of(order).refunded_minor, open_items()) == ("cancelled", 3_00, set())
    assert prove_payment(payment_of(order)).is_balanced


def test_a_mismatch_that_is_lost_already_is_ended_by_its_action(order):
    deliver_action(order, "partially_captured", amount_received=5_00)
    deliver_dispute(payment_of(order), "lost", amount_minor=5_00)
    Payment.objects.update(status="mismatched")  # As older versions left it.
    assert offered(order) == {"Refund in full"}

    refund_in_full(payment_id=payment_of(order).pk, cause=BY_STAFF)

    assert (payment_of(order).status, Refund.objects.exists()) == ("cancelled", False)


def test_a_return_of_funds_that_a_dispute_holds_is_not_offered(order):
    deliver_action(order, "succeeded", amount_received=15_00)
    accept_received_amount(payment_id=payment_of(order).pk, cause=BY_STAFF)
    deliver_refund(Refund.objects.get(), status="failed")
    assert RetryReturnOfFunds().is_available(payment_of(order))

    deliver_dispute(payment_of(order), "opened", amount_minor=15_00)

    assert not RetryReturnOfFunds().is_available(payment_of(order))


def without_an_amount(sandbox, order) -> None:
    at_provider(sandbox, order, amount_received=None)
    deliver_payment(payment_of(order), amount_received=None)
    tasks.resend()
    Payment.objects.update(amount_missing_since=timezone.now() - timedelta(hours=1))


def test_a_success_without_an_amount_becomes_an_item_after_an_hour(sandbox, order):
    without_an_amount(sandbox, order)
    assert (open_items(), offered(order)) == (set(), set())

    read(order)

    assert open_items() == {("payment_amount_missing", 12_00)}
    assert offered(order) == {"Enter received amount"}
    assert payment_of(order).next_attempt_at is not None


@pytest.mark.parametrize(("amount", "end"), [(12_00, "completed"), (7_00, "pending")])
def test_finance_enters_the_amount_and_the_item_closes(sandbox, order, amount, end):
    without_an_amount(sandbox, order)
    read(order)

    enter_received_amount(payment_id=payment_of(order).pk, amount_minor=amount, cause=BY_STAFF)

    order.refresh_from_db()
    assert (order.status, payment_of(order).received_minor) == (end, amount)
    assert open_items() == (set() if end == "completed" else {("payment_mismatch", 7_00)})
    assert prove_payment(payment_of(order)).is_balanced


@pytest.mark.parametrize(("amount", "items"), [(12_00, set()), (7_00, {("payment_mismatch", 7_00)})])
def test_a_webhook_without_the_amount_is_settled_once_it_is_entered(sandbox, order, amount, items):
    without_an_amount(sandbox, order)
    long_ago = timezone.now() - REPLAY_FOR
    WebhookDelivery.objects.update(received_at=long_ago, next_attempt_at=long_ago)
    tasks.retry_deliveries()
    assert open_items() == {("payment_amount_missing", 12_00), ("delivery_unsettled", 0)}

    enter_received_amount(payment_id=payment_of(order).pk, amount_minor=amount, cause=BY_STAFF)
    tasks.retry_deliveries()

    assert (WebhookDelivery.objects.get().processing_result, open_items()) == ("skipped: stale", items)
    assert payment_of(order).amount_missing_since is None


def test_an_amount_that_hyperswitch_reports_wins_over_the_entered_one(sandbox, order):
    without_an_amount(sandbox, order)
    read(order)
    at_provider(sandbox, order, amount_received=12_00)

    enter_received_amount(payment_id=payment_of(order).pk, amount_minor=15_00, cause=BY_STAFF)

    assert (sums_of(order), open_items()) == (("succeeded", 12_00, 0), set())


def test_an_amount_is_entered_only_where_one_is_missing(sandbox, order):
    with pytest.raises(NoAmountMissing):
        enter_received_amount(payment_id=payment_of(order).pk, amount_minor=12_00, cause=BY_STAFF)

    without_an_amount(sandbox, order)
    read(order)
    sandbox.fault("status", payment_of(order).provider_key, method="GET", when="before", status=500)
    with pytest.raises(AmountNotApplicable):
        enter_received_amount(payment_id=payment_of(order).pk, amount_minor=12_00, cause=BY_STAFF)


def test_an_amount_that_is_booked_already_is_not_entered(sandbox, order):
    deliver_action(order, "partially_captured", amount_received=5_00, updated=ago(hours=2))
    at_provider(sandbox, order, status="succeeded", amount_received=None)
    deliver_payment(payment_of(order), amount_received=None)
    Payment.objects.update(amount_missing_since=timezone.now() - timedelta(hours=1))
    read(order)

    with pytest.raises(AmountNotApplicable, match="more than is booked"):
        enter_received_amount(payment_id=payment_of(order).pk, amount_minor=5_00, cause=BY_STAFF)
