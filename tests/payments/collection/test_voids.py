"""Money that went away again at the provider: the books, the order, licences and sellers' shares follow it."""

from itertools import permutations

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import ConnectedAccount
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from marketplace.models import License
from payments.admin_actions import RefreshRefund
from payments.collection.payment_updates import apply_payment
from payments.hyperswitch.objects import parse_payment
from payments.ledger.postings import balances
from payments.models import Refund
from payments.refund_actions import MarkRefundExpected
from payments.refunds.external_refunds import mark_refund_expected
from payments.refunds.refund_requests import RefundExceedsPayment, send_refund
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
    two_sellers_order,
)
from tests.factories import OfferFactory
from tests.payments.voiding import BY_STAFF, deliver_action, open_items, sums_of
from tests.subscriptions.subscribing import activate, last_invoice, last_payment
from veza.backoffice.account_proof import account_faults
from veza.backoffice.proof import prove_payment
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand

pytestmark = pytest.mark.django_db
VOIDED = pytest.mark.parametrize("status", ["cancelled_post_capture", "failed"])


def send_transfers(sandbox, order) -> None:
    for transfer in order.transfers.all():
        account = sandbox.create_account()
        ConnectedAccount.objects.create(seller=transfer.seller, stripe_account_id=account, transfers_active=True)
    send_due()


def statuses(order) -> tuple[str, set[str], set[str]]:
    order.refresh_from_db()
    licenses = set(License.objects.filter(order=order).values_list("status", flat=True))
    return order.status, licenses, set(order.transfers.values_list("status", flat=True))


@VOIDED
def test_money_that_went_away_takes_licences_and_unsent_transfers_along(order, status):
    assert deliver_payment(payment_of(order), status=status).json() == {"result": "ok"}

    assert statuses(order) == ("refunded", {"revoked"}, {"cancelled"})
    assert sums_of(order) == ("cancelled", 18_00, 18_00)
    assert not any(balances().values())
    assert open_items() == {("payment_voided", 18_00)}
    assert prove_payment(payment_of(order)).is_balanced


@VOIDED
def test_money_that_went_away_is_reversed_from_sellers_who_have_it(sandbox, order, status):
    send_transfers(sandbox, order)

    deliver_payment(payment_of(order), status=status)
    process_due()

    assert statuses(order) == ("refunded", {"revoked"}, {"reversed"})
    assert not any(balances().values())
    assert prove_payment(payment_of(order)).is_balanced


def test_a_part_that_went_away_is_like_a_partial_refund(order):
    deliver_payment(payment_of(order), amount_received=12_00)

    assert statuses(order) == ("completed", {"active"}, {"pending"})
    assert sums_of(order) == ("succeeded", 18_00, 6_00)
    assert sum(order.transfers.values_list("amount_minor", flat=True)) == 9_00
    assert open_items() == {("payment_voided", 6_00)}
    assert prove_payment(payment_of(order)).is_balanced


@VOIDED
def test_money_that_is_there_again_gives_everything_back(sandbox, order, status):
    send_transfers(sandbox, order)
    deliver_payment(payment_of(order), status=status)
    process_due()

    deliver_payment(payment_of(order))
    send_due()

    assert statuses(order) == ("completed", {"active"}, {"reversed", "completed"})
    assert (sums_of(order), open_items()) == (("succeeded", 18_00, 0), set())
    assert Refund.objects.get().status == "bounced"
    assert prove_payment(payment_of(order)).is_balanced


def test_a_part_that_is_there_again_leaves_the_rest_voided(order):
    deliver_payment(payment_of(order), status="failed")

    deliver_payment(payment_of(order), amount_received=12_00)

    assert statuses(order)[:2] == ("completed", {"active"})
    assert sums_of(order) == ("succeeded", 18_00, 6_00)
    assert open_items() == {("payment_voided", 6_00)}
    assert prove_payment(payment_of(order)).is_balanced


@VOIDED
def test_a_void_twice_over_and_after_a_late_success_is_one_void(order, status):
    void = payment_object(payment_of(order), status=status, updated=ago(seconds=-2))
    late = payment_object(payment_of(order), updated=ago(seconds=-1))
    raw = envelope(f"payment_{status}", void)

    results = [deliver(one).json()["result"] for one in (raw, raw, envelope("payment_succeeded", late))]
    results.append(deliver(envelope(f"payment_{status}", void)).json()["result"])

    assert results == ["ok", "skipped: duplicate", "skipped: stale", "skipped: stale"]
    assert (sums_of(order), Refund.objects.count()) == (("cancelled", 18_00, 18_00), 1)


def test_a_failure_of_an_earlier_attempt_that_comes_late_voids_nothing(order):
    deliver_payment(payment_of(order), updated=ago(seconds=-2))  # The same success, told again.

    failure = payment_object(payment_of(order), status="failed", updated=ago(seconds=-1))
    assert deliver(envelope("payment_failed", failure)).json() == {"result": "skipped: stale"}

    assert sums_of(order) == ("succeeded", 18_00, 0)


def test_a_void_before_the_success_it_voids_leaves_nothing_received(sandbox):
    order = two_sellers_order()
    deliver_payment(payment_of(order), status="cancelled_post_capture", updated=ago(seconds=1))

    deliver_payment(payment_of(order), updated=ago(seconds=2))

    order.refresh_from_db()
    assert (order.status, *sums_of(order)) == ("cancelled", "cancelled", 0, 0)


def test_a_failure_without_a_clock_is_read_before_it_voids_anything(order):
    deliver_payment(payment_of(order), status="failed", updated=None)

    payment = payment_of(order)
    assert sums_of(order) == ("succeeded", 18_00, 0)
    assert payment.is_in_doubt()
    assert payment.next_attempt_at is not None


def test_a_void_of_what_was_refunded_already_is_ours_to_recover(order):
    deliver_refund(refund_of(order, amount_minor=6_00))

    deliver_payment(payment_of(order), status="failed")

    assert sums_of(order) == ("cancelled", 18_00, 18_00)
    assert balances()["recoverable", "EUR"] == -6_00
    assert open_items() == {("payment_voided", 18_00), ("refund_exceeds_payment", 6_00)}
    assert prove_payment(payment_of(order)).is_balanced


def test_more_refunded_than_is_captured_is_explained_by_its_review_item(order):
    deliver_refund(refund_of(order, amount_minor=1_00))
    deliver_payment(payment_of(order), amount_received=1)

    assert balances()["psp_clearing", "EUR"] == 99
    assert ("refund_exceeds_payment", 99) in open_items()
    assert [*prove_payment(payment_of(order)).differences, *account_faults()] == []

    close_review_by_hand(case_id=ReviewItem.objects.get(kind="refund_exceeds_payment").pk, cause=BY_STAFF)
    assert [fault.amount_minor for fault in account_faults()] == [99]


def test_a_refund_that_the_bank_returns_after_a_void_pays_for_nothing(order):
    refund = refund_of(order, amount_minor=6_00)
    deliver_refund(refund)
    deliver_payment(payment_of(order), status="failed")

    deliver_refund(refund, status="failed")

    assert statuses(order) == ("refunded", {"revoked"}, {"cancelled"})
    assert balances()["recoverable", "EUR"] == 0
    assert prove_payment(payment_of(order)).is_balanced
    assert ("refund_exceeds_payment", 6_00) not in open_items()


def test_a_void_while_a_dispute_is_open_moves_the_disputed_funds(order):
    deliver_dispute(payment_of(order), "opened")

    deliver_payment(payment_of(order), status="failed")
    assert prove_payment(payment_of(order)).is_balanced

    deliver_dispute(payment_of(order), "won")
    assert statuses(order)[:2] == ("refunded", {"revoked"})
    assert prove_payment(payment_of(order)).is_balanced


def test_wrong_money_that_went_away_ends_its_mismatch_and_the_order(sandbox):
    order = order_of(OfferFactory())
    deliver_action(order, "partially_captured", amount_received=5_00)

    deliver_payment(payment_of(order), status="failed")

    order.refresh_from_db()
    assert (order.status, *sums_of(order)) == ("cancelled", "cancelled", 5_00, 5_00)
    assert open_items() == {("payment_voided", 5_00)}
    deliver_payment(payment_of(order))
    order.refresh_from_db()
    assert (order.status, *sums_of(order), open_items()) == ("completed", "succeeded", 12_00, 0, set())
    assert prove_payment(payment_of(order)).is_balanced


def test_too_much_that_becomes_the_price_fulfils_the_order(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), amount_received=15_00)

    assert paid(order).status == "completed"

    assert (sums_of(order), open_items()) == (("succeeded", 15_00, 3_00), {("payment_voided", 3_00)})
    assert balances()["unapplied", "EUR"] == 0
    assert prove_payment(payment_of(order)).is_balanced


def test_an_invoice_and_its_subscription_follow_a_void_and_its_end(sandbox):
    subscription = activate(sandbox, at=timezone.now())
    payment = last_payment(subscription)

    for status, expected in (("failed", ("expired", "refunded")), ("succeeded", ("active", "paid"))):
        deliver_payment(payment, status=status)
        subscription.refresh_from_db()
        assert (subscription.status, last_invoice(subscription).status) == expected
        assert prove_payment(payment).is_balanced


def test_a_void_is_never_sent_and_is_no_refund_of_the_ten(order):
    deliver_payment(payment_of(order), amount_received=12_00)
    void = Refund.objects.get()

    assert send_refund(void.pk, cause=BY_STAFF) is None
    assert not RefreshRefund().is_available(void)
    for amount in range(11, 0, -1):
        deliver_payment(payment_of(order), amount_received=amount * 1_00)

    with pytest.raises(RefundExceedsPayment):
        refund_of(order, amount_minor=1_01)
    assert refund_of(order, amount_minor=1_00).status == "pending"


def test_support_confirms_a_void_and_its_item_closes(order):
    deliver_payment(payment_of(order), status="failed")
    void = Refund.objects.get()
    assert MarkRefundExpected().is_available(void)

    mark_refund_expected(refund_id=void.pk, cause=BY_STAFF)

    assert open_items() == set()


def test_a_refund_under_way_and_a_void_end_in_the_same_books(order):
    refund = refund_of(order, amount_minor=6_00)
    deliver_payment(payment_of(order), amount_received=6_00)
    assert prove_payment(payment_of(order)).is_balanced

    deliver_refund(refund)

    assert statuses(order)[:2] == ("refunded", {"revoked"})
    assert sums_of(order) == ("succeeded", 18_00, 12_00)
    assert prove_payment(payment_of(order)).is_balanced


HOUR = "2026-08-12T{:02d}:00:00.000Z"


def reports(payment) -> list[dict]:
    """What Hyperswitch said, hour by hour: paid, voided, there again, more of it, a part of it."""
    said = [("succeeded", 18_00), ("cancelled_post_capture", None), ("succeeded", 18_00), ("succeeded", 25_00)]
    return [
        payment_object(payment, status=status, amount_received=amount, updated=HOUR.format(hour))
        for hour, (status, amount) in enumerate([*said, ("succeeded", 12_00)])
    ]


@pytest.mark.parametrize("first", range(5))
def test_reports_in_any_order_end_with_what_the_provider_holds(sandbox, first):
    order = two_sellers_order()
    snapshots = [parse_payment(one) for one in reports(payment_of(order))]
    for numbers in (one for one in permutations(range(5)) if one[0] == first):
        point = transaction.savepoint()
        for number in numbers:
            apply_payment(snapshots[number], cause=BY_STAFF, at=payment_of(order).created_at)
        payment = payment_of(order)
        assert payment.received_minor - payment.voided_minor() == 12_00, numbers
        assert prove_payment(payment).is_balanced, numbers
        transaction.savepoint_rollback(point)
