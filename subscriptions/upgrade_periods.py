"""How the period of a paid upgrade takes the place of the current one, and how that returns when it is refunded."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from payments.models import Payment
from payments.states import RefundStatus
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.periods import renewal_due_at
from subscriptions.states import ENTITLING, InvoiceStatus
from veza.core import writes


def is_quote_over(invoice: SubscriptionInvoice) -> bool:
    """Whether an upgrade was requested too long ago to be charged: its price is for the moment it was requested."""
    return timezone.now() >= invoice.created_at + settings.ORDER_SESSION


def upgraded_fields(subscription: Subscription, invoice: SubscriptionInvoice) -> dict[str, Any]:
    """What a paid upgrade changes besides plan and period: it ends a trial, a planned change and a cancellation.

    Its periods end on the day of the month that it began on.
    """
    fields: dict[str, Any] = {
        "next_plan": None,
        "cancel_at_period_end": False,
        "ending_refund": None,
        "anchor_day": invoice.period_start_at.day,
    }
    if subscription.trial_ends_at is not None and subscription.trial_ends_at > invoice.period_start_at:
        fields["trial_ends_at"] = invoice.period_start_at
    return fields


def undo_upgrade(subscription: Subscription, payment: Payment, *, at: datetime) -> None:
    """Give the subscription back the plan and the period that the upgrade paid by `payment` replaced.

    After a refund it ends with that period. After a lost dispute it renews when charges are resumed.
    """
    before = subscription.invoices.filter(status=InvoiceStatus.PAID).order_by("period_start_at").last()
    if before is None or before.period_start_at == subscription.period_start_at:
        return  # Another upgrade has followed it.
    refund = payment.refunds.filter(status=RefundStatus.SUCCEEDED).order_by("pk").last()
    ends: dict[str, Any] = {"cancel_at_period_end": True, "ending_refund": refund} if refund is not None else {}
    writes.update(
        subscription,
        plan=before.plan,
        next_plan=None,
        period_start_at=before.period_start_at,
        period_end_at=before.period_end_at,
        # One of the two days is the anchor; the other may be the last day of a shorter month.
        anchor_day=max(before.period_start_at.day, before.period_end_at.day),
        due_at=renewal_due_at(
            before.period_end_at, reminds=not ends, at=at, card_expires_on=subscription.method_expires_on
        ),
        **ends,
    )


def redo_upgrade(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> None:
    """Bring back the upgrade whose refund was returned, if its period still has some time and none has followed."""
    start_at = subscription.period_start_at
    is_behind = start_at is not None and start_at < invoice.period_start_at
    if subscription.status in ENTITLING and is_behind and at < invoice.period_end_at:
        expires_on = subscription.method_expires_on
        due_at = renewal_due_at(invoice.period_end_at, reminds=True, at=at, card_expires_on=expires_on)
        writes.update(
            subscription,
            plan=invoice.plan,
            period_start_at=invoice.period_start_at,
            period_end_at=invoice.period_end_at,
            due_at=due_at,
            **upgraded_fields(subscription, invoice),
        )


def renew_after_failed_refund(subscription: Subscription, *, at: datetime) -> None:
    """Let the subscription renew again if the refund for which it would not has failed, or its bank returned it."""
    refund = subscription.ending_refund
    if refund is None or refund.status not in (RefundStatus.FAILED, RefundStatus.BOUNCED):
        return
    fields: dict[str, Any] = {"cancel_at_period_end": False, "ending_refund": None}
    if subscription.status in ENTITLING and subscription.period_end_at is not None:
        fields["due_at"] = renewal_due_at(
            subscription.period_end_at, reminds=True, at=at, card_expires_on=subscription.method_expires_on
        )
    writes.update(subscription, **fields)
