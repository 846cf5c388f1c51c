"""Subscribing: a free plan or a trial begins immediately, a paid plan when its first invoice is paid."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from subscriptions import invoices
from subscriptions.access import effective_payment
from subscriptions.checkout import Checkout, open_checkout
from subscriptions.completion import request_completion
from subscriptions.invoices import PAYMENT_DEAD
from subscriptions.models import Plan, Subscription
from subscriptions.periods import end_of, renewal_due_at
from subscriptions.retry_policy import PAGE_MARGIN
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.money import format_amount
from veza.core.states import move


class PlanNotFound(NotFound):
    code = "plan_not_found"


class PlanReplaced(NotAllowed):
    code = "plan_replaced"
    http_status = 409


class AlreadySubscribed(NotAllowed):
    code = "already_subscribed"
    http_status = 409


class SubscribingMeanwhile(NotAllowed):
    code = "subscribing_meanwhile"
    http_status = 409


def request_subscription(*, subscription_id: UUID, user: User, plan_id: UUID, cause: Cause, at: datetime) -> Checkout:
    """Subscribe and, if there is something to pay, get the payment page.

    Requesting again with the same id returns the first subscription, with another page if its first payment is dead.
    Raises PlanNotFound, PlanReplaced, AlreadySubscribed, SubscribingMeanwhile, NothingToPay, PaymentUnderWay,
    AccountClosed.
    """
    subscription = open_subscription(subscription_id=subscription_id, user=user, plan_id=plan_id, cause=cause, at=at)
    invoice = invoices.payable_invoice(subscription)
    if invoice is None:
        return Checkout(subscription)
    last = next(reversed(invoices.payments_of(invoice.pk)), None)
    if last is None or last.status in PAYMENT_DEAD:
        return request_completion(
            subscription_id=subscription.pk, payment_id=new_id(), user_id=user.pk, cause=cause, at=at
        )
    return open_checkout(subscription, invoice, last, cause=cause)


@writes.atomic()
def open_subscription(*, subscription_id: UUID, user: User, plan_id: UUID, cause: Cause, at: datetime) -> Subscription:
    """Commit a subscription, and for a paid plan its first invoice and payment.

    The same commit ends a live one without an effective payment, or a free one that a paid one replaces.
    """
    if earlier := Subscription.objects.filter(pk=subscription_id, user=user).first():
        return earlier
    lock_open_account(user.pk)
    plan = active_plan(plan_id)
    _end_replaced(user, plan, cause=cause, at=at)
    try:
        return _create(subscription_id, user, plan, at=at)
    except IntegrityError as error:
        raise SubscribingMeanwhile(
            "Another of your requests is subscribing right now. Read your subscription, then try again."
        ) from error


def active_plan(plan_id: UUID) -> Plan:
    """A version of a plan that can be subscribed to. Raises PlanNotFound, PlanReplaced."""
    plan = Plan.objects.filter(pk=plan_id).first()
    if plan is not None and plan.active:
        return plan
    newer = Plan.objects.filter(name=plan.name, active=True).first() if plan is not None else None
    if newer is not None:
        total = format_amount(newer.total_minor, newer.currency)
        raise PlanReplaced(f"{newer.name} costs {total} now: read the plans again.")
    raise PlanNotFound("There is no such plan.")


def _end_replaced(user: User, plan: Plan, *, cause: Cause, at: datetime) -> None:
    live = Subscription.objects.locked().filter(user=user, status__in=LIVE).first()
    if live is None:
        return
    payment = effective_payment(live, at=at)
    # A sweep closes its payment page, if it has one: that calls Hyperswitch.
    fields = {"ended_at": at, "due_at": at}
    if payment is None:
        move(live, SubscriptionStatus.EXPIRED, cause=cause, at=at, **fields)
        invoices.close_invoices(live, InvoiceStatus.FAILED, cause=cause, at=at)
    elif payment.plan.is_free and not plan.is_free:
        move(live, SubscriptionStatus.CANCELLED, cause=cause, at=at, **fields)
        invoices.close_invoices(live, InvoiceStatus.VOID, cause=cause, at=at)
    else:
        raise AlreadySubscribed(f"You have the plan {payment.plan.name}: change or cancel it instead.")


def _create(subscription_id: UUID, user: User, plan: Plan, *, at: datetime) -> Subscription:
    if not plan.is_free and not _may_have_trial(user, plan):
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


def _may_have_trial(user: User, plan: Plan) -> bool:
    """A user has one trial, whatever the plan: otherwise they would never have to pay."""
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
    invoices.open_page_payment(invoice, subscription, payment_id=new_id(), is_first=True)
    return subscription
