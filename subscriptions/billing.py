"""How invoices and subscriptions follow their money: paid, failed, refunded, disputed.

These functions implement the port `payments/ports.py` and run in the transaction of the update.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from payments.collection.expiry import close_pages_soon
from payments.collection.saved_methods import may_charge, saves_method
from payments.ledger import allocations
from payments.ledger.allocations import Allocation
from payments.models import Dispute, Payment, Refund
from payments.reviews.automatic_refunds import return_unapplied_funds
from payments.states import PaymentStatus
from subscriptions import invoices
from subscriptions.access import effective_payment
from subscriptions.chargebacks import are_charges_stopped, follow_disputes
from subscriptions.declines import Decline, decline_of
from subscriptions.dunning import past_due_until, processing_ends_at
from subscriptions.messages.disputes import write_dispute_email
from subscriptions.messages.periods import INVOICE_RECEIPT, write_ended
from subscriptions.messages.refunds import REFUND_REQUESTED, write_refund_email
from subscriptions.messages.renewals import write_renewal_failed
from subscriptions.messages.upgrades import write_upgrade_failed
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.periods import end_of, renewal_due_at
from subscriptions.states import ENTITLING, LIVE, PAYABLE, InvoiceStatus, SubscriptionStatus
from subscriptions.upgrade_periods import (
    is_quote_over,
    redo_upgrade,
    renew_after_failed_refund,
    undo_upgrade,
    upgraded_fields,
)
from veza.core import reads, writes
from veza.core.accounts import is_open
from veza.core.causes import Cause
from veza.core.email.outbox import write_email
from veza.core.models import StatusChange
from veza.core.states import move


def _plans_of(invoice_id: UUID) -> "QuerySet[Plan]":
    """The plans of an invoice and of its subscription, now and next."""
    invoice = SubscriptionInvoice.objects.filter(pk=invoice_id)
    subscription = Subscription.objects.filter(invoices=invoice_id)
    current, later = Q(pk__in=subscription.values("plan")), Q(pk__in=subscription.values("next_plan"))
    return Plan.objects.filter(Q(pk__in=invoice.values("plan")) | current | later)


_SUBSCRIPTION_OF = reads.Read(
    lambda invoice_id: Subscription.objects.locked().filter(invoices=invoice_id), UUID, is_kept=True
)
_INVOICE = reads.Read(lambda invoice_id: SubscriptionInvoice.objects.filter(pk=invoice_id), UUID, is_kept=True)
_PLANS_OF = reads.Read(_plans_of, UUID, is_kept=True)


def may_collect(payment: Payment, /) -> bool:
    """Whether the invoice is still to be paid, and this is a way to collect it that its subscriber agrees to.

    Nothing is charged to a saved method after a cancellation, in the face of a dispute, or once another one is saved.
    """
    subscription, invoice = lock_invoice(payment)
    if invoice.status not in PAYABLE:
        return False
    if invoice.is_upgrade and is_quote_over(invoice):
        return False
    if not payment.off_session:
        return _may_begin_period(subscription)
    # Whoever cancels withdraws an upgrade; one that was requested afterwards is wanted.
    is_leaving = subscription.cancel_at_period_end and not invoice.is_upgrade
    if subscription.status not in ENTITLING or is_leaving:
        return False
    # A charge of a method that was revoked is sent: payments refuses it, which fails it with the reason.
    is_same_method = payment.payment_method_id == subscription.hyperswitch_payment_method_id
    return (is_same_method or not may_charge(payment)) and not are_charges_stopped(subscription)


def payment_succeeded(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The payment of an invoice arrived: mark it paid once, and begin the period if the subscription can still use it.

    A payment that cannot be used (paid already, cancelled, replaced by another subscription) is refunded.
    """
    subscription, invoice = lock_invoice(payment)
    if invoice.status not in PAYABLE:
        if invoice.hyperswitch_payment_id != payment.provider_key:
            return_unapplied_funds(payment, reason=f"The invoice was {invoice.status} already.")
        return
    may_begin, was_live = _may_begin_period(subscription), subscription.status in ENTITLING
    period = _period_of_payment(subscription, invoice, payment, at=at)
    span = (period.start_at, period.end_at)
    invoices.mark_paid(invoice, payment, period=span, cause=cause, at=at)
    close_pages_soon(Payment.Purpose.INVOICE, invoice.pk)
    if may_begin:
        _begin_period(subscription, invoice, payment, anchor_day=period.anchor_day, cause=cause, at=at)
        write_email(INVOICE_RECEIPT, invoice, to=subscription.user_id)
        if was_live and not payment.off_session:
            follow_disputes(subscription, at=at)  # Paying on a page clears them.
        return
    reason = f"The subscription was {subscription.status} when the money arrived."
    return_unapplied_funds(payment, surplus=invoices.allocation_of(invoice), reason=reason)


def payment_failed(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """A payment of an invoice failed: the first one ends the subscription, a renewal makes it past due.

    After that of an upgrade the plan and its period stay as they are.
    """
    subscription, invoice = lock_invoice(payment)
    if invoice.status not in PAYABLE:
        return
    if invoice.status == InvoiceStatus.PENDING:
        move(invoice, InvoiceStatus.FAILED, cause=cause, at=at)
    if invoice.is_upgrade:
        _drop_unusable_method(subscription, payment)
        write_upgrade_failed(invoice, payment)
        return
    match subscription.status:
        case SubscriptionStatus.PENDING_PAYMENT:
            move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=None)
        case SubscriptionStatus.TRIALING | SubscriptionStatus.ACTIVE if _is_renewal(subscription, invoice):
            _drop_unusable_method(subscription, payment)
            mark_past_due(subscription, invoice, cause=cause, at=at)
        case SubscriptionStatus.PAST_DUE:
            _drop_unusable_method(subscription, payment)
            writes.update(subscription, due_at=past_due_until(subscription, invoice, at=at))
            if payment.off_session:
                write_renewal_failed(subscription, invoice)


def doubt_ended(payment: Payment, /, *, cause: Cause, at: datetime) -> None:
    """The money of an invoice is certain again: nothing has waited for that, since no seller is paid from it."""


def refund_opened(refund: Refund, /) -> None:
    """A refund of an invoice was requested: the subscriber gets the acknowledgement."""
    write_email(REFUND_REQUESTED, refund, to=refund.payment.payer_id)


def refund_changed(refund: Refund, /, *, cause: Cause, at: datetime) -> None:
    """A refund of an invoice succeeded, failed, or was returned: only a full refund ends the access."""
    _update_invoice(refund.payment, cause=cause, at=at)
    write_refund_email(refund, at=at)


def dispute_changed(dispute: Dispute, /, *, cause: Cause, at: datetime) -> None:
    """A dispute over an invoice was opened or decided, or its decision reversed.

    A lost one ends the access, and an open or lost one stops the charges of the saved method.
    """
    subscription = _update_invoice(dispute.payment, cause=cause, at=at)
    follow_disputes(subscription, at=at)
    write_dispute_email(dispute)


def allocate_external_refund(refund: Refund, /) -> Allocation:
    """Allocate an external refund: an invoice has no items, so it is spread over the payment's accounts."""
    allocation = allocations.allocate_refund(refund.booked_minor, refund.payment)
    assert sum(allocation.values()) == refund.booked_minor, "a refund's allocation adds up to its amount"
    return allocation


def reallocate_refund(refund: Refund, /) -> Allocation:
    """The refund keeps its allocation: payments caps it to what remains of each account."""
    return dict(refund.allocation)


def _update_invoice(payment: Payment, *, cause: Cause, at: datetime) -> Subscription:
    """Update the invoice that `payment` paid, and its subscription, to match the payment's refunds and disputes."""
    subscription, invoice = lock_invoice(payment)
    if invoice.hyperswitch_payment_id != payment.provider_key:
        return subscription  # Another payment paid it; this one is refunded on its own.
    invoices.void_upgrade(subscription, cause=cause, at=at)  # It was offered for what was paid before.
    renew_after_failed_refund(subscription, at=at)
    is_refunded_in_full = invoices.refunded_minor(payment) >= invoice.total_minor
    if is_refunded_in_full and invoice.status == InvoiceStatus.PAID:
        move(invoice, InvoiceStatus.REFUNDED, cause=cause, at=at)
        _end_refunded(subscription, invoice, payment, cause=cause, at=at)
    elif not is_refunded_in_full and invoice.status == InvoiceStatus.REFUNDED:
        move(invoice, InvoiceStatus.PAID, cause=cause, at=at)
        may_resume = subscription.status == SubscriptionStatus.EXPIRED and _may_begin_period(subscription)
        if may_resume and at < invoice.period_end_at:
            due_at = _renewal_due_at(subscription, invoice, at=at)
            move(subscription, SubscriptionStatus.ACTIVE, cause=cause, at=at, ended_at=None, due_at=due_at)
        elif invoice.is_upgrade:
            redo_upgrade(subscription, invoice, at=at)
    return subscription


def _end_refunded(
    subscription: Subscription, invoice: SubscriptionInvoice, payment: Payment, *, cause: Cause, at: datetime
) -> None:
    """End a subscription whose last period was refunded: a charge in flight does not bring it back, it is returned.

    After an upgrade was refunded, the period before it goes on, if it has not ended.
    """
    if subscription.status in ENTITLING:
        if effective_payment(subscription, at=at) is not None:
            if invoice.is_upgrade:
                undo_upgrade(subscription, payment, at=at)
            return
        # A sweep closes what is open at Hyperswitch.
        move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=at)
        write_ended(subscription)
    if subscription.status == SubscriptionStatus.EXPIRED:
        invoices.close_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)


def _drop_unusable_method(subscription: Subscription, payment: Payment) -> None:
    """Forget the saved method if its bank will never let it be charged again: the payer is asked for another one."""
    is_saved = payment.payment_method_id == subscription.hyperswitch_payment_method_id
    if payment.off_session and is_saved and decline_of(payment) == Decline.HARD:
        writes.update(subscription, hyperswitch_payment_method_id="", method_expires_on=None)


def mark_past_due(subscription: Subscription, invoice: SubscriptionInvoice, *, cause: Cause, at: datetime) -> None:
    """Mark the subscription past due for an unpaid renewal, and schedule the retry, in the caller's transaction."""
    assert connection.in_atomic_block, "a subscription becomes past due in the transaction that locks it"
    assert invoice.subscription_id == subscription.pk, "a subscription is past due for an invoice of its own"
    due_at = past_due_until(subscription, invoice, at=at)
    move(subscription, SubscriptionStatus.PAST_DUE, cause=cause, at=at, past_due_since_at=at, due_at=due_at)
    write_renewal_failed(subscription, invoice)


def lock_invoice(payment: Payment, /) -> tuple[Subscription, SubscriptionInvoice]:
    """Lock the subscription: without its lock none of its invoices is written. The caller has locked the payment."""
    assert payment.purpose == Payment.Purpose.INVOICE, "subscriptions handles payments of invoices only"
    assert connection.in_atomic_block, "an invoice follows its money in the transaction that moves the money"
    rows = reads.together(*(read.on(payment.purpose_id) for read in (_SUBSCRIPTION_OF, _INVOICE, _PLANS_OF)))
    (subscription,), (invoice,), plans = rows
    by_id = {plan.pk: plan for plan in plans}
    subscription.plan, subscription.next_plan = by_id[subscription.plan_id], by_id.get(subscription.next_plan_id)
    invoice.plan = by_id[invoice.plan_id]
    assert payment.currency == invoice.currency, "an invoice and its payment have one currency"
    return subscription, invoice


def _may_begin_period(subscription: Subscription) -> bool:
    """Whether a paid period may begin: not after a cancellation or in a closed account, and never beside another."""
    if subscription.status != SubscriptionStatus.EXPIRED:
        return subscription.status in LIVE
    if not is_open(subscription.user_id):
        return False
    others = Subscription.objects.filter(user=subscription.user_id, status__in=LIVE)
    return not others.exclude(pk=subscription.pk).exists()


def _is_renewal(subscription: Subscription, invoice: SubscriptionInvoice) -> bool:
    return subscription.period_end_at is not None and invoice.period_start_at >= subscription.period_end_at


@dataclass(frozen=True)
class _Period:
    start_at: datetime
    end_at: datetime
    anchor_day: int


def _period_of_payment(
    subscription: Subscription, invoice: SubscriptionInvoice, payment: Payment, *, at: datetime
) -> _Period:
    """The period that is paid: the invoice's own while access has not ended, else a whole one from now.

    A renewal that is paid within the grace period keeps its dates: the grace period covered its beginning.
    """
    if at < invoice.period_end_at and _has_kept_access(subscription, invoice, payment, at=at):
        return _Period(invoice.period_start_at, invoice.period_end_at, subscription.anchor_day)
    return _Period(at, end_of(at, invoice.plan.interval, anchor_day=at.day), at.day)


def _has_kept_access(
    subscription: Subscription, invoice: SubscriptionInvoice, payment: Payment, *, at: datetime
) -> bool:
    """Whether access has not ended until now: within the grace period, or while a bank worked on this payment."""
    if effective_payment(subscription, at=at) is not None:
        return True
    if subscription.status not in ENTITLING or subscription.cancel_at_period_end or at >= processing_ends_at(invoice):
        return False
    has_paid_before = subscription.invoices.filter(status=InvoiceStatus.PAID).exists()
    by_bank = StatusChange.objects.filter(subject_id=payment.pk, from_status=PaymentStatus.PROCESSING)
    return has_paid_before and by_bank.exists()


def _begin_period(
    subscription: Subscription,
    invoice: SubscriptionInvoice,
    payment: Payment,
    *,
    anchor_day: int,
    cause: Cause,
    at: datetime,
) -> None:
    fields: dict[str, Any] = {"hyperswitch_customer_id": payment.customer_key, "past_due_since_at": None}
    if saves_method(payment):
        fields["hyperswitch_payment_method_id"] = payment.payment_method_id
        if not payment.off_session:
            fields["method_expires_on"] = subscription.method_expires_on = payment.card_expires_on
    current_end_at = subscription.period_end_at if subscription.status in ENTITLING else None
    if invoice.is_upgrade:
        subscription.cancel_at_period_end = False  # Whoever pays for another plan wants it to go on.
        fields |= _period_fields(subscription, invoice, at=at) | upgraded_fields(subscription, invoice)
    elif current_end_at is None or invoice.period_end_at > current_end_at:
        fields |= _period_fields(subscription, invoice, at=at) | {"anchor_day": anchor_day}
    if subscription.status == SubscriptionStatus.ACTIVE:
        writes.update(subscription, **fields)
    else:
        move(subscription, SubscriptionStatus.ACTIVE, cause=cause, at=at, ended_at=None, **fields)


def _period_fields(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> dict[str, Any]:
    return {
        "plan": invoice.plan,
        "next_plan": None if subscription.next_plan_id == invoice.plan_id else subscription.next_plan,
        "period_start_at": invoice.period_start_at,
        "period_end_at": invoice.period_end_at,
        "due_at": _renewal_due_at(subscription, invoice, at=at),
    }


def _renewal_due_at(subscription: Subscription, invoice: SubscriptionInvoice, *, at: datetime) -> datetime:
    reminds, expires_on = not subscription.cancel_at_period_end, subscription.method_expires_on
    return renewal_due_at(invoice.period_end_at, reminds=reminds, at=at, card_expires_on=expires_on)
