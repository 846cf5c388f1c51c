"""A refund that was not sent yet waits while its payment is in doubt, and is not sent when its money is gone."""

import pytest
from django.utils import timezone

from connect.transfers.transfer_requests import send_due
from payments import tasks
from payments.models import Dispute, Payment, Refund
from payments.reconciliation import refresh
from payments.refunds.refund_requests import PaymentInDoubt
from payments.reviews.conversions import enter_converted_amount
from tests.buying import (
    deliver,
    deliver_dispute,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_object,
    refund_of,
)
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, ProductFactory
from tests.payments.builders import BY_STAFF, RECONCILE, is_proved, make_due, make_older, open_kinds

pytestmark = pytest.mark.django_db
IN_USD = {"amount_minor": 19_50, "currency": "USD"}


def sent_refunds(sandbox) -> int:
    return sum((call["method"], call["path"]) == ("POST", "/refunds") for call in sandbox.calls())


@pytest.fixture
def unsent(sandbox, order, settings) -> Refund:
    """A refund of the whole order that could not be sent."""
    settings.HYPERSWITCH_ENABLED = False
    refund = refund_of(order)
    settings.HYPERSWITCH_ENABLED = True
    assert (refund.status, sent_refunds(sandbox)) == ("pending", 0)
    return refund


def resend(refund: Refund) -> Refund:
    make_due(Refund)
    tasks.resend()
    refund.refresh_from_db()
    return refund


def external_refund(payment: Payment, **payload) -> None:
    body = {"refund_id": "ref_there", "payment_id": payment.provider_key, "amount": 19_50, "currency": "USD"}
    assert deliver(envelope("refund_succeeded", body | payload)).status_code == 200


def contradict(payment: Payment) -> None:
    Payment.objects.filter(pk=payment.pk).update(contradicted_at=timezone.now(), next_attempt_at=None)


IN_DOUBT = {
    "foreign dispute": lambda payment: deliver_dispute(payment, "opened", **IN_USD),
    "foreign refund": lambda payment: external_refund(payment, status="succeeded"),
    "pending foreign refund": lambda payment: external_refund(payment, status="pending"),
    "contradiction": contradict,
}


@pytest.mark.parametrize("doubt", IN_DOUBT)
def test_an_unsent_refund_waits_while_its_payment_is_in_doubt(sandbox, order, unsent, doubt):
    IN_DOUBT[doubt](payment_of(order))

    resend(unsent)

    assert (unsent.status, unsent.first_sent_at, sent_refunds(sandbox)) == ("pending", None, 0)
    assert unsent.next_attempt_at > timezone.now()


def test_it_is_sent_when_the_doubt_has_ended(sandbox, order, unsent):
    deliver_dispute(payment_of(order), "opened", **IN_USD)
    resend(unsent)
    deliver_dispute(payment_of(order), "won", **IN_USD)

    resend(unsent)

    assert (unsent.first_sent_at is not None, sent_refunds(sandbox)) == (True, 1)


def test_it_fails_unsent_when_its_money_turns_out_to_be_gone(sandbox, order, unsent):
    deliver_dispute(payment_of(order), "lost", **IN_USD)
    resend(unsent)
    enter_converted_amount(Dispute.objects.get(), amount_minor=1_00, cause=BY_STAFF)

    resend(unsent)

    order.refresh_from_db()
    assert (unsent.status, unsent.error_code, order.status) == ("failed", "refund_exceeds_payment", "completed")
    assert (sent_refunds(sandbox), is_proved(order)) == (0, True)
    refund_of(order, amount_minor=17_00)
    assert sent_refunds(sandbox) == 1


def test_a_dispute_in_the_payments_currency_takes_it_too(sandbox, order, unsent):
    deliver_dispute(payment_of(order), "opened")

    assert (resend(unsent).status, sent_refunds(sandbox)) == ("failed", 0)


def of_unapplied_funds(sandbox) -> Refund:
    """An automatic refund that was sent, and not answered."""
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    paid(second)
    sandbox.fault("status", "^/refunds$", method="POST", status=503)
    refund = Refund.objects.get()
    resend(refund)
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", None)
    assert refund.first_sent_at is not None
    return refund


def test_an_unanswered_refund_is_read_and_not_sent_again_in_doubt(sandbox):
    refund = of_unapplied_funds(sandbox)
    deliver_dispute(refund.payment, "opened", **IN_USD)
    before = sent_refunds(sandbox)

    resend(refund)
    make_older(Refund, hours=2)
    result = refresh.refresh_refund(refund.pk, cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, sent_refunds(sandbox), result) == ("pending", before, "waits: payment in doubt")
    assert refund.next_attempt_at > timezone.now()


def test_an_orphan_whose_money_is_gone_fails(sandbox):
    refund = of_unapplied_funds(sandbox)
    deliver_dispute(refund.payment, "lost")
    before = sent_refunds(sandbox)

    resend(refund)
    make_older(Refund, hours=2)
    refresh.refresh_refund(refund.pk, cause=RECONCILE)

    refund.refresh_from_db()
    assert (refund.status, sent_refunds(sandbox), "unapplied_funds" in open_kinds()) == ("failed", before, True)


@pytest.fixture
def sold(sandbox):
    """A paid order of one item; its seller can receive transfers."""
    seller = make_seller(stripe_account_id=sandbox.create_account())
    order = paid(order_of(OfferFactory(product=ProductFactory(seller=seller))))
    sandbox.pay(payment_of(order).provider_key)
    return order


def transfer_after_sending(order) -> tuple[str, str]:
    send_due()
    transfer = order.transfers.get()
    return transfer.status, transfer.waiting_for


def test_a_pending_foreign_refund_holds_transfers_and_refunds(sold):
    external_refund(payment_of(sold), status="pending")

    assert transfer_after_sending(sold) == ("pending", "payment")
    with pytest.raises(PaymentInDoubt):
        refund_of(sold)


def test_a_pending_foreign_refund_leaves_the_licence(sold):
    external_refund(payment_of(sold), status="pending")

    assert set(sold.licenses.values_list("status", flat=True)) == {"active"}


def test_transfers_leave_when_the_foreign_refund_fails(sold):
    external_refund(payment_of(sold), status="pending")
    send_due()

    external_refund(payment_of(sold), status="failed")

    assert transfer_after_sending(sold) == ("completed", "")


def test_a_refund_of_ours_pending_in_another_currency_holds_transfers(sold):
    refund = refund_of(sold, amount_minor=2_00)
    deliver(envelope("refund_succeeded", refund_object(refund, status="pending", currency="USD")))
    assert transfer_after_sending(sold) == ("pending", "payment")

    deliver_refund(refund)
    assert transfer_after_sending(sold) == ("completed", "")
