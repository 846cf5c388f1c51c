"""A refund's three phases: opened as pending, sent, and posted when the provider reports."""

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer
from marketplace.allocation import shares_at_sale
from marketplace.models import License
from marketplace.purchases import complete_order
from marketplace.refunds import OrderNotRefundable, PaymentMissing, RefundWindowExpired, create_refund_lines
from payments.models import Posting, Refund
from payments.refunds.refund_requests import RefundAlreadyRequested
from tests.buying import (
    BY_BUYER,
    ago,
    deliver_refund,
    order_of,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.proof import prove_payment
from veza.core.errors import NotFound
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def test_a_refund_opens_pending_and_leaves_the_licenses_alone(order):
    refund = refund_of(order)

    order.refresh_from_db()
    assert (refund.status, order.status) == ("pending", "refund_pending")
    assert License.objects.filter(order=order, status="active").count() == 2


def test_a_synchronous_success_still_waits_for_the_webhook(sandbox, order):
    sandbox.settings(refund_outcome="succeed_at_once")

    refund = refund_of(order)

    refund.refresh_from_db()
    assert refund.status == "pending"


def test_the_refunds_idempotency_key_is_its_own_id(sandbox, order):
    refund = refund_of(order)

    calls = [call for call in sandbox.calls() if call["path"] == "/refunds"]
    assert [call["idempotency_key"] for call in calls] == [str(refund.pk)]


def test_a_refusal_fails_the_refund_and_rolls_the_order_back(sandbox, order):
    sandbox.control(f"payments/{payment_of(order).provider_key}", status="cancelled", silent=True)

    refund = refund_of(order)

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, refund.error_code, order.status) == ("failed", "IR_14", "completed")
    assert License.objects.filter(order=order, status="active").count() == 2


@pytest.mark.parametrize("status", [500, 502, 409, 429])
def test_an_unknown_outcome_does_not_roll_the_order_back(sandbox, order, status):
    sandbox.fault("status", "^/refunds$", method="POST", when="after", status=status)

    refund = refund_of(order)

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, order.status) == ("pending", "refund_pending")


def test_a_second_request_while_one_is_pending_is_refused(order):
    refund_of(order)

    with pytest.raises(RefundAlreadyRequested, match="already in progress"):
        refund_of(order)

    assert Refund.objects.count() == 1


def test_requesting_again_with_the_same_id_returns_the_first_refund(order):
    refund_id = new_id()

    for _ in range(2):
        refund_of(order, refund_id=refund_id)

    assert Refund.objects.get().pk == refund_id


def test_requesting_again_with_the_same_id_sends_the_refund_once(sandbox, order):
    refund_id = new_id()

    for _ in range(2):
        refund_of(order, refund_id=refund_id)

    assert [call["path"] for call in sandbox.calls()].count("/refunds") == 1


def test_a_refund_webhook_updates_everything_in_one_commit(order):
    refund = refund_of(order)

    assert deliver_refund(refund).status_code == 200

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, order.status) == ("succeeded", "refunded")
    assert not License.objects.filter(order=order, status="active").exists()
    assert {transfer.status for transfer in SellerTransfer.objects.filter(order=order)} == {"cancelled"}
    proof = prove_payment(payment_of(order))
    assert proof.is_balanced
    assert {term.label: term.booked_minor for term in proof.terms}["refunded"] == 18_00


def test_a_failing_reaction_rolls_the_whole_refund_back(order, monkeypatch):
    refund = refund_of(order)
    monkeypatch.setattr("marketplace.licenses.move", lambda *a, **k: 1 / 0)

    assert deliver_refund(refund).status_code == 500

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, order.status) == ("pending", "refund_pending")
    assert not Posting.objects.filter(kind="refund").exists()


def test_a_replay_leaves_succeeded_at_untouched(order):
    refund = refund_of(order)
    deliver_refund(refund)
    refund.refresh_from_db()
    first = refund.succeeded_at

    assert deliver_refund(refund).json() == {"result": "skipped: stale"}

    refund.refresh_from_db()
    assert refund.succeeded_at == first


def test_a_failed_refund_restores_the_order_and_can_be_requested_again(order):
    refund = refund_of(order)

    deliver_refund(refund, status="failed", error_code="54", error_message="Not possible.")

    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.status, refund.error_message, order.status) == ("failed", "Not possible.", "completed")
    assert refund_of(order).status == "pending"


def test_a_refund_returned_by_the_bank_restores_all_and_opens_a_review(order):
    refund = refund_of(order)
    deliver_refund(refund)

    deliver_refund(refund, status="failed")

    order.refresh_from_db()
    assert order.status == "completed"
    assert License.objects.filter(order=order, status="active").count() == 2
    assert prove_payment(payment_of(order)).is_balanced
    assert ReviewItem.objects.get().kind == "refund_returned"


def test_a_success_older_than_a_failure_means_that_the_bank_returned_it(order):
    refund = refund_of(order)
    deliver_refund(refund, status="failed")

    deliver_refund(refund, updated_at=ago(hours=1))

    refund.refresh_from_db()
    assert refund.status == "bounced"
    assert not Posting.objects.filter(kind="refund").exists()
    assert ReviewItem.objects.get().kind == "refund_returned"


def test_an_unpaid_order_cannot_be_refunded(sandbox):
    with pytest.raises(OrderNotRefundable, match="this one is pending"):
        refund_of(two_sellers_order())


def test_a_completed_order_without_money_has_no_payment_to_refund(sandbox, order):
    payment = payment_of(order)
    type(payment).objects.filter(pk=payment.pk).update(received_minor=0)

    with pytest.raises(PaymentMissing):
        refund_of(order)


def test_a_free_order_has_nothing_to_refund(sandbox):
    with pytest.raises(OrderNotRefundable, match="Nothing was paid"):
        refund_of(order_of(OfferFactory(price_minor=0)))


def test_the_window_closes_at_the_orders_own_deadline(order):
    type(order).objects.filter(pk=order.pk).update(refund_deadline=ago(seconds=1))

    with pytest.raises(RefundWindowExpired):
        refund_of(order)


def test_another_persons_order_does_not_exist(order):
    with pytest.raises(NotFound):
        refund_of(order, requested_by=PersonFactory())


def test_lines_above_the_amount_of_a_refund_are_a_bug(order):
    refund = refund_of(order, amount_minor=1_00)

    with pytest.raises(AssertionError, match="never exceed its amount"), transaction.atomic():
        create_refund_lines(refund, shares_at_sale(order.items.all()))


def test_completing_a_priced_order_without_a_payment_is_a_bug(sandbox):
    order = two_sellers_order()

    with pytest.raises(AssertionError, match="completed by its payment"), transaction.atomic():
        complete_order(order, payment=None, cause=BY_BUYER, at=timezone.now())
