"""A new price for those who are subscribed already: announced by e-mail, applied at a renewal, or withdrawn before.

Staff announce it and withdraw it; the sweep writes to the subscribers, some at a time. Whoever arrives at the old
version later (a late payment, a change that was scheduled before) is told then.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from subscriptions.messages.prices import PRICE_CHANGE, PRICE_CHANGE_WITHDRAWN
from subscriptions.models import Plan, PriceChange, Subscription, SubscriptionInvoice
from subscriptions.periods import renewal_due_at
from subscriptions.states import ENTITLING, LIVE, PAYABLE, RENEWING, PriceChangeStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.email.messages import Message
from veza.core.email.outbox import draft, write_emails
from veza.core.errors import NotAllowed
from veza.core.models import Email, EmailStatus, LockableQuerySet
from veza.core.money import format_amount
from veza.core.states import move

# How many subscribers are told in one commit, and when the next are looked for.
BATCH = 500
CHECK_AGAIN = timedelta(hours=1)


class NoNewerPrice(NotAllowed):
    code = "no_newer_price"
    http_status = 409


class PriceChangeAnnounced(NotAllowed):
    code = "price_change_announced"
    http_status = 409


class PriceChangeOver(NotAllowed):
    code = "price_change_over"
    http_status = 409


@writes.atomic()
def announce(*, price_change_id: UUID, plan_id: UUID, cause: Cause, at: datetime) -> PriceChange:
    """Have the subscribers of this version of a plan told of the price of the version that is offered now.

    Asking again with the same id returns the first. Raises NoNewerPrice, PriceChangeAnnounced.
    """
    if earlier := PriceChange.objects.filter(pk=price_change_id).first():
        return earlier
    plan = Plan.objects.locked().get(pk=plan_id)
    new_plan = newer_version(plan)
    if new_plan is None:
        raise NoNewerPrice(f"{plan} has no newer version with the same currency and interval. Make one first.")
    if plan.price_changes.filter(status=PriceChangeStatus.ANNOUNCED).exists():
        raise PriceChangeAnnounced(f"A price change is announced to the subscribers of {plan} already.")
    change = PriceChange(pk=price_change_id, plan=plan, new_plan=new_plan, due_at=at)
    writes.insert([change])
    return change


def newer_version(plan: Plan) -> Plan | None:
    """The version that is offered instead of this one, if its price can be compared."""
    newer = Plan.objects.filter(name=plan.name, version__gt=plan.version, active=True)
    return newer.filter(currency=plan.currency, interval=plan.interval).first()


@writes.atomic()
def withdraw(*, price_change_id: UUID, cause: Cause, at: datetime) -> PriceChange:
    """Apply the price to no more renewals: whoever was told of it is told. Raises PriceChangeOver.

    A renewal that is being charged meanwhile goes by the commit that is first.
    """
    change = PriceChange.objects.locked().get(pk=price_change_id)
    if change.status != PriceChangeStatus.ANNOUNCED:
        raise PriceChangeOver(f"This price change is {change.status} already.")
    move(change, PriceChangeStatus.WITHDRAWN, cause=cause, at=at, due_at=at)
    return change


@writes.atomic()
def tell_subscribers(price_change_id: UUID, *, cause: Cause, at: datetime) -> None:
    """Write to the subscribers of a price change who do not know where it stands, `BATCH` at a time. Safe to repeat."""
    change = PriceChange.objects.locked().get(pk=price_change_id)
    if change.status == PriceChangeStatus.ANNOUNCED:
        _announce_to_some(change, cause=cause, at=at)
    elif change.status == PriceChangeStatus.WITHDRAWN:
        _withdraw_for_some(change, at=at)


def untold_subscribers(change: PriceChange) -> LockableQuerySet[Subscription]:
    """Who has this version, goes on with it, and has no e-mail about the change yet."""
    going_on = _subscribers_of(change.plan_id).filter(cancel_at_period_end=False)
    return going_on.exclude(Exists(_emails(PRICE_CHANGE, change)))


def _announce_to_some(change: PriceChange, *, cause: Cause, at: datetime) -> None:
    some = list(untold_subscribers(change).locked()[:BATCH])
    write_emails(_drafts(PRICE_CHANGE, change, some))
    for subscription in some:
        if change.plan.is_free and subscription.period_end_at is not None:
            # A free plan's renewal has no reminder: this one may cost something.
            due_at = renewal_due_at(subscription.period_end_at, reminds=True, at=at)
            writes.update(subscription, due_at=due_at)
    if not some and not _has_subscribers(change.plan_id):
        move(change, PriceChangeStatus.COMPLETED, cause=cause, at=at, due_at=None)
        return
    writes.update(change, due_at=at if len(some) == BATCH else at + CHECK_AGAIN)


def _withdraw_for_some(change: PriceChange, *, at: datetime) -> None:
    """Tell those who were told of the price and do not pay it, and remind them again if a reminder named it."""
    untold = _told_subscribers(change).exclude(Exists(_emails(PRICE_CHANGE_WITHDRAWN, change)))
    some = list(untold.locked()[:BATCH])
    # Asked again: while it waited for a lock, a renewal may have opened an invoice, which the first query did not see.
    remaining = set(untold.filter(pk__in=[row.pk for row in some]).values_list("pk", flat=True))
    subscribers = [row for row in some if row.pk in remaining]
    write_emails(_drafts(PRICE_CHANGE_WITHDRAWN, change, subscribers))
    for subscription in subscribers:
        is_reminded = subscription.reminded_for_at == subscription.period_end_at
        if is_reminded and subscription.status in RENEWING and not subscription.cancel_at_period_end:
            writes.update(subscription, reminded_for_at=None, due_at=at)
    writes.update(change, due_at=at if len(some) == BATCH else _end_of_withdrawal(change, at=at))


def _told_subscribers(change: PriceChange) -> LockableQuerySet[Subscription]:
    """Who was told of the new price, still has the old version, and has no unpaid invoice at the new price."""
    sent_copy = Email.objects.filter(copy_of=OuterRef("pk"), status=EmailStatus.SENT)
    sent_emails = _emails(PRICE_CHANGE, change).filter(Q(status=EmailStatus.SENT) | Exists(sent_copy))
    invoices = SubscriptionInvoice.objects.filter(subscription=OuterRef("pk"), plan=change.new_plan_id)
    unpaid = invoices.filter(status__in=PAYABLE, is_upgrade=False)
    return _subscribers_of(change.plan_id).filter(Exists(sent_emails), ~Exists(unpaid))


def _end_of_withdrawal(change: PriceChange, *, at: datetime) -> datetime | None:
    """When to look again: an announcement that is being sent while it is withdrawn will need its withdrawal."""
    being_sent = _emails(PRICE_CHANGE, change).filter(status=EmailStatus.WAITING)
    is_open = _subscribers_of(change.plan_id).filter(Exists(being_sent)).exists()
    return at + CHECK_AGAIN if is_open else None


def _subscribers_of(plan_id: UUID) -> LockableQuerySet[Subscription]:
    return Subscription.objects.filter(plan=plan_id, status__in=ENTITLING)


def _has_subscribers(plan_id: UUID) -> bool:
    """Whether a live subscription has this version, or will have it."""
    return Subscription.objects.filter(Q(plan=plan_id) | Q(next_plan=plan_id), status__in=LIVE).exists()


def _emails(message: Message, change: PriceChange) -> QuerySet[Email]:
    """The e-mail of a subscription, in the query around it, about a price change."""
    about = Email.objects.filter(subject_id=OuterRef("pk"), message=message.name, copy_of=None)
    return about.filter(occasion=str(change.pk))


def _drafts(message: Message, change: PriceChange, subscriptions: list[Subscription]) -> list[Email]:
    return [draft(message, row, to=row.user_id, occasion=str(change.pk)) for row in subscriptions]


def in_words(change: PriceChange) -> str:
    """The old price and the new one, with tax: `12.00 EUR to 14.40 EUR`."""
    old, new = change.plan, change.new_plan
    return f"{format_amount(old.total_minor, old.currency)} to {format_amount(new.total_minor, new.currency)}"
