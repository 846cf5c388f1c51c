"""The subscriptions' part of an order history: the subscription, its invoices, and the next steps."""

from uuid import UUID

from subscriptions.invoices import payable_invoice
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.prices import plan_at_renewal
from subscriptions.states import SubscriptionStatus
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """The subscription and its invoices."""
    entries = []
    for subscription in Subscription.objects.filter(pk=correlation_id).select_related("user", "plan"):
        trial = f", on trial until {subscription.trial_ends_at:%d %b %Y}" if subscription.trial_ends_at else ""
        sentence = f"{subscription.user.email} subscribed{trial}. The current plan is {subscription.plan.name}."
        entries.append(TimelineLine(subscription.created_at, sentence, "open"))
    for invoice in SubscriptionInvoice.objects.filter(subscription=correlation_id).select_related("plan"):
        total = format_amount(invoice.total_minor, invoice.currency)
        tax = format_amount(invoice.tax_minor, invoice.currency)
        period = f"{invoice.period_start_at:%d %b %Y} to {invoice.period_end_at:%d %b %Y}"
        credit = f" after a credit of {format_amount(invoice.credit_minor, invoice.currency)}"
        after = credit if invoice.credit_minor else ""
        kind = "an upgrade to " if invoice.is_upgrade else ""
        sentence = f"An invoice of {total}, incl. {tax} tax{after}, was opened for {kind}{invoice.plan.name}, {period}."
        entries.append(TimelineLine(invoice.created_at, sentence, "open"))
    return entries


def next_steps(correlation_id: UUID) -> list[str]:
    """The next steps of the subscription, and when they are due."""
    subscription = Subscription.objects.filter(pk=correlation_id).select_related("plan", "next_plan").first()
    if subscription is None or subscription.due_at is None:
        return []
    steps = [f"Veza processes it next on {subscription.due_at:%d %b %Y, %H:%M} UTC."]
    plan, end_at = plan_at_renewal(subscription), subscription.period_end_at
    match subscription.status:
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE if end_at is not None:
            change = "ends" if subscription.cancel_at_period_end else f"renews as {plan.name}"
            steps.append(f"It {change} on {end_at:%d %b %Y}.")
        case SubscriptionStatus.PENDING_PAYMENT | SubscriptionStatus.PAST_DUE:
            invoice = payable_invoice(subscription)
            if invoice is not None:
                total = format_amount(invoice.total_minor, invoice.currency)
                steps.append(f"{total} is due; the subscriber can pay at any time.")
    return steps
