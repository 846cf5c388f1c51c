"""Collecting an unpaid renewal: when the saved method is charged again, and when only the subscriber can pay."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings

from payments.models import Payment
from subscriptions.chargebacks import are_charges_stopped
from subscriptions.declines import Decline, decline_of
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.periods import grace_ends_at, retry_due_at


def charges_of(invoice_id: UUID) -> list[Payment]:
    """The charges of the saved method for an invoice, oldest first."""
    return list(Payment.objects.of(Payment.Purpose.INVOICE, invoice_id).filter(off_session=True))


def charge_due_at(
    subscription: Subscription, invoice: SubscriptionInvoice, charges: Sequence[Payment], *, at: datetime
) -> datetime | None:
    """When the saved method is charged next for an unpaid invoice; None: only the subscriber can pay, on a page.

    Immediately the first time, and after the method has changed. A decline that is not soft is not tried again.
    """
    method_id = subscription.hyperswitch_payment_method_id
    if not method_id or are_charges_stopped(subscription):
        return None
    if not charges or charges[-1].payment_method_id != method_id:
        return at
    if decline_of(charges[-1]) != Decline.SOFT:
        return None
    since_at = subscription.past_due_since_at or max(at, invoice.period_start_at)
    return retry_due_at(invoice, failing_since_at=since_at, charges=len(charges))


def past_due_until(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> datetime:
    """When the sweep processes a past due subscription next: for the next charge, or at the end of the grace period."""
    return charge_due_at(subscription, invoice, charges_of(invoice.pk), at=at) or grace_ends_at(invoice)


def processing_ends_at(invoice: SubscriptionInvoice) -> datetime:
    """Until when the last period gives access while a bank works on the payment of its renewal."""
    return invoice.period_start_at + max(settings.SUBSCRIPTION_PROCESSING_GRACE, settings.SUBSCRIPTION_GRACE)
