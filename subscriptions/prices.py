"""What a subscription costs: the price of the version of its plan that its subscriber agreed to or was told of in time.

A price change is decided by times alone (when its e-mail was sent, when the period starts), so that the reminder, the
charge and the API say the same without a copy of it. It waits while its e-mail was not sent.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min

from subscriptions.models import Plan, PriceChange, Subscription
from subscriptions.periods import end_of
from subscriptions.states import PriceChangeStatus
from veza.core.models import Email, EmailStatus

# The message that tells a subscriber; its occasion is the id of the price change.
PRICE_CHANGE_ANNOUNCED = "price_change_announced"


@dataclass(frozen=True)
class AnnouncedPrice:
    """A change of price that awaits a subscriber: the version that they will have, from the period of `from_at` on."""

    plan: Plan
    from_at: datetime


@dataclass(frozen=True)
class Price:
    """The price of one period before tax, and the tax on top of it, in minor units of `currency`."""

    net_minor: int
    tax_minor: int
    currency: str


def price_of(plan: Plan) -> Price:
    """What a whole period of this version of a plan costs."""
    return Price(plan.price_minor, plan.tax_minor, plan.currency)


def plan_at_renewal(subscription: Subscription) -> Plan:
    """The version of a plan that the next period is of, and so its price: the reminder and the charge both ask here."""
    if subscription.period_end_at is None:
        return subscription.next_plan or subscription.plan
    return plan_from(subscription, subscription.period_end_at)


def plan_from(subscription: Subscription, start_at: datetime) -> Plan:
    """The version that a new period from `start_at` is of.

    The one that the subscriber changes to, or else a newer one of the same plan, if they were told of its price in
    time, or else the one that they have.
    """
    if subscription.next_plan is not None:
        return subscription.next_plan
    change = announced_change(subscription.plan)
    if change is None:
        return subscription.plan
    told_at = _told_at(change, subscription)
    is_in_time = told_at is not None and told_at + notice_of(change) <= start_at
    return change.new_plan if is_in_time else subscription.plan


def may_be_charged(subscription: Subscription) -> bool:
    """Whether the next renewal may cost something, by all that is known now."""
    return not plan_at_renewal(subscription).is_free or announced_change(subscription.plan) is not None


def announced_change(plan: Plan) -> PriceChange | None:
    """The price change that the subscribers of this version are being told of."""
    changes = PriceChange.objects.filter(plan=plan, status=PriceChangeStatus.ANNOUNCED)
    return changes.select_related("plan", "new_plan").first()


def announced_price(subscription: Subscription, *, at: datetime) -> AnnouncedPrice | None:
    """The new price that awaits this subscriber, and from when; nothing for one who leaves or changes plan before."""
    change = announced_change(subscription.plan)
    if change is None or subscription.next_plan_id is not None or subscription.cancel_at_period_end:
        return None
    told_at = _told_at(change, subscription) or at
    from_at = first_renewal(subscription, not_before=told_at + notice_of(change))
    return AnnouncedPrice(change.new_plan, from_at) if from_at is not None else None


def notice_of(change: PriceChange) -> timedelta:
    """How long before a period its new price is announced.

    A lower price needs no notice, but it may not differ from a reminder that was sent.
    """
    return settings.PRICE_CHANGE_NOTICE if change.is_raise else settings.SUBSCRIPTION_REMINDER_BEFORE


def first_renewal(subscription: Subscription, *, not_before: datetime) -> datetime | None:
    """When the first period begins that does so at `not_before` or later, if each is paid on time."""
    start_at = subscription.period_end_at
    while start_at is not None and start_at < not_before:
        start_at = end_of(start_at, subscription.plan.interval, anchor_day=subscription.anchor_day)
    return start_at


def _told_at(change: PriceChange, subscription: Subscription) -> datetime | None:
    """When the e-mail about this change was sent to this subscriber, or a copy of it that support sent instead."""
    emails = Email.objects.filter(subject_id=subscription.pk, message=PRICE_CHANGE_ANNOUNCED, copy_of=None)
    email = emails.filter(occasion=str(change.pk)).first()
    if email is None or email.status == EmailStatus.SENT:
        return email.sent_at if email else None
    told_at: datetime | None = email.copies.filter(status=EmailStatus.SENT).aggregate(at=Min("sent_at"))["at"]
    return told_at
