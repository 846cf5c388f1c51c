"""A user's subscription at a glance: its plan, whether it gives access, and whether it needs a payment."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from subscriptions.access import EffectivePayment, effective_payment
from subscriptions.chargebacks import are_charges_stopped
from subscriptions.models import Subscription
from subscriptions.prices import AnnouncedPrice, announced_price, plan_at_renewal
from subscriptions.states import LIVE


@dataclass(frozen=True)
class SubscriptionOverview:
    """The user's live subscription and its effective payment, if any.

    `needs_payment` is true when an invoice is unpaid: then `message` says how to pay it.
    """

    subscription: Subscription | None
    effective_payment: EffectivePayment | None
    needs_payment: bool
    message: str
    price_change: AnnouncedPrice | None = None

    @property
    def will_be_charged(self) -> bool:
        """Whether the next renewal is charged to the saved method; otherwise the subscriber is asked to pay."""
        subscription = self.subscription
        if subscription is None or subscription.cancel_at_period_end:
            return False
        return bool(subscription.hyperswitch_payment_method_id) and not are_charges_stopped(subscription)


def overview_of(user_id: UUID, *, at: datetime) -> SubscriptionOverview:
    """The user's overview at `at`."""
    live = Subscription.objects.filter(user=user_id, status__in=LIVE).select_related("plan", "next_plan").first()
    if live is None:
        return SubscriptionOverview(None, None, needs_payment=False, message="You have no subscription.")
    overview = _with_message(live, at=at)
    return replace(overview, price_change=announced_price(live, at=at))


def _with_message(live: Subscription, *, at: datetime) -> SubscriptionOverview:
    payment = effective_payment(live, at=at)
    request = f"pay with POST /api/v1/subscriptions/complete/{live.pk}"
    if payment is None:
        message = f"This subscription is not paid: {request}."
        return SubscriptionOverview(live, None, needs_payment=True, message=message)
    if live.past_due_since_at is not None:
        deadline = f" by {payment.until_at:%d %b %Y}" if payment.until_at else ""
        message = f"The renewal is not paid: {request}{deadline}."
        return SubscriptionOverview(live, payment, needs_payment=True, message=message)
    return SubscriptionOverview(live, payment, needs_payment=False, message=_renewal_message(live))


def _renewal_message(subscription: Subscription) -> str:
    day = f"{subscription.period_end_at:%d %b %Y}" if subscription.period_end_at else "the end of the period"
    if subscription.cancel_at_period_end:
        return f"It ends on {day}."
    return f"It renews as {plan_at_renewal(subscription).name} on {day}."
