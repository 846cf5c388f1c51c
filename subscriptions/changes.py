"""Changing one's mind: another plan from the next period on, or no subscription any more."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from subscriptions import invoices
from subscriptions.access import SubscriptionPaymentRequired, effective_payment
from subscriptions.models import Subscription
from subscriptions.periods import renewal_due_at
from subscriptions.plans import offered_plan
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from veza.core.causes import Cause
from veza.core.errors import NotFound
from veza.core.states import move


class NoSubscription(NotFound):
    code = "no_subscription"


@transaction.atomic(durable=True)
def cancel(*, user_id: UUID, now: bool, cause: Cause, at: datetime) -> Subscription:
    """End the person's subscription when its period ends, or now. One that nobody has paid for ends now.

    What was paid for a period that is given up is not sent back. Raises NoSubscription.
    """
    subscription = _live(user_id)
    is_kept = subscription.status in (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE)
    if now or not is_kept or effective_payment(subscription, at=at) is None:
        # The sweep closes the payment page, if there is one: that is a call.
        move(subscription, SubscriptionStatus.CANCELLED, cause=cause, at=at, ended_at=at, due_at=at)
        invoices.give_up_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)
    else:
        _keep(subscription, cancel_at_period_end=True, due_at=subscription.period_end_at)
    return subscription


@transaction.atomic(durable=True)
def change_plan(*, user_id: UUID, plan_id: UUID, at: datetime) -> Subscription:
    """Go on with another plan when this period ends; naming the plan one has goes on with it.

    It takes a cancellation at the period's end back. Raises NoSubscription, PlanNotFound, SubscriptionPaymentRequired.
    """
    subscription = _live(user_id)
    plan = offered_plan(plan_id)
    is_behind = subscription.status == SubscriptionStatus.PAST_DUE
    if is_behind or effective_payment(subscription, at=at) is None or subscription.period_end_at is None:
        raise SubscriptionPaymentRequired("Pay for the plan you have before you change it.")
    due_at = renewal_due_at(subscription.period_end_at, reminds=not plan.is_free, at=at)
    next_plan = None if plan.pk == subscription.plan_id else plan
    _keep(subscription, next_plan=next_plan, cancel_at_period_end=False, due_at=due_at)
    return subscription


def _live(user_id: UUID) -> Subscription:
    live = Subscription.objects.locked().select_related("plan", "next_plan").filter(user=user_id, status__in=LIVE)
    subscription = live.first()
    if subscription is None:
        raise NoSubscription("You have no subscription.")
    return subscription


def _keep(subscription: Subscription, **fields: object) -> None:
    Subscription.objects.filter(pk=subscription.pk).update(**fields)
    for name, value in fields.items():
        setattr(subscription, name, value)
