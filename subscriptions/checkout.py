"""The checkout of a subscription: its unpaid invoice and the payment page where it is paid."""

from dataclasses import dataclass

from payments.collection.payment_requests import client_secret_of, send_now
from payments.models import Payment
from payments.states import PaymentStatus
from subscriptions.models import Subscription, SubscriptionInvoice
from veza.core.causes import Cause


@dataclass(frozen=True)
class Checkout:
    """A subscription, its unpaid invoice and the payment of it. Nothing to pay: no invoice and no payment."""

    subscription: Subscription
    invoice: SubscriptionInvoice | None = None
    payment: Payment | None = None
    client_secret: str = ""
    # The page on which a method is saved without a payment, and whether there will be one.
    setup_url: str = ""
    has_setup: bool = False

    @property
    def payment_url(self) -> str:
        """Where to pay; empty when there is nothing to pay, or while Hyperswitch has not answered yet."""
        is_payable = self.payment is not None and self.payment.status == PaymentStatus.PENDING
        return self.payment.payment_url if self.payment is not None and is_payable else self.setup_url


def open_checkout(
    subscription: Subscription, invoice: SubscriptionInvoice, payment: Payment, *, cause: Cause
) -> Checkout:
    """Create the payment's page at Hyperswitch, or read it. Without an answer it has no address yet."""
    assert payment.purpose_id == invoice.pk, "a checkout's payment is of its invoice"
    assert payment.currency == invoice.currency, "an invoice and its payment have one currency"
    if payment.status == PaymentStatus.CREATED:
        secret = send_now(payment.pk, cause=cause)
        payment.refresh_from_db()
        subscription.refresh_from_db()
        invoice.refresh_from_db()
    else:
        secret = client_secret_of(payment) if payment.status == PaymentStatus.PENDING else ""
    return Checkout(subscription, invoice, payment, secret)
