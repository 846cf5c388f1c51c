"""External refunds beside our own: whichever arrives first, each takes its own items."""

import pytest

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.models import License, Order
from payments.ledger.postings import balances
from payments.models import Refund
from payments.refunds.external_refunds import NoRefundToConfirm, mark_refund_expected
from tests.buying import (
    deliver_payment,
    deliver_refund,
    order_of,
    paid,
    payment_of,
    refund_of,
)
from tests.factories import OfferFactory
from tests.marketplace.dashboard import refund_at_dashboard
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem
from veza.core.reviews import ReviewAlreadyClosed, close_review_by_hand

pytestmark = pytest.mark.django_db


def test_a_refund_is_marked_as_expected_once(sandbox):
    order = paid(order_of(OfferFactory()))
    refund_at_dashboard(order, 4_00)
    refund, first = Refund.objects.get(), Cause("staff", actor="first@example.com", reason="agreed")
    mark_refund_expected(refund_id=refund.pk, cause=first)
    item = ReviewItem.objects.get(kind="external_refund")

    with pytest.raises(NoRefundToConfirm):
        mark_refund_expected(refund_id=refund.pk, cause=first)
    with pytest.raises(ReviewAlreadyClosed, match=r"first@example\.com"):
        close_review_by_hand(case_id=item.pk, cause=Cause("staff", actor="second@example.com", reason="mine"))


def refund_dear_item(order: Order) -> Refund:
    """Our own pending refund of 12.00."""
    return refund_of(order, item_ids=[order.items.get(net_minor=10_00).pk])


def outcome_of(order: Order) -> dict:
    order.refresh_from_db()
    by_price = {item.pk: item.net_minor for item in order.items.all()}
    net_amounts = {row.seller.name: net_paid(row) for row in SellerTransfer.objects.filter(order=order)}
    assert prove_payment(payment_of(order)).differences == []
    return {
        "order": order.status,
        "licences": {by_price[row.item_id]: str(row.status) for row in License.objects.filter(order=order)},
        "net_paid": sum(net_amounts.values()),
        "recoverable": -balances().get(("recoverable", "EUR"), 0),
        "reviews": set(ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor")),
    }


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_an_external_refund_takes_items_that_are_not_reserved(order, first):
    ours = refund_dear_item(order)
    if first == "ours":
        deliver_refund(ours)
    refund_at_dashboard(order, 6_00)
    if first == "theirs":
        deliver_refund(ours)

    assert outcome_of(order) == {
        "order": "refunded",
        "licences": {10_00: "revoked", 5_00: "revoked"},
        "net_paid": 0,
        "recoverable": 0,
        "reviews": {("external_refund", 6_00)},
    }


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_refunds_beyond_the_payment_are_recoverable_with_one_review_item(order, first):
    ours = refund_dear_item(order)
    if first == "ours":
        deliver_refund(ours)
    refund_at_dashboard(order, 10_00)
    if first == "theirs":
        deliver_refund(ours)

    assert outcome_of(order) == {
        "order": "refunded",
        "licences": {10_00: "revoked", 5_00: "revoked"},
        "net_paid": 0,
        "recoverable": 4_00,
        "reviews": {("external_refund", 10_00), ("refund_exceeds_payment", 4_00)},
    }


def test_our_refund_is_cut_when_an_external_one_took_its_items(order):
    ours = refund_dear_item(order)
    refund_at_dashboard(order, 10_00)

    deliver_refund(ours)

    ours.refresh_from_db()
    assert sum(line.total_minor for line in ours.lines.all()) == 8_00
    assert ours.allocation["recoverable"] == 4_00
    assert ReviewItem.objects.get(kind="refund_exceeds_payment").subject_id == ours.pk


def test_money_returned_by_the_bank_is_taken_before_any_is_recoverable(order):
    cheap = refund_of(order, item_ids=[order.items.get(net_minor=5_00).pk])
    deliver_refund(cheap)
    ours = refund_dear_item(order)
    refund_at_dashboard(order, 4_00)
    deliver_refund(cheap, status="failed")

    deliver_refund(ours)

    assert outcome_of(order)["recoverable"] == 0
    assert payment_of(order).refunded_minor == 16_00


def test_overlapping_refunds_that_return_keep_the_ledger_balanced(order):
    ours = refund_dear_item(order)
    refund_at_dashboard(order, 10_00)
    deliver_refund(ours)

    refund_at_dashboard(order, 10_00, status="failed")
    assert prove_payment(payment_of(order)).differences == []
    deliver_refund(ours, status="failed")

    assert outcome_of(order)["order"] == "completed"
    assert outcome_of(order)["licences"] == {10_00: "active", 5_00: "active"}


@pytest.fixture
def partly_withheld_order(sandbox):
    """12.00 for an exclusive licence that another buyer got first, 12.00 for another work that was delivered."""
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))
    return second


def test_an_external_refund_of_unapplied_funds_charges_no_seller(partly_withheld_order):
    deliver_refund(Refund.objects.get(), status="failed")  # Ours failed, so finance refunds it at the dashboard.

    refund_at_dashboard(partly_withheld_order, 12_00)

    assert Refund.objects.get(source="external").allocation == {"unapplied": 12_00}
    assert (outcome_of(partly_withheld_order)["order"], outcome_of(partly_withheld_order)["net_paid"]) == (
        "completed",
        9_00,
    )
    assert set(License.objects.filter(order=partly_withheld_order).values_list("status", flat=True)) == {"active"}
    assert outcome_of(partly_withheld_order)["reviews"] == {("external_refund", 12_00)}


def test_an_external_refund_does_not_take_reserved_unapplied_funds(partly_withheld_order):
    refund_at_dashboard(partly_withheld_order, 5_00)
    deliver_refund(Refund.objects.get(source="late_payment"))

    assert "unapplied" not in Refund.objects.get(source="external").allocation
    assert outcome_of(partly_withheld_order)["recoverable"] == 0
