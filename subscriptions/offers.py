"""What a person who owes something is offered: the payment page that works."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payments.collection.payment_requests import client_secret_of, send_now
from payments.models import Payment
from payments.states import PaymentStatus
from subscriptions.models import Subscription, SubscriptionInvoice
from veza.core.causes import Cause

# News of the last minute may still be on its way when a page ends.
PAGE_MARGIN = timedelta(minutes=5)
# A page about to end is no page to send somebody to.
TOO_SHORT = timedelta(minutes=1)


@dataclass(frozen=True)
class Offer:
    """A subscription, what it owes and where to pay that. Nothing is owed: no invoice and no payment."""

    subscription: Subscription
    invoice: SubscriptionInvoice | None = None
    payment: Payment | None = None
    client_secret: str = ""

    @property
    def payment_url(self) -> str:
        """Where to pay; empty when there is nothing to pay, or while the provider has not answered yet."""
        payable = self.payment is not None and self.payment.status == PaymentStatus.PENDING
        return self.payment.payment_url if self.payment is not None and payable else ""


def page_ends_at(payment: Payment) -> datetime:
    """When the provider stops letting anybody pay on the payment's page."""
    return (payment.first_sent_at or payment.created_at) + timedelta(seconds=payment.session_seconds)


def page_works(payment: Payment, *, at: datetime) -> bool:
    """Whether somebody sent to the payment's page now will find it open long enough to pay."""
    return not payment.off_session and at < page_ends_at(payment) - TOO_SHORT


def offer(subscription: Subscription, invoice: SubscriptionInvoice, payment: Payment, *, cause: Cause) -> Offer:
    """Make the payment's page at the provider, or read it, and offer it. Without an answer there is no address yet."""
    if payment.status == PaymentStatus.CREATED:
        secret = send_now(payment.pk, cause=cause)
        payment.refresh_from_db()
        subscription.refresh_from_db()
        invoice.refresh_from_db()
    else:
        secret = client_secret_of(payment) if payment.status == PaymentStatus.PENDING else ""
    return Offer(subscription, invoice, payment, secret)
