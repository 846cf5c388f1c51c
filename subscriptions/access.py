"""Who may do what a plan allows. Every gate asks here, and here alone.

A subscription opens a door only with an effective payment behind it: a free plan, a trial that has not ended, or a paid
invoice that names the payment. Its status alone proves nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings

from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.states import ENTITLING, InvoiceStatus
from veza.core.errors import NotAllowed


class SubscriptionPaymentRequired(NotAllowed):
    code = "subscription_payment_required"
    http_status = 403


class PlanDoesNotAllow(NotAllowed):
    code = "plan_does_not_allow"
    http_status = 403


@dataclass(frozen=True)
class Effective:
    """A subscription with an effective payment, and the plan whose rights it gives.

    `until_at` is when this payment stops being one; None for a free plan that nobody has cancelled.
    """

    subscription: Subscription
    plan: Plan
    until_at: datetime | None


def effective_subscription(user_id: UUID, *, at: datetime) -> Effective | None:
    """The person's subscription if it opens doors at `at`, else None."""
    held = Subscription.objects.filter(user=user_id, status__in=ENTITLING).select_related("plan").first()
    return effective_payment(held, at=at) if held else None


def effective_payment(subscription: Subscription, *, at: datetime) -> Effective | None:
    """What stands behind this subscription at `at`: free plan, unexpired trial, or paid invoice with a payment id."""
    if subscription.status not in ENTITLING:
        return None
    if subscription.plan.is_free:
        until_at = subscription.period_end_at if subscription.cancel_at_period_end else None
        found = Effective(subscription, subscription.plan, until_at)
    elif subscription.trial_ends_at is not None and at < subscription.trial_ends_at:
        found = Effective(subscription, subscription.plan, subscription.trial_ends_at)
    else:
        return _paid(subscription, at=at)
    return found if found.until_at is None or at < found.until_at else None


def _paid(subscription: Subscription, *, at: datetime) -> Effective | None:
    invoices = sorted(subscription.invoices.select_related("plan"), key=lambda invoice: invoice.period_start_at)
    grace_is_over = subscription.cancel_at_period_end
    for invoice in reversed(invoices):
        if invoice.status == InvoiceStatus.REFUNDED:
            grace_is_over = True  # What followed was paid and given back: nothing is on its way.
        if not _is_paid(invoice):
            continue
        until_at = invoice.period_end_at if grace_is_over else invoice.period_end_at + settings.SUBSCRIPTION_GRACE
        return Effective(subscription, invoice.plan, until_at) if at < until_at else None
    return None


def _is_paid(invoice: SubscriptionInvoice) -> bool:
    return invoice.status == InvoiceStatus.PAID and bool(invoice.hyperswitch_payment_id)


def may_sell(user_id: UUID, at: datetime) -> bool:
    """Whether the person's effective plan lets them sell on the marketplace at `at`."""
    effective = effective_subscription(user_id, at=at)
    return effective is not None and effective.plan.can_sell_on_marketplace


def refuse_unless_may_sell(user_id: UUID, *, at: datetime) -> Effective:
    """Return what lets the person sell. Raises SubscriptionPaymentRequired, PlanDoesNotAllow."""
    effective = _refuse_unless_effective(user_id, at=at)
    if not effective.plan.can_sell_on_marketplace:
        raise PlanDoesNotAllow(f"The plan {effective.plan.name} does not include selling on the marketplace.")
    return effective


def refuse_unless_may_distribute(user_id: UUID, *, at: datetime) -> Effective:
    """Return what lets the person distribute. Raises SubscriptionPaymentRequired, PlanDoesNotAllow."""
    effective = _refuse_unless_effective(user_id, at=at)
    if not effective.plan.can_distribute:
        raise PlanDoesNotAllow(f"The plan {effective.plan.name} does not include distribution.")
    return effective


def _refuse_unless_effective(user_id: UUID, *, at: datetime) -> Effective:
    effective = effective_subscription(user_id, at=at)
    if effective is None:
        raise SubscriptionPaymentRequired("This needs a subscription that is paid for: GET /me/subscription says how.")
    return effective
