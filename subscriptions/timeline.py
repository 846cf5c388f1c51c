"""What a subscription was and what it owed, in sentences, and what happens next."""

from uuid import UUID

from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.states import OWED, SubscriptionStatus
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """The subscription as it was asked for, and its invoices."""
    told = []
    for subscription in Subscription.objects.filter(pk=correlation_id).select_related("user", "plan"):
        trial = f", on trial until {subscription.trial_ends_at:%d %B %Y}" if subscription.trial_ends_at else ""
        sentence = f"{subscription.user.email} subscribed{trial}; the plan is {subscription.plan.name} now."
        told.append(TimelineLine(subscription.created_at, sentence, "open"))
    for invoice in SubscriptionInvoice.objects.filter(subscription=correlation_id).select_related("plan"):
        total, tax = (
            format_amount(invoice.total_minor, invoice.currency),
            format_amount(invoice.tax_minor, invoice.currency),
        )
        period = f"{invoice.period_start_at:%d %B %Y} to {invoice.period_end_at:%d %B %Y}"
        sentence = f"An invoice of {total}, tax {tax}, was made for {invoice.plan.name}, {period}."
        told.append(TimelineLine(invoice.created_at, sentence, "open"))
    return told


def next_steps(correlation_id: UUID) -> list[str]:
    """What will happen to the subscription, and when."""
    subscription = Subscription.objects.filter(pk=correlation_id).select_related("plan", "next_plan").first()
    if subscription is None or subscription.due_at is None:
        return []
    steps = [f"We look at it again at {subscription.due_at:%d %B %Y, %H:%M} UTC."]
    plan, end_at = subscription.next_plan or subscription.plan, subscription.period_end_at
    match subscription.status:
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE if end_at is not None:
            how = "ends" if subscription.cancel_at_period_end else f"goes on as {plan.name}"
            steps.append(f"It {how} on {end_at:%d %B %Y}.")
        case SubscriptionStatus.PENDING_PAYMENT | SubscriptionStatus.PAST_DUE:
            owed = subscription.invoices.filter(status__in=OWED).order_by("period_start_at").last()
            if owed is not None:
                steps.append(
                    f"{format_amount(owed.total_minor, owed.currency)} is owed; the subscriber can pay any time."
                )
    return steps
