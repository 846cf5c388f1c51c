"""A refund that Hyperswitch ends with another amount is booked as it is; what is missing can be refunded again."""

import pytest

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.models import License
from payments.ledger.postings import balances
from payments.models import Refund
from payments.reconciliation import refresh
from payments.refunds.external_refunds import NoRefundToConfirm, mark_refund_expected
from payments.reviews.conversions import enter_converted_amount
from tests.buying import (
    ago,
    deliver,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_object,
    refund_of,
)
from tests.factories import OfferFactory
from tests.subscriptions.subscribing import activate_by_webhook, last_invoice, last_payment, refund_invoice
from tests.subscriptions.subscribing import is_proved as is_subscription_proved
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_STAFF = Cause("staff", actor="finance@example.com", reason="the bank's fee")


def of_the_dear_item(order, amount_minor: int | None = None) -> Refund:
    return refund_of(order, item_ids=[order.items.get(net_minor=10_00).pk], amount_minor=amount_minor)


def outcome(order) -> tuple:
    """The order, its licences by price, and what went back by the payment's row."""
    order.refresh_from_db()
    assert prove_payment(payment_of(order)).differences == []
    rows = License.objects.filter(order=order).select_related("item")
    return order.status, {row.item.net_minor: str(row.status) for row in rows}, payment_of(order).refunded_minor


def open_items() -> set[tuple[str, int]]:
    return set(ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor"))


KEPT = {10_00: "active", 5_00: "active"}


def test_less_than_requested_is_booked_as_it_is(order):
    refund = of_the_dear_item(order)

    for _ in range(2):
        deliver_refund(refund, amount=9_00)

    refund.refresh_from_db()
    assert (refund.status, refund.amount_minor, refund.requested_minor) == ("succeeded", 9_00, 12_00)
    assert outcome(order) == ("completed", KEPT, 9_00)
    assert open_items() == {("refund_amount_differs", 3_00)}


def test_less_than_requested_is_taken_from_its_own_items(order):
    refund = of_the_dear_item(order)

    deliver_refund(refund, amount=9_00)

    line = refund.lines.get()
    assert (line.item.net_minor, line.seller_minor, line.fee_minor, line.tax_minor) == (10_00, 6_75, 75, 1_50)
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 6_75


def test_the_rest_can_be_refunded_again(order):
    deliver_refund(of_the_dear_item(order), amount=9_00)

    deliver_refund(of_the_dear_item(order))

    assert outcome(order) == ("completed", {10_00: "revoked", 5_00: "active"}, 12_00)


def test_more_than_requested_takes_what_no_refund_reserves(order):
    deliver_refund(of_the_dear_item(order), amount=15_00)

    assert outcome(order) == ("completed", {10_00: "revoked", 5_00: "active"}, 15_00)
    assert open_items() == {("refund_amount_differs", 3_00)}


def test_more_than_the_payment_has_is_recoverable(order):
    deliver_refund(refund_of(order), amount=20_00)

    assert outcome(order) == ("refunded", {10_00: "revoked", 5_00: "revoked"}, 20_00)
    assert balances()["recoverable", "EUR"] == -2_00
    assert open_items() == {("refund_amount_differs", 2_00), ("refund_exceeds_payment", 2_00)}


def test_a_pending_refund_of_another_amount_waits_for_its_end(order):
    refund = of_the_dear_item(order)

    deliver(envelope("refund_succeeded", refund_object(refund, status="pending", amount=9_00)))
    refund.refresh_from_db()
    assert (refund.status, refund.amount_minor, open_items()) == ("pending", 12_00, {("refund_in_doubt", 12_00)})

    deliver_refund(refund, amount=9_00)
    assert outcome(order) == ("completed", KEPT, 9_00)
    assert open_items() == {("refund_amount_differs", 3_00)}


def test_a_refund_that_fails_with_another_amount_just_fails(order):
    deliver_refund(of_the_dear_item(order), status="failed", amount=9_00)

    assert outcome(order) == ("completed", KEPT, 0)
    assert open_items() == set()


def test_a_success_of_nothing_is_a_failure(order):
    deliver_refund(of_the_dear_item(order), amount=0)

    assert outcome(order) == ("completed", KEPT, 0)
    assert Refund.objects.get().error_code == "nothing_refunded"


def test_a_read_books_another_amount_too(sandbox, order):
    refund = of_the_dear_item(order)
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", amount=9_00, silent=True)

    refresh.refresh_refund(refund.pk, cause=refresh.by_reconciler())

    assert outcome(order) == ("completed", KEPT, 9_00)


def test_a_newer_amount_of_a_succeeded_refund_is_posted_again(order):
    refund = of_the_dear_item(order)
    deliver_refund(refund, updated_at=ago(hours=1))

    deliver_refund(refund, amount=9_00)
    assert outcome(order) == ("completed", KEPT, 9_00)
    refund.refresh_from_db()
    deliver_refund(refund, amount=12_00)

    assert outcome(order) == ("completed", KEPT, 12_00)
    assert open_items() == set()


def test_an_older_amount_of_a_succeeded_refund_is_stale(order):
    refund = of_the_dear_item(order)
    deliver_refund(refund)

    assert deliver_refund(refund, amount=9_00, updated_at=ago(hours=1)).json() == {"result": "skipped: stale"}


def test_a_smaller_refund_that_the_bank_returns_gives_all_back(order):
    refund = of_the_dear_item(order)
    deliver_refund(refund, amount=9_00)
    refund.refresh_from_db()

    deliver_refund(refund, status="failed")

    assert outcome(order) == ("completed", KEPT, 0)
    assert open_items() == {("refund_returned", 9_00)}


def test_finance_confirms_the_amount(order):
    refund = of_the_dear_item(order)
    deliver_refund(refund, amount=9_00)

    mark_refund_expected(refund_id=refund.pk, cause=BY_STAFF)

    assert open_items() == set()
    with pytest.raises(NoRefundToConfirm):
        mark_refund_expected(refund_id=refund.pk, cause=BY_STAFF)


def test_less_of_unapplied_funds_leaves_the_rest_unapplied(sandbox):
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    deliver_payment(payment_of(second))

    deliver_refund(Refund.objects.get(), amount=9_00)

    assert outcome(second)[2] == 9_00
    assert balances()["unapplied", "EUR"] == 3_00


def test_an_invoice_is_refunded_by_what_really_went_back(sandbox):
    subscription = activate_by_webhook(sandbox)

    deliver_refund(refund_invoice(last_invoice(subscription)), amount=9_00)

    subscription.refresh_from_db()
    assert (subscription.status, last_payment(subscription).refunded_minor) == ("active", 9_00)
    assert is_subscription_proved(subscription)


def in_dollars(refund: Refund, **payload) -> None:
    deliver_refund(refund, amount=13_00, currency="USD", **payload)
    refund.refresh_from_db()


def convert(refund: Refund, amount_minor: int) -> None:
    enter_converted_amount(refund, amount_minor=amount_minor, cause=BY_STAFF)


@pytest.mark.parametrize("amounts", [[12_00], [1, 12_00]])
def test_licences_follow_what_was_requested_once_a_foreign_amount_is_known(order, amounts):
    refund = of_the_dear_item(order)
    in_dollars(refund)
    assert outcome(order)[1] == {10_00: "suspended", 5_00: "suspended"}

    for amount_minor in amounts:
        convert(refund, amount_minor)

    assert outcome(order) == ("completed", {10_00: "revoked", 5_00: "active"}, 12_00)
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 4_50


def test_a_foreign_amount_of_several_items_takes_of_each(order):
    refund = refund_of(order)
    in_dollars(refund)

    convert(refund, 1)
    convert(refund, 9_00)

    assert sorted(line.total_minor for line in refund.lines.all()) == [3_00, 6_00]
    assert outcome(order) == ("completed", KEPT, 9_00)


def test_a_foreign_refund_that_is_corrected_takes_its_own_items(order):
    refund = of_the_dear_item(order)
    in_dollars(refund, updated_at=ago(minutes=1))

    deliver_refund(refund, amount=12_00, currency="EUR")

    assert outcome(order) == ("completed", {10_00: "revoked", 5_00: "active"}, 12_00)
