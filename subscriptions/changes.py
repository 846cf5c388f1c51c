"""Changing a subscription: another plan from the next period on, or a cancellation."""

from datetime import datetime
from typing import Any
from uuid import UUID

from subscriptions import invoices
from subscriptions.access import SubscriptionPaymentRequired, effective_payment
from subscriptions.messages.periods import write_ended
from subscriptions.models import Subscription
from subscriptions.periods import renewal_due_at
from subscriptions.prices import announced_change
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from subscriptions.subscribing import active_plan
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotFound
from veza.core.states import move


class NoSubscription(NotFound):
    code = "no_subscription"


@writes.atomic()
def cancel(*, user_id: UUID, now: bool, cause: Cause, at: datetime) -> Subscription:
    """Cancel the user's subscription at the end of its period, or now. An unpaid one ends now.

    So does one whose period has ended and whose renewal is under way. The rest of a paid period is not refunded. One
    that is cancelled already is returned as it is. Raises NoSubscription.
    """
    subscription = _lock_live_or_cancelled(user_id)
    if subscription.status == SubscriptionStatus.CANCELLED:
        return subscription
    is_current = subscription.status in (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE)
    if is_current and not subscription.plan.is_free:
        is_current = subscription.period_end_at is not None and at < subscription.period_end_at
    if now or not is_current or effective_payment(subscription, at=at) is None:
        # A sweep closes the payment page, if there is one: that calls Hyperswitch.
        move(subscription, SubscriptionStatus.CANCELLED, cause=cause, at=at, ended_at=at, due_at=at)
        invoices.close_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)
        write_ended(subscription)
    else:
        invoices.void_upgrade(subscription, cause=cause, at=at)
        due_at = subscription.period_end_at
        _update(subscription, cancel_at_period_end=True, ending_refund=None, due_at=due_at)
    return subscription


@writes.atomic()
def change_plan(*, user_id: UUID, plan_id: UUID, cause: Cause, at: datetime) -> Subscription:
    """Change the plan when this period ends; the current plan cancels an earlier change.

    A cancellation at the period's end is undone, and an unpaid upgrade withdrawn. Raises NoSubscription, PlanNotFound,
    PlanReplaced, SubscriptionPaymentRequired.
    """
    subscription = lock_live(user_id)
    # Theirs may not be offered any more: it undoes a change all the same.
    plan = subscription.plan if plan_id == subscription.plan_id else active_plan(plan_id)
    is_past_due = subscription.status == SubscriptionStatus.PAST_DUE
    if is_past_due or effective_payment(subscription, at=at) is None or subscription.period_end_at is None:
        raise SubscriptionPaymentRequired("Pay for your current plan before you change it.")
    reminds = not plan.is_free or announced_change(plan) is not None
    expires_on = subscription.method_expires_on
    due_at = renewal_due_at(subscription.period_end_at, reminds=reminds, at=at, card_expires_on=expires_on)
    next_plan = None if plan.pk == subscription.plan_id else plan
    invoices.void_upgrade(subscription, cause=cause, at=at)
    _update(subscription, next_plan=next_plan, cancel_at_period_end=False, ending_refund=None, due_at=due_at)
    return subscription


def _lock_live_or_cancelled(user_id: UUID) -> Subscription:
    """The live subscription, else the last one if it was cancelled: a request to cancel may be repeated."""
    own = Subscription.objects.locked().filter(user=user_id)
    live = own.filter(status__in=LIVE).first()
    if live is not None:
        return live
    last = Subscription.objects.filter(user=user_id).order_by("-created_at").first()
    if last is None or last.status != SubscriptionStatus.CANCELLED:
        raise NoSubscription("You have no subscription.")
    return last


def lock_live(user_id: UUID) -> Subscription:
    """The live subscription of the user, locked. Raises NoSubscription."""
    subscription = Subscription.objects.locked().filter(user=user_id, status__in=LIVE).first()
    if subscription is None:
        raise NoSubscription("You have no subscription.")
    return subscription


def _update(subscription: Subscription, **fields: Any) -> None:
    writes.update(subscription, **fields)
