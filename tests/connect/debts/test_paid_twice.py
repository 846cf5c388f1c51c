"""A debt that a later transfer paid and that was then reversed at Stripe too: the seller is paid again, once."""

import pytest

from connect.admin_actions import ReissueTransfer
from connect.models import ConnectedAccount, SellerTransfer
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import process_due
from connect.settlement.reissues import NothingToReissue, reissue_transfer
from connect.transfers.transfer_refresh import refresh_transfer
from connect.transfers.transfer_requests import send_due
from marketplace.models import Order
from payments.models import Refund
from tests.buying import ago, deliver_refund, order_of, paid, payment_of, refund_of
from tests.connect.builders import debt_of, fresh, reversed_at_stripe, send
from tests.connect.factories import BY_TEST, planned, refund
from tests.connect.proving import faults_of
from tests.connect.stripe_double import accepts_transfer, refuses, shows
from tests.factories import OfferFactory, ProductFactory
from veza.backoffice.account_proof import account_faults
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def debt(stripe, seller) -> SellerTransfer:
    """9.00 owed of one order, paid by the transfer of another one."""
    row = debt_of(stripe, seller, 9_00)
    send(planned(seller, amount_minor=9_00))
    assert fresh(row).offset_minor == 9_00
    return row


def reverse_externally(stripe, row: SellerTransfer, *amounts: int) -> None:
    stripe.will("read_transfer", shows(reversed_at_stripe(fresh(row), *amounts)))
    refresh_transfer(row.pk, cause=BY_TEST)


def reissue(row: SellerTransfer) -> int:
    return reissue_transfer(transfer_id=row.pk, cause=BY_TEST)


def kept(seller) -> int:
    """What the seller has in their account at Stripe once everything is sent."""
    rows = SellerTransfer.objects.filter(seller=seller).exclude(status="cancelled")
    return sum(row.sent_minor - row.reversed_minor for row in rows)


def faults(seller) -> list:
    orders = SellerTransfer.objects.filter(seller=seller).values_list("order_id", flat=True)
    return faults_of(*set(orders))


def test_what_paid_a_debt_twice_is_reissued_once(stripe, seller, debt):
    reverse_externally(stripe, debt, 9_00)
    assert [one.unsent_minor for one in balances_of(seller.pk)] == [9_00]

    assert (ReissueTransfer().is_available(fresh(debt)), reissue(debt)) == (True, 9_00)

    assert (kept(seller), faults(seller)) == (9_00, [])
    with pytest.raises(NothingToReissue):
        reissue(debt)


@pytest.fixture
def sold(sandbox, stripe) -> tuple[Order, Order]:
    """Two orders of one seller, each with 13.50 for them: the first was refunded and owed, the second paid that."""
    offer = OfferFactory(price_minor=15_00)
    ConnectedAccount.objects.create(
        seller=offer.product.seller, stripe_account_id="acct_1", transfers_active=True, country="DE"
    )
    first = paid(order_of(offer))
    stripe.will("create_transfer", accepts_transfer())
    send_due()
    deliver_refund(refund_of(first))
    stripe.will("create_reversal", refuses("balance_insufficient"))
    process_due()
    second = paid(order_of(OfferFactory(price_minor=15_00, product=ProductFactory(seller=offer.product.seller))))
    send_due()
    assert first.transfers.get().offset_minor == 13_50
    return first, second


@pytest.mark.parametrize("is_returned_first", [True, False])
def test_after_the_refund_was_returned_all_that_is_owed_is_paid(stripe, sold, is_returned_first):
    debt = sold[0].transfers.get()
    steps = [
        lambda: deliver_refund(Refund.objects.get(), status="failed", updated_at=ago(minutes=-1)),
        lambda: reverse_externally(stripe, debt, 13_50),
    ]
    for step in steps if is_returned_first else reversed(steps):
        step()

    assert reissue(debt) == 13_50
    stripe.will("create_transfer", accepts_transfer(), accepts_transfer())
    send_due()

    assert (kept(debt.seller), [one.unsent_minor for one in balances_of(debt.seller_id)]) == (27_00, [0])
    assert [fault for order in sold for fault in prove_payment(payment_of(order)).differences] == []
    assert (list(account_faults()), ReissueTransfer().is_available(fresh(debt))) == ([], False)


def test_a_mistake_and_a_debt_paid_twice_are_reissued_together(stripe, seller):
    row = send_with_debt(stripe, seller, owed=4_00)
    reverse_externally(stripe, row, 8_00)
    assert (fresh(row).reissuable_minor, fresh(row).external_reversed_minor) == (5_00, 8_00)

    assert reissue(row) == 8_00

    assert (kept(seller), faults(seller)) == (5_00 + 9_00, [])


def send_with_debt(stripe, seller, *, owed: int) -> SellerTransfer:
    """Of 9.00 sent, `owed` is refunded and withheld from a later transfer."""
    row = debt_of(stripe, seller, 9_00) if owed == 9_00 else planned(seller, amount_minor=9_00)
    stripe.will("create_transfer", accepts_transfer(), accepts_transfer())
    send(row)
    refund(row.order, seller, owed)
    SellerTransfer.objects.filter(pk=row.pk).update(waiting_for="debt")
    send(planned(seller, amount_minor=9_00))
    assert fresh(row).offset_minor == owed
    return row


def test_what_was_reissued_is_reversed_when_its_order_is_refunded(stripe, seller, debt):
    reverse_externally(stripe, debt, 9_00)
    reissue(debt)
    later = SellerTransfer.objects.exclude(order=debt.order).get(seq=1)

    refund(later.order, seller, 9_00)

    assert (kept(seller), faults(seller)) == (0, [])
