"""The renewal reminder: an e-mail that says what will be charged, when, and how to cancel."""

from datetime import datetime

from django.conf import settings
from django.core.mail import send_mail

from subscriptions.models import Subscription
from veza.core.money import basis_points_of, format_amount


def remind(subscription: Subscription, *, at: datetime) -> None:
    """Send one reminder for each period that will be charged, then wait for the period's end.

    Sent first and recorded after: a crash between the two sends the e-mail twice rather than never.
    """
    plan = subscription.next_plan or subscription.plan
    is_charged = not plan.is_free and not subscription.cancel_at_period_end
    if is_charged and subscription.reminded_for_at != subscription.period_end_at and _is_due(subscription, at=at):
        subject = f"Your subscription to {plan.name} renews soon"
        send_mail(subject, _reminder_text(subscription), None, [subscription.user.email])
        Subscription.objects.filter(pk=subscription.pk).update(reminded_for_at=subscription.period_end_at)
    Subscription.objects.filter(pk=subscription.pk, period_end_at=subscription.period_end_at).update(
        due_at=subscription.period_end_at
    )


def _is_due(subscription: Subscription, *, at: datetime) -> bool:
    end_at = subscription.period_end_at
    return end_at is not None and at >= end_at - settings.SUBSCRIPTION_REMINDER_BEFORE


def _reminder_text(subscription: Subscription) -> str:
    plan = subscription.next_plan or subscription.plan
    total = plan.price_minor + basis_points_of(plan.price_minor, plan.tax_basis_points)
    method = (
        "It will be charged to your saved payment method."
        if subscription.hyperswitch_payment_method_id
        else "You have no saved payment method: we will ask you to pay."
    )
    assert total > 0, "only a renewal that costs something is announced"
    return (
        f"On {subscription.period_end_at:%d %b %Y} your subscription to {plan.name} renews for "
        f"{format_amount(total, plan.currency)}, incl. tax.\n{method}\n"
        "To stop the renewal, cancel your subscription before that day.\n"
    )
