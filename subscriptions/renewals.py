"""What the clock does: remind, renew by the saved method, try again, and let go of what nobody pays.

`run_due` is the sweep's one verb. Claiming the row is the first guard against charging twice; the unique invoice of a
period is the second, and one open payment for an invoice the third.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction

from payments.collection.payment_requests import cancel_payment, check_payment, send_payment
from payments.models import Payment, PaymentQuerySet
from payments.states import PAYMENT_OPEN, PaymentStatus
from subscriptions import invoices
from subscriptions.billing import mark_past_due
from subscriptions.invoices import PAYMENT_DEAD
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.offers import PAGE_MARGIN, page_ends_at
from subscriptions.periods import end_of, grace_ends_at, renewal_due_at, retry_due_at
from subscriptions.reminders import remind
from subscriptions.states import OWED, InvoiceStatus, SubscriptionStatus
from veza.core.causes import Cause
from veza.core.states import move

# How long a charge may stay without news before it is looked at again.
LOOK_AGAIN_AFTER = timedelta(hours=1)
NEVER = datetime.max.replace(tzinfo=UTC)


def run_due(subscription_id: UUID, *, cause: Cause, at: datetime) -> None:
    """Do what is due about one subscription at `at`. Safe to repeat: what is done already is found done."""
    subscription = Subscription.objects.select_related("plan", "next_plan").get(pk=subscription_id)
    match subscription.status:
        case SubscriptionStatus.PENDING_PAYMENT | SubscriptionStatus.EXPIRED | SubscriptionStatus.CANCELLED:
            _close_pages(subscription, cause=cause, at=at)
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE if _runs_on(subscription, at=at):
            remind(subscription, at=at)
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE | SubscriptionStatus.PAST_DUE:
            _renew(subscription, cause=cause, at=at)


def _runs_on(subscription: Subscription, *, at: datetime) -> bool:
    return subscription.period_end_at is not None and at < subscription.period_end_at


def _close_pages(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """Close the payment pages of a subscription that is over, or that nobody paid in time."""
    waits = subscription.status == SubscriptionStatus.PENDING_PAYMENT
    for payment in _payments(subscription.pk).filter(status__in=PAYMENT_OPEN):
        if not waits or at >= page_ends_at(payment):
            cancel_payment(payment.pk, reason="Nobody paid in time.", cause=cause)
    release_subscription(subscription.pk, cause=cause, at=at)


@transaction.atomic(durable=True)
def release_subscription(subscription_id: UUID, *, cause: Cause, at: datetime) -> None:
    """Commit that nothing is left to do for a subscription none of whose payments is alive, else look again later."""
    payments = list(_payments(subscription_id).locked())
    subscription = Subscription.objects.locked().get(pk=subscription_id)
    if any(payment.status in PAYMENT_OPEN or payment.status == PaymentStatus.PROCESSING for payment in payments):
        _look_again(subscription, at + PAGE_MARGIN)
    elif subscription.status == SubscriptionStatus.PENDING_PAYMENT:
        _expire(subscription, cause=cause, at=at)
    elif subscription.status in (SubscriptionStatus.EXPIRED, SubscriptionStatus.CANCELLED):
        _look_again(subscription, None)


def _renew(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """Charge the period after the one that is over, or let go; the call, if there is one, after the commit."""
    owed = invoices.owed_invoice(subscription)
    if owed is not None:
        _make_sure(owed, cause=cause, at=at)
    payment = open_renewal(subscription.pk, cause=cause, at=at)
    if payment is not None:
        send_payment(payment.pk, cause=cause)


def _make_sure(invoice: SubscriptionInvoice, *, cause: Cause, at: datetime) -> None:
    """Learn from the provider what became of the last payment, before another one is opened."""
    for payment in invoices.payments_of(invoice.pk)[-1:]:
        if payment.status in PAYMENT_OPEN and not payment.off_session and at >= page_ends_at(payment):
            cancel_payment(payment.pk, reason="Nobody paid in time.", cause=cause)
        elif payment.hyperswitch_payment_id and payment.status != PaymentStatus.CANCELLED:
            check_payment(payment.pk, cause=cause)


@transaction.atomic(durable=True)
def open_renewal(subscription_id: UUID, *, cause: Cause, at: datetime) -> Payment | None:
    """Commit what follows from a period's end, and return the payment to send if one was opened.

    Cancelled, renewed for nothing, an invoice with a charge, past due without a method, or expired after the grace.
    """
    list(_payments(subscription_id).filter(purpose_id__in=_owed(subscription_id)).locked())
    subscription = Subscription.objects.locked().select_related("plan", "next_plan").get(pk=subscription_id)
    is_due = subscription.status in (
        SubscriptionStatus.TRIALING,
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.PAST_DUE,
    )
    if not is_due or _runs_on(subscription, at=at):
        return None  # The last payment's news has just settled it.
    if subscription.cancel_at_period_end:
        move(subscription, SubscriptionStatus.CANCELLED, cause=cause, at=at, ended_at=at, due_at=at)
        invoices.give_up_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)
        return None
    owed = invoices.owed_invoice(subscription)
    plan = subscription.next_plan or subscription.plan
    if owed is None and plan.is_free:
        _roll_on(subscription, cause=cause, at=at)
        return None
    return _charge(subscription, owed or invoices.next_invoice(subscription, at=at), cause=cause, at=at)


def _owed(subscription_id: UUID) -> list[UUID]:
    owed = SubscriptionInvoice.objects.filter(subscription=subscription_id, status__in=OWED)
    return list(owed.values_list("pk", flat=True))


def _payments(subscription_id: UUID) -> PaymentQuerySet:
    every = SubscriptionInvoice.objects.filter(subscription=subscription_id)
    return Payment.objects.filter(purpose=Payment.Purpose.INVOICE, purpose_id__in=every.values("pk"))


def _charge(subscription: Subscription, invoice: SubscriptionInvoice, *, cause: Cause, at: datetime) -> Payment | None:
    """The next try to be paid for `invoice`, if it is time for one; past due, or expired after the grace."""
    tried = invoices.payments_of(invoice.pk)
    if tried and tried[-1].status not in PAYMENT_DEAD:
        _look_again(subscription, at + LOOK_AGAIN_AFTER)
        return None
    due_at = _charge_due_at(subscription, invoice, tried, at=at)
    if due_at <= at:
        _look_again(subscription, at + LOOK_AGAIN_AFTER)
        return invoices.open_charge(invoice, subscription)
    if at >= grace_ends_at(invoice):
        _expire(subscription, cause=cause, at=at)
    elif subscription.status == SubscriptionStatus.PAST_DUE:
        _look_again(subscription, min(due_at, grace_ends_at(invoice)))
    else:
        mark_past_due(subscription, invoice, cause=cause, at=at)
    return None


def _charge_due_at(
    subscription: Subscription, invoice: SubscriptionInvoice, tried: Sequence[Payment], *, at: datetime
) -> datetime:
    """When the saved method is to be charged next: at once the first time, `NEVER` when there is no (more) try."""
    if not subscription.hyperswitch_payment_method_id:
        return NEVER
    charges = sum(payment.off_session for payment in tried)
    if not charges:
        return at
    since_at = subscription.past_due_since_at or invoice.period_start_at
    return retry_due_at(invoice, failing_since_at=since_at, charges=charges) or NEVER


def _expire(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=None)
    invoices.give_up_invoices(subscription, InvoiceStatus.FAILED, cause=cause, at=at)


def _roll_on(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """A free plan's next period begins when the last one ends; nothing is owed for it."""
    plan, start_at = subscription.next_plan or subscription.plan, subscription.period_end_at or at
    end_at = end_of(start_at, plan.interval, anchor_day=subscription.anchor_day)
    fields = {
        "plan": plan,
        "next_plan": None,
        "period_start_at": start_at,
        "period_end_at": end_at,
        "due_at": renewal_due_at(end_at, reminds=False, at=at),
    }
    if subscription.status == SubscriptionStatus.ACTIVE:
        Subscription.objects.filter(pk=subscription.pk).update(**fields)
    else:
        move(subscription, SubscriptionStatus.ACTIVE, cause=cause, at=at, past_due_since_at=None, **fields)


def _look_again(subscription: Subscription, due_at: datetime | None) -> None:
    Subscription.objects.filter(pk=subscription.pk).update(due_at=due_at)
