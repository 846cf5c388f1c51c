"""What news about money does to invoices and subscriptions: paid, failed, given back. In the commit of the news."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from payments.collection.expiry import close_pages_soon
from payments.ledger import allocations
from payments.ledger.allocations import Allocation
from payments.models import Dispute, Payment, Refund
from payments.reviews.automatic_refunds import return_unapplied_funds
from subscriptions import invoices
from subscriptions.access import effective_payment
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.periods import end_of, grace_ends_at, renewal_due_at, retry_due_at
from subscriptions.states import ENTITLING, LIVE, OWED, InvoiceStatus, SubscriptionStatus
from veza.core.causes import Cause
from veza.core.states import move


def payment_succeeded(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """An invoice's money is here: settle it once, and let the period begin if the subscription can still use it.

    Money that pays for nothing any more (paid already, cancelled, replaced by another subscription) is sent back.
    """
    subscription, invoice = _locked(payment)
    if invoice.status not in OWED:
        if invoice.hyperswitch_payment_id != payment.provider_key:
            return_unapplied_funds(payment, reason=f"The invoice was {invoice.status} already.")
        return
    wanted = _can_use(subscription)
    period = _period_paid(subscription, invoice, at=at)
    span = (period.start_at, period.end_at)
    invoices.settle(invoice, payment, period=span, cause=cause, at=at)
    close_pages_soon(Payment.Purpose.INVOICE, invoice.pk)
    if wanted:
        _begin_period(subscription, invoice, payment, anchor_day=period.anchor_day, cause=cause, at=at)
        return
    reason = f"The subscription was {subscription.status} when the money arrived."
    return_unapplied_funds(payment, surplus=invoices.allocation_of(invoice), reason=reason)


def payment_failed(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """A try to pay an invoice came to nothing: a first one ends the subscription, a renewal makes it past due."""
    subscription, invoice = _locked(payment)
    if invoice.status not in OWED:
        return
    if invoice.status == InvoiceStatus.PENDING:
        move(invoice, InvoiceStatus.FAILED, cause=cause, at=at)
    match subscription.status:
        case SubscriptionStatus.PENDING_PAYMENT:
            move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=None)
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE if _is_renewal(subscription, invoice):
            mark_past_due(subscription, invoice, cause=cause, at=at)
        case SubscriptionStatus.PAST_DUE:
            due_at = _retry_due_at(subscription, invoice, since_at=subscription.past_due_since_at or at)
            Subscription.objects.filter(pk=subscription.pk).update(due_at=due_at)


def refund_changed(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """A refund of an invoice succeeded, failed, or was returned: refunded in full ends the access, in part does not."""
    _follow_money(refund.payment, cause=cause, at=at)


def dispute_changed(dispute: Dispute, /, *, cause: Cause, at: datetime) -> None:
    """A dispute over an invoice was opened or decided, or its decision reversed: one that is lost ends the access."""
    _follow_money(dispute.payment, cause=cause, at=at)


def allocate_external_refund(refund: Refund, /) -> Allocation:
    """Whose money a refund made at the dashboard is: an invoice has no items, so the payment's accounts say."""
    return allocations.allocate_refund(refund.amount_minor, refund.payment)


def reallocate_refund(refund: Refund, /) -> Allocation:
    """The refund keeps its allocation: payments caps it to what each account has left."""
    return dict(refund.allocation)


def _follow_money(payment: Payment, *, cause: Cause, at: datetime) -> None:
    """Bring the invoice that `payment` paid to where the payment's own sums say it is."""
    subscription, invoice = _locked(payment)
    if invoice.hyperswitch_payment_id != payment.provider_key:
        return  # A payment that never paid it, and goes back on its own.
    all_gone = invoices.refunded_minor(payment) >= invoice.total_minor
    if all_gone and invoice.status == InvoiceStatus.PAID:
        move(invoice, InvoiceStatus.REFUNDED, cause=cause, at=at)
        if subscription.status in ENTITLING and effective_payment(subscription, at=at) is None:
            move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=None)
    elif not all_gone and invoice.status == InvoiceStatus.REFUNDED:
        move(invoice, InvoiceStatus.PAID, cause=cause, at=at)
        if subscription.status == SubscriptionStatus.EXPIRED and _can_use(subscription) and at < invoice.period_end_at:
            due_at = _renewal_due_at(subscription, invoice, at=at)
            move(subscription, SubscriptionStatus.ACTIVE, cause=cause, at=at, ended_at=None, due_at=due_at)


def mark_past_due(subscription: Subscription, invoice: SubscriptionInvoice, *, cause: Cause, at: datetime) -> None:
    """A renewal is not paid: past due from now on, with its next try, in the caller's transaction."""
    due_at = _retry_due_at(subscription, invoice, since_at=at)
    move(subscription, SubscriptionStatus.PAST_DUE, cause=cause, at=at, past_due_since_at=at, due_at=due_at)


def _locked(payment: Payment) -> tuple[Subscription, SubscriptionInvoice]:
    """The subscription, then the invoice: up the house. The payment is locked by the caller already."""
    assert payment.purpose == Payment.Purpose.INVOICE, "subscriptions answers for invoices only"
    owner = SubscriptionInvoice.objects.values_list("subscription_id", flat=True).get(pk=payment.purpose_id)
    subscription = Subscription.objects.locked().select_related("plan", "next_plan").get(pk=owner)
    invoice = SubscriptionInvoice.objects.locked().select_related("plan").get(pk=payment.purpose_id)
    return subscription, invoice


def _can_use(subscription: Subscription) -> bool:
    """Whether a paid period may begin: not after a cancellation, and never beside another live subscription."""
    if subscription.status != SubscriptionStatus.EXPIRED:
        return subscription.status in LIVE
    others = Subscription.objects.filter(user=subscription.user_id, status__in=LIVE)
    return not others.exclude(pk=subscription.pk).exists()


def _is_renewal(subscription: Subscription, invoice: SubscriptionInvoice) -> bool:
    return subscription.period_end_at is not None and invoice.period_start_at >= subscription.period_end_at


@dataclass(frozen=True)
class _Period:
    start_at: datetime
    end_at: datetime
    anchor_day: int


def _period_paid(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> _Period:
    """The period the money buys: the invoice's own, unless nothing of it could be used until now.

    A renewal keeps its period although it is paid late: its beginning was used on grace.
    """
    begun = subscription.invoices.filter(paid_at__isnull=False).exists()
    if begun and at < invoice.period_end_at:
        return _Period(invoice.period_start_at, invoice.period_end_at, subscription.anchor_day)
    return _Period(at, end_of(at, invoice.plan.interval, anchor_day=at.day), at.day)


def _begin_period(
    subscription: Subscription,
    invoice: SubscriptionInvoice,
    payment: Payment,
    *,
    anchor_day: int,
    cause: Cause,
    at: datetime,
) -> None:
    kept: dict[str, Any] = {"hyperswitch_customer_id": payment.customer_key, "past_due_since_at": None}
    if payment.payment_method_id:
        kept["hyperswitch_payment_method_id"] = payment.payment_method_id
    held_until_at = subscription.period_end_at if subscription.status in ENTITLING else None
    if held_until_at is None or invoice.period_end_at > held_until_at:
        kept |= _of_period(subscription, invoice, at=at) | {"anchor_day": anchor_day}
    if subscription.status == SubscriptionStatus.ACTIVE:
        Subscription.objects.filter(pk=subscription.pk).update(**kept)
    else:
        move(subscription, SubscriptionStatus.ACTIVE, cause=cause, at=at, ended_at=None, **kept)


def _of_period(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> dict[str, Any]:
    return {
        "plan": invoice.plan,
        "next_plan": None if subscription.next_plan_id == invoice.plan_id else subscription.next_plan,
        "period_start_at": invoice.period_start_at,
        "period_end_at": invoice.period_end_at,
        "due_at": _renewal_due_at(subscription, invoice, at=at),
    }


def _renewal_due_at(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> datetime:
    return renewal_due_at(invoice.period_end_at, reminds=not subscription.cancel_at_period_end, at=at)


def _retry_due_at(subscription: Subscription, invoice: SubscriptionInvoice, *, since_at: datetime) -> datetime:
    if not subscription.hyperswitch_payment_method_id:
        return grace_ends_at(invoice)  # Nothing to charge: only the person can pay, at a page.
    charges = sum(payment.off_session for payment in invoices.payments_of(invoice.pk))
    return retry_due_at(invoice, failing_since_at=since_at, charges=max(1, charges)) or grace_ends_at(invoice)
