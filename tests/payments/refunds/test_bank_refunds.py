"""Refunds that finance paid from our bank account, because Hyperswitch cannot refund the payment any more."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer
from marketplace.bank_refunds import BankTransfer, refund_from_bank
from marketplace.models import License, Order
from marketplace.refunds import OrderNotRefundable
from payments.ledger.chart_of_accounts import BANK
from payments.ledger.postings import balances
from payments.ledger.statements import StatementLine, book_statement_line
from payments.models import Payment, Refund
from payments.refunds.bank_refunds import (
    BankTransferBooked,
    HyperswitchCanRefund,
    NotABankRefund,
    return_bank_refund,
)
from payments.refunds.refund_requests import (
    PaymentInDoubt,
    RefundAlreadyRequested,
    RefundExceedsPayment,
    RefundLimitReached,
)
from payments.reviews.bank_refunds import book_bank_return_of_funds, is_bank_return_possible
from tests.buying import deliver_dispute, deliver_refund, order_of, paid, payment_of, refund_of
from tests.emails import composed
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.proof import prove_payment
from veza.backoffice.verification import faults_of_ledger
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import Email, ReviewItem, User

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("user", actor="finance", reason="The card was closed.")


def support() -> User:
    return PersonFactory(is_staff=True, is_superuser=True)


def faults() -> list[str]:
    return [str(fault) for _, fault in faults_of_ledger()]


def old(order: Order) -> Order:
    """The order after a year: Hyperswitch refunds its payment no more."""
    Payment.objects.filter(purpose_id=order.pk).update(created_at=timezone.now() - timedelta(days=366))
    return order


def paid_in_vain() -> Order:
    """An order of 12.00 for an exclusive licence that another buyer got first: its money goes back by itself."""
    offer = OfferFactory(license="exclusive")
    first, second = order_of(offer), order_of(offer)
    paid(first)
    return paid(second)


def refund_by_bank(order: Order, amount_minor: int, *, reference: str = "TRF-1", refund_id=None, items=None) -> Refund:
    item_ids = items or [item.pk for item in order.items.all()]
    return refund_from_bank(
        refund_id=refund_id or new_id(),
        order_id=order.pk,
        bank_transfer=BankTransfer(reference, amount_minor, item_ids),
        booked_by_id=PersonFactory(is_staff=True).pk,
        cause=BY_FINANCE,
    )


def test_a_bank_refund_of_everything_takes_licenses_and_shares(order):
    old(order)

    refund = refund_by_bank(order, order.total_minor)

    order.refresh_from_db()
    assert (refund.status, refund.source, order.status) == ("succeeded", "bank", "refunded")
    assert not License.objects.filter(order=order, status="active").exists()
    assert set(SellerTransfer.objects.filter(order=order).values_list("status", flat=True)) == {"cancelled"}


def test_a_bank_refund_is_paid_from_our_bank_and_proves(order):
    old(order)

    refund_by_bank(order, order.total_minor)

    assert balances()[BANK, "EUR"] == order.total_minor
    assert prove_payment(payment_of(order)).is_balanced
    assert faults() == []


def test_a_bank_refund_of_one_item_keeps_the_other(order):
    item = order.items.get(net_minor=10_00)

    refund_by_bank(old(order), 12_00, items=[item.pk])

    order.refresh_from_db()
    assert order.status == "completed"
    assert list(License.objects.filter(order=order, status="active").values_list("item", flat=True)) == [
        order.items.get(net_minor=5_00).pk
    ]


def test_while_hyperswitch_can_refund_none_is_booked(order):
    with pytest.raises(HyperswitchCanRefund):
        refund_by_bank(order, 1_00)

    assert not Refund.objects.exists()


def test_the_eleventh_refund_is_paid_from_our_bank(order):
    for _ in range(10):
        deliver_refund(refund_of(order, requested_by=support(), amount_minor=10))
    with pytest.raises(RefundLimitReached, match="bank refund"):
        refund_of(order, requested_by=support())

    assert refund_by_bank(order, order.total_minor - 1_00).status == "succeeded"
    assert prove_payment(payment_of(order)).is_balanced


def test_bank_refunds_take_none_of_hyperswitchs_ten(order):
    returned = refund_of(order)
    deliver_refund(returned)
    deliver_refund(returned, status="failed")

    for number in range(10):
        refund_by_bank(order, 10, reference=f"TRF-{number}")

    assert refund_of(order).status == "pending"


def test_after_a_returned_refund_the_buyer_is_paid_from_our_bank(order):
    refund = refund_of(order)
    deliver_refund(refund)
    deliver_refund(refund, status="failed")

    refund_by_bank(order, order.total_minor)

    order.refresh_from_db()
    assert order.status == "refunded"
    assert not ReviewItem.objects.filter(kind="refund_returned", closed_at__isnull=True).exists()
    assert prove_payment(payment_of(order)).is_balanced


def test_none_is_booked_while_a_refund_is_pending(order):
    refund_of(order)
    old(order)

    with pytest.raises((RefundAlreadyRequested, OrderNotRefundable)):
        refund_by_bank(order, 1_00)

    assert not Refund.objects.filter(source="bank").exists()


def test_none_is_booked_while_the_payment_is_in_doubt(order):
    old(order)
    deliver_dispute(payment_of(order), "opened", amount_minor=19_50, currency="USD")

    with pytest.raises(PaymentInDoubt):
        refund_by_bank(order, 1_00)


def test_a_bank_refund_of_more_than_is_left_is_refused(order):
    old(order)

    with pytest.raises(RefundExceedsPayment, match=r"18\.00 EUR"):
        refund_by_bank(order, order.total_minor + 1)


def test_one_bank_transfer_is_booked_once(order):
    old(order)
    refund_by_bank(order, 1_00, reference="TRF-1")

    with pytest.raises(BankTransferBooked):
        refund_by_bank(order, 1_00, reference=" TRF-1 ")

    assert payment_of(order).refunded_minor == 1_00


def test_the_same_request_again_returns_the_first(order):
    refund_id = new_id()
    old(order)

    first, second = (refund_by_bank(order, 1_00, refund_id=refund_id) for _ in range(2))

    assert first.pk == second.pk
    assert payment_of(order).refunded_minor == 1_00


def test_a_bank_refund_that_came_back_is_booked_back(order):
    refund = refund_by_bank(old(order), order.total_minor)

    for _ in range(2):
        return_bank_refund(refund_id=refund.pk, cause=BY_FINANCE)

    order.refresh_from_db()
    assert order.status == "completed"
    assert balances()[BANK, "EUR"] == 0
    assert ReviewItem.objects.filter(kind="refund_returned", closed_at__isnull=True).count() == 1
    assert prove_payment(payment_of(order)).is_balanced


def test_hyperswitch_alone_returns_its_own_refunds(order):
    refund = refund_of(order)

    with pytest.raises(NotABankRefund):
        return_bank_refund(refund_id=refund.pk, cause=BY_FINANCE)


def test_the_buyer_is_told_of_a_bank_transfer_once(order):
    refund = refund_by_bank(old(order), order.total_minor)

    (email,) = Email.objects.filter(subject_id=refund.pk)
    assert email.message == "order_refund_sent"
    assert "We have sent you the money by bank transfer." in composed(email).text


def return_by_bank(payment: Payment, *, refund_id=None) -> Refund:
    return book_bank_return_of_funds(
        refund_id=refund_id or new_id(),
        payment_id=payment.pk,
        bank_reference="TRF-7",
        booked_by_id=support().pk,
        cause=BY_FINANCE,
    )


def test_unapplied_funds_on_their_way_back_are_not_paid_from_our_bank_too(sandbox):
    order = old(paid_in_vain())

    with pytest.raises(RefundAlreadyRequested):
        return_by_bank(payment_of(order))


def test_a_bank_return_under_the_same_id_is_booked_once(sandbox):
    order = old(paid_in_vain())
    Refund.objects.update(status="failed")
    refund_id = new_id()

    first, second = (return_by_bank(payment_of(order), refund_id=refund_id) for _ in range(2))

    assert first == second
    assert balances()[BANK, "EUR"] == 12_00


def test_unapplied_funds_that_came_back_are_paid_from_our_bank(sandbox):
    order = paid_in_vain()
    returned = Refund.objects.get()
    deliver_refund(returned)
    deliver_refund(returned, status="failed")

    return_by_bank(returned.payment)

    assert balances()[BANK, "EUR"] == 12_00
    assert prove_payment(payment_of(order)).is_balanced
    assert not ReviewItem.objects.filter(closed_at__isnull=True).exists()


def test_unapplied_funds_that_hyperswitch_can_return_stay_there(sandbox):
    order = paid_in_vain()

    assert not is_bank_return_possible(payment_of(order))


def test_a_settlement_and_a_bank_refund_balance_our_bank_account(order):
    book_statement_line(StatementLine("s-1", "settlement", 18_00, "EUR", timezone.now()))
    refund_by_bank(old(order), order.total_minor)

    assert faults() == []


def test_more_paid_than_our_bank_account_had_is_a_difference(order):
    book_statement_line(StatementLine("s-1", "settlement", 17_00, "EUR", timezone.now()))
    refund_by_bank(old(order), order.total_minor)

    assert any("account bank stands at" in fault for fault in faults())
