"""Subscribing: a free plan or a trial begins at once, a paid plan when its first invoice is paid."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from subscriptions import invoices
from subscriptions.access import effective_payment
from subscriptions.models import Plan, Subscription
from subscriptions.offers import PAGE_MARGIN, Offer, offer
from subscriptions.periods import end_of, renewal_due_at
from subscriptions.plans import offered_plan
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.states import move


class AlreadySubscribed(NotAllowed):
    code = "already_subscribed"
    http_status = 409


class SubscribingMeanwhile(NotAllowed):
    code = "subscribing_meanwhile"
    http_status = 409


def request_subscription(*, subscription_id: UUID, user: User, plan_id: UUID, cause: Cause, at: datetime) -> Offer:
    """Subscribe and, if there is something to pay, get the payment page. Asking again with the same id finds it.

    Raises PlanNotFound, AlreadySubscribed, SubscribingMeanwhile.
    """
    subscription = open_subscription(subscription_id=subscription_id, user=user, plan_id=plan_id, cause=cause, at=at)
    owed = invoices.owed_invoice(subscription)
    if owed is None:
        return Offer(subscription)
    return offer(subscription, owed, invoices.payments_of(owed.pk)[-1], cause=cause)


@transaction.atomic(durable=True)
def open_subscription(*, subscription_id: UUID, user: User, plan_id: UUID, cause: Cause, at: datetime) -> Subscription:
    """Commit a subscription, and for a paid plan its first invoice and payment.

    A live one without an effective payment makes room in the same commit; so does a free one for a paid one.
    """
    if earlier := Subscription.objects.filter(pk=subscription_id, user=user).first():
        return earlier
    plan = offered_plan(plan_id)
    _make_room(user, plan, cause=cause, at=at)
    try:
        return _create(subscription_id, user, plan, at=at)
    except IntegrityError as error:
        raise SubscribingMeanwhile("Another request of yours is subscribing right now. Look, then decide.") from error


def _make_room(user: User, plan: Plan, *, cause: Cause, at: datetime) -> None:
    live = Subscription.objects.locked().select_related("plan").filter(user=user, status__in=LIVE).first()
    if live is None:
        return
    effective = effective_payment(live, at=at)
    # Its page, if it has one, is closed by the sweep: that is a call.
    closing = {"ended_at": at, "due_at": at}
    if effective is None:
        move(live, SubscriptionStatus.EXPIRED, cause=cause, at=at, **closing)
        invoices.give_up_invoices(live, InvoiceStatus.FAILED, cause=cause, at=at)
    elif effective.plan.is_free and not plan.is_free:
        move(live, SubscriptionStatus.CANCELLED, cause=cause, at=at, **closing)
        invoices.give_up_invoices(live, InvoiceStatus.VOID, cause=cause, at=at)
    else:
        raise AlreadySubscribed(f"You have the plan {effective.plan.name}: change or cancel it instead.")


def _create(subscription_id: UUID, user: User, plan: Plan, *, at: datetime) -> Subscription:
    if not plan.is_free and not _may_try(user, plan):
        return _create_unpaid(subscription_id, user, plan, at=at)
    trial_ends_at = None if plan.is_free else at + timedelta(days=plan.trial_days)
    end_at = trial_ends_at or end_of(at, plan.interval, anchor_day=at.day)
    return Subscription.objects.create(
        pk=subscription_id,
        user=user,
        plan=plan,
        status=SubscriptionStatus.TRIALING if trial_ends_at else SubscriptionStatus.ACTIVE,
        period_start_at=at,
        period_end_at=end_at,
        anchor_day=end_at.day if trial_ends_at else at.day,
        trial_ends_at=trial_ends_at,
        due_at=renewal_due_at(end_at, reminds=not plan.is_free, at=at),
    )


def _may_try(user: User, plan: Plan) -> bool:
    """A person tries once, whatever the plan: the second trial would be a way never to pay."""
    return plan.trial_days > 0 and not Subscription.objects.filter(user=user, trial_ends_at__isnull=False).exists()


def _create_unpaid(subscription_id: UUID, user: User, plan: Plan, *, at: datetime) -> Subscription:
    subscription = Subscription.objects.create(
        pk=subscription_id,
        user=user,
        plan=plan,
        status=SubscriptionStatus.PENDING_PAYMENT,
        anchor_day=at.day,
        due_at=at + settings.ORDER_SESSION + PAGE_MARGIN,
    )
    invoice = invoices.open_invoice(subscription, plan, start_at=at)
    invoices.open_page_payment(invoice, subscription, payment_id=new_id())
    return subscription
