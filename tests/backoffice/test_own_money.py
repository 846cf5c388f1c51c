"""Staff decide about the money of others: whoever bought, subscribed or sold leaves it to a colleague."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from connect.debts.write_offs import write_off
from connect.maturity import set_payout_after
from connect.models import PayoutTerms
from connect.settlement.reissues import reissue_transfer
from marketplace.bank_refunds import BankTransfer, refund_from_bank
from payments.models import Payment, Refund
from payments.reviews.bank_refunds import book_bank_return_of_funds
from payments.reviews.conversions import enter_converted_amount
from payments.reviews.mismatches import accept_received_amount
from payments.reviews.missing_amounts import enter_received_amount
from payments.reviews.write_offs import write_off_shortfall
from subscriptions import refunds as invoice_refunds
from tests.buying import deliver_payment, order_of, paid, payment_of, refund_of, two_sellers_order
from tests.connect.factories import completed
from tests.factories import OfferFactory
from tests.restricting import by
from tests.subscriptions.subscribing import activate_by_webhook
from veza.core.accounts import OwnAccount
from veza.core.causes import Cause
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def mismatched() -> Payment:
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), amount_received=99_00)
    return payment_of(order)


OF_PAYMENT: dict[str, Callable[[Payment, Cause], object]] = {
    "enter a received amount": lambda payment, cause: enter_received_amount(
        payment_id=payment.pk, amount_minor=1, cause=cause
    ),
    "book a return of funds": lambda payment, cause: book_bank_return_of_funds(
        refund_id=new_id(), payment_id=payment.pk, bank_reference="TRF-1", booked_by_id=payment.payer_id, cause=cause
    ),
    "book a bank refund": lambda payment, cause: refund_from_bank(
        refund_id=new_id(),
        order_id=payment.purpose_id,
        bank_transfer=BankTransfer("TRF-1", 18_00, []),
        booked_by_id=payment.payer_id,
        cause=cause,
    ),
    "enter a converted amount": lambda payment, cause: enter_converted_amount(
        payment.refunds.get(), amount_minor=1, cause=cause
    ),
    "write off a shortfall": lambda payment, cause: write_off_shortfall(payment.refunds.get(), cause=cause),
}


@pytest.mark.parametrize("decide", OF_PAYMENT.values(), ids=OF_PAYMENT.keys())
def test_staff_who_bought_decide_nothing_about_their_payment(sandbox, decide):
    order = paid(two_sellers_order())
    if decide is not OF_PAYMENT["book a bank refund"]:
        refund_of(order)

    with pytest.raises(OwnAccount, match="ask a colleague"):
        decide(payment_of(order), by(order.buyer))


def test_staff_who_bought_do_not_accept_what_they_paid(sandbox):
    payment = mismatched()

    with pytest.raises(OwnAccount):
        accept_received_amount(payment_id=payment.pk, cause=by(payment.payer))

    assert Payment.objects.get().status == "mismatched"


def test_staff_do_not_refund_an_invoice_of_their_own(sandbox):
    invoice = activate_by_webhook(sandbox).invoices.get()
    subscriber = invoice.subscription.user
    params = {"refund_id": new_id(), "invoice_id": invoice.pk, "cause": by(subscriber)}

    with pytest.raises(OwnAccount):
        invoice_refunds.request_refund(**params, amount_minor=None, reason="No.", requested_by_id=subscriber.pk)
    with pytest.raises(OwnAccount):
        invoice_refunds.refund_from_bank(
            **params, amount_minor=12_00, bank_reference="TRF-1", booked_by_id=subscriber.pk
        )

    assert not Refund.objects.exists()


def test_staff_who_sell_decide_nothing_about_what_they_owe_or_are_paid():
    transfer = completed()
    cause = by(transfer.seller)

    with pytest.raises(OwnAccount):
        write_off(transfer_id=transfer.pk, cause=cause)
    with pytest.raises(OwnAccount):
        reissue_transfer(transfer_id=transfer.pk, cause=cause)
    with pytest.raises(OwnAccount):
        set_payout_after(seller_id=transfer.seller_id, payout_after=timedelta(0), cause=cause)

    assert not PayoutTerms.objects.exists()
