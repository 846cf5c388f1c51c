"""The sweep of subscriptions: remind, renew by the saved method, retry, and expire what stays unpaid.

`run_due` is the sweep's one verb. Claiming the row is the first guard against charging twice; the unique invoice of a
period is the second, and one open payment for an invoice the third.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from payments.collection.payment_requests import cancel_payment, check_payment, send_payment
from payments.models import Payment, PaymentQuerySet
from payments.states import PAYMENT_OPEN, PaymentStatus
from subscriptions import invoices
from subscriptions.billing import mark_past_due
from subscriptions.closing import end_for_inactive_user
from subscriptions.dunning import charge_due_at, processing_ends_at
from subscriptions.invoices import PAYMENT_DEAD
from subscriptions.messages.periods import write_ended
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.periods import end_of, grace_ends_at, renewal_due_at
from subscriptions.prices import announced_change, plan_at_renewal
from subscriptions.reminders import remind
from subscriptions.retry_policy import PAGE_MARGIN, REFRESH_AFTER
from subscriptions.states import LIVE, PAYABLE, InvoiceStatus, SubscriptionStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.states import move

NEVER = datetime.max.replace(tzinfo=UTC)


def run_due(subscription_id: UUID, *, cause: Cause, at: datetime) -> None:
    """Do what is due about one subscription at `at`. Safe to repeat."""
    subscription = Subscription.objects.select_related("plan", "next_plan", "user").get(pk=subscription_id)
    match subscription.status:
        case status if status in LIVE and not subscription.user.is_active:
            # They could not log in to stop it.
            end_for_inactive_user(subscription.user_id, cause=cause, at=at)
        case SubscriptionStatus.PENDING_PAYMENT | SubscriptionStatus.EXPIRED | SubscriptionStatus.CANCELLED:
            _close_pages(subscription, cause=cause, at=at)
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE if _is_within_period(subscription, at=at):
            remind(subscription, at=at)
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE | SubscriptionStatus.PAST_DUE:
            _renew(subscription, cause=cause, at=at)


def _is_within_period(subscription: Subscription, *, at: datetime) -> bool:
    return subscription.period_end_at is not None and at < subscription.period_end_at


def _close_pages(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """Close the payment pages of a subscription that has ended, or that was not paid in time."""
    is_awaiting_payment = subscription.status == SubscriptionStatus.PENDING_PAYMENT
    for payment in _payments(subscription.pk).filter(status__in=PAYMENT_OPEN):
        if not is_awaiting_payment or at >= payment.page_closes_at:
            cancel_payment(payment.pk, reason="Not paid in time.", cause=cause)
    finish_subscription(subscription.pk, cause=cause, at=at)


@writes.atomic()
def finish_subscription(subscription_id: UUID, *, cause: Cause, at: datetime) -> None:
    """Expire or finish a subscription that has no open payment any more; reschedule one that has."""
    payments = list(_payments(subscription_id).locked())
    subscription = Subscription.objects.locked().get(pk=subscription_id)
    if any(payment.status in PAYMENT_OPEN or payment.status == PaymentStatus.PROCESSING for payment in payments):
        _reschedule(subscription, at + PAGE_MARGIN)
    elif subscription.status == SubscriptionStatus.PENDING_PAYMENT:
        _expire(subscription, cause=cause, at=at)
    elif subscription.status in (SubscriptionStatus.EXPIRED, SubscriptionStatus.CANCELLED):
        _reschedule(subscription, None)


def _renew(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """Renew a subscription whose period has ended, or end it; a charge is sent after the commit."""
    for unpaid in invoices.unpaid_invoices(subscription.pk):
        _refresh_last_payment(unpaid, cause=cause, at=at)
    payment = open_renewal(subscription.pk, cause=cause, at=at)
    if payment is not None:
        send_payment(payment.pk, cause=cause)


def _refresh_last_payment(invoice: SubscriptionInvoice, *, cause: Cause, at: datetime) -> None:
    """Refresh the last payment from Hyperswitch, before another one is opened."""
    for payment in invoices.payments_of(invoice.pk)[-1:]:
        if payment.status in PAYMENT_OPEN and not payment.off_session and at >= payment.page_closes_at:
            cancel_payment(payment.pk, reason="Not paid in time.", cause=cause)
        elif payment.hyperswitch_payment_id and payment.status != PaymentStatus.CANCELLED:
            check_payment(payment.pk, cause=cause)


@writes.atomic()
def open_renewal(subscription_id: UUID, *, cause: Cause, at: datetime) -> Payment | None:
    """Commit the end of a period, and return the payment to send if one was opened.

    The subscription is cancelled, renewed free of charge, charged, past due without a saved method, or expired after
    the grace period.
    """
    list(_payments(subscription_id).filter(purpose_id__in=_payable_invoice_ids(subscription_id)).locked())
    subscription = Subscription.objects.locked().get(pk=subscription_id)
    is_due = subscription.status in (
        SubscriptionStatus.TRIALING,
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.PAST_DUE,
    )
    if not is_due or _is_within_period(subscription, at=at):
        return None  # Refreshing the last payment has just renewed it.
    payable = invoices.unpaid_invoices(subscription.pk)
    if any(invoice.is_upgrade for invoice in payable):
        invoices.void_upgrade(subscription, cause=cause, at=at)  # Its credit was for the period that has ended.
    if subscription.cancel_at_period_end:
        move(subscription, SubscriptionStatus.CANCELLED, cause=cause, at=at, ended_at=at, due_at=at)
        invoices.close_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)
        write_ended(subscription)
        return None
    unpaid = next((invoice for invoice in reversed(payable) if not invoice.is_upgrade), None)
    plan = plan_at_renewal(subscription)
    if unpaid is None and plan.is_free:
        _renew_free(subscription, cause=cause, at=at)
        return None
    return _charge(subscription, unpaid or invoices.next_invoice(subscription, at=at), cause=cause, at=at)


def _payable_invoice_ids(subscription_id: UUID) -> list[UUID]:
    payable = SubscriptionInvoice.objects.filter(subscription=subscription_id, status__in=PAYABLE)
    return list(payable.values_list("pk", flat=True))


def _payments(subscription_id: UUID) -> PaymentQuerySet:
    rows = SubscriptionInvoice.objects.filter(subscription=subscription_id)
    return Payment.objects.filter(purpose=Payment.Purpose.INVOICE, purpose_id__in=rows.values("pk"))


def _charge(subscription: Subscription, invoice: SubscriptionInvoice, *, cause: Cause, at: datetime) -> Payment | None:
    """Open the next charge of `invoice` if one is due; otherwise past due, or expired after the grace period."""
    assert invoice.subscription_id == subscription.pk, "a subscription is charged for an invoice of its own"
    attempts = invoices.payments_of(invoice.pk)
    if attempts and attempts[-1].status not in PAYMENT_DEAD:
        _await_answer(subscription, invoice, attempts[-1], cause=cause, at=at)
        return None
    charges = [payment for payment in attempts if payment.off_session]
    due_at = charge_due_at(subscription, invoice, charges, at=at) or NEVER
    if due_at <= at:
        _reschedule(subscription, at + REFRESH_AFTER)
        return invoices.open_charge(invoice, subscription, is_first=not attempts)
    if at >= grace_ends_at(invoice):
        _expire(subscription, cause=cause, at=at)
    elif subscription.status == SubscriptionStatus.PAST_DUE:
        _reschedule(subscription, min(due_at, grace_ends_at(invoice)))
    else:
        mark_past_due(subscription, invoice, cause=cause, at=at)
    return None


def _await_answer(
    subscription: Subscription, invoice: SubscriptionInvoice, payment: Payment, *, cause: Cause, at: datetime
) -> None:
    """Wait for the answer about a payment, but not for ever: after the grace period, or the time a bank is given, the
    subscription expires. What arrives later reopens it, or goes back.
    """
    is_processing = payment.status == PaymentStatus.PROCESSING
    ends_at = processing_ends_at(invoice) if is_processing else grace_ends_at(invoice)
    # A sweep that comes late has only just sent the charge: it gets its answer first.
    is_old = is_processing or payment.created_at <= at - REFRESH_AFTER
    if at < ends_at or not is_old:
        _reschedule(subscription, at + REFRESH_AFTER)
        return
    _expire(subscription, cause=cause, at=at, closes_at=at)


def _expire(subscription: Subscription, *, cause: Cause, at: datetime, closes_at: datetime | None = None) -> None:
    move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=closes_at)
    invoices.close_invoices(subscription, InvoiceStatus.FAILED, cause=cause, at=at)
    write_ended(subscription)


def _renew_free(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """Begin a free plan's next period, which has no invoice, where the last one ends."""
    plan, start_at = plan_at_renewal(subscription), subscription.period_end_at or at
    assert plan.is_free, "only a free plan is renewed without an invoice"
    end_at = end_of(start_at, plan.interval, anchor_day=subscription.anchor_day)
    fields: dict[str, Any] = {
        "plan": plan,
        "next_plan": None,
        "period_start_at": start_at,
        "period_end_at": end_at,
        "due_at": renewal_due_at(end_at, reminds=announced_change(plan) is not None, at=at),
    }
    if subscription.status == SubscriptionStatus.ACTIVE:
        writes.update(subscription, **fields)
    else:
        move(subscription, SubscriptionStatus.ACTIVE, cause=cause, at=at, past_due_since_at=None, **fields)


def _reschedule(subscription: Subscription, due_at: datetime | None) -> None:
    writes.update(subscription, due_at=due_at)
