"""The letter before a renewal: what will be charged, when, and how to stop it."""

from datetime import datetime

from django.conf import settings
from django.core.mail import send_mail

from subscriptions.models import Subscription
from veza.core.money import basis_points_of, format_amount


def remind(subscription: Subscription, *, at: datetime) -> None:
    """Write to the person once for each period that will be charged, then wait for its end.

    Sent first and recorded after: a crash between the two sends the letter twice, never not at all.
    """
    plan = subscription.next_plan or subscription.plan
    is_wanted = not plan.is_free and not subscription.cancel_at_period_end
    if is_wanted and subscription.reminded_for_at != subscription.period_end_at and _is_time(subscription, at=at):
        send_mail(
            f"Your subscription to {plan.name} renews soon", _letter(subscription), None, [subscription.user.email]
        )
        Subscription.objects.filter(pk=subscription.pk).update(reminded_for_at=subscription.period_end_at)
    Subscription.objects.filter(pk=subscription.pk, period_end_at=subscription.period_end_at).update(
        due_at=subscription.period_end_at
    )


def _is_time(subscription: Subscription, *, at: datetime) -> bool:
    end_at = subscription.period_end_at
    return end_at is not None and at >= end_at - settings.SUBSCRIPTION_REMINDER_BEFORE


def _letter(subscription: Subscription) -> str:
    plan = subscription.next_plan or subscription.plan
    total = plan.price_minor + basis_points_of(plan.price_minor, plan.tax_basis_points)
    how = (
        "It will be charged to the payment method you used before."
        if subscription.hyperswitch_payment_method_id
        else "No payment method is kept: you will be asked to pay."
    )
    return (
        f"On {subscription.period_end_at:%d %B %Y} your subscription to {plan.name} renews for "
        f"{format_amount(total, plan.currency)}, tax included.\n{how}\n"
        "If you do not want that, cancel it before that day.\n"
    )
