"""Invoices: what a period costs, the payments that try to pay it, and whose money it then is."""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from payments.collection.payment_requests import open_payment
from payments.ledger.chart_of_accounts import SUBSCRIPTION_INCOME, TAX
from payments.ledger.postings import post_applied
from payments.models import Dispute, Payment
from payments.states import PaymentStatus, RefundStatus
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.periods import end_of
from subscriptions.states import OWED, InvoiceStatus
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.money import basis_points_of
from veza.core.states import move

# Definitely dead, as far as the provider has told us: only then may another payment be opened.
PAYMENT_DEAD = (PaymentStatus.FAILED, PaymentStatus.CANCELLED)
KEEP_METHOD = "off_session"


def open_invoice(subscription: Subscription, plan: Plan, *, start_at: datetime) -> SubscriptionInvoice:
    """The invoice of the period that starts at `start_at`, at the plan's price and tax of today.

    There is one for each period, whoever asks and how often.
    """
    tax = basis_points_of(plan.price_minor, plan.tax_basis_points)
    invoice, _ = SubscriptionInvoice.objects.get_or_create(
        subscription=subscription,
        period_start_at=start_at,
        defaults={
            "plan": plan,
            "period_end_at": end_of(start_at, plan.interval, anchor_day=subscription.anchor_day),
            "net_minor": plan.price_minor,
            "tax_minor": tax,
            "total_minor": plan.price_minor + tax,
            "currency": plan.currency,
        },
    )
    return invoice


def next_invoice(subscription: Subscription, *, at: datetime) -> SubscriptionInvoice:
    """The invoice of the period after the one that is over; of one that starts now if none is."""
    end_at = subscription.period_end_at
    start_at = end_at if end_at is not None and end_at <= at else at
    return open_invoice(subscription, subscription.next_plan or subscription.plan, start_at=start_at)


def owed_invoice(subscription: Subscription) -> SubscriptionInvoice | None:
    """The newest invoice that still wants to be paid."""
    owed = subscription.invoices.filter(status__in=OWED).select_related("plan")
    return owed.order_by("period_start_at").last()


def payments_of(invoice_id: UUID) -> list[Payment]:
    """The payments that tried to pay an invoice, oldest first."""
    return list(Payment.objects.of(Payment.Purpose.INVOICE, invoice_id))


def open_page_payment(invoice: SubscriptionInvoice, subscription: Subscription, *, payment_id: UUID) -> Payment:
    """A payment with a page, whose method is kept for the renewals, in the caller's transaction."""
    return _open_payment(invoice, subscription, payment_id=payment_id, future_usage=KEEP_METHOD)


def open_charge(invoice: SubscriptionInvoice, subscription: Subscription) -> Payment:
    """A payment by the subscription's saved method, without its owner, in the caller's transaction."""
    assert subscription.hyperswitch_payment_method_id, "only a saved method can be charged without its owner"
    charges = subscription.hyperswitch_payment_method_id
    return _open_payment(invoice, subscription, payment_id=new_id(), charges_method=charges)


def _open_payment(
    invoice: SubscriptionInvoice,
    subscription: Subscription,
    *,
    payment_id: UUID,
    future_usage: str = "",
    charges_method: str = "",
) -> Payment:
    return open_payment(
        payment_id=payment_id,
        purpose=Payment.Purpose.INVOICE,
        purpose_id=invoice.pk,
        correlation_id=subscription.pk,
        payer_id=subscription.user_id,
        amount_minor=invoice.total_minor,
        currency=invoice.currency,
        description=f"{invoice.plan.name}, from {invoice.period_start_at:%d %B %Y}",
        return_url=f"{settings.PUBLIC_BASE_URL}/paid",
        future_usage=future_usage,
        charges_method=charges_method,
    )


def settle(
    invoice: SubscriptionInvoice,
    payment: Payment,
    *,
    period: tuple[datetime, datetime],
    cause: Cause,
    at: datetime,
) -> None:
    """Mark the invoice as paid by `payment` for `period`, and claim the money, in the caller's transaction."""
    move(
        invoice,
        InvoiceStatus.PAID,
        cause=cause,
        at=at,
        paid_at=at,
        hyperswitch_payment_id=payment.provider_key,
        period_start_at=period[0],
        period_end_at=period[1],
    )
    post_applied(invoice.pk, allocation_of(invoice), payment=payment, at=at)


def allocation_of(invoice: SubscriptionInvoice) -> dict[str, int]:
    """Whose money a paid invoice is, account by account."""
    allocation = {SUBSCRIPTION_INCOME: invoice.net_minor, TAX: invoice.tax_minor}
    return {account: amount for account, amount in allocation.items() if amount}


def allocation_left(invoice: SubscriptionInvoice, payment: Payment) -> dict[str, int]:
    """What disputes, and refunds under way or done, have left of each leg."""
    refunds = payment.refunds.filter(status__in=(RefundStatus.PENDING, RefundStatus.SUCCEEDED))
    left = allocation_of(invoice)
    for allocation in (
        *refunds.values_list("allocation", flat=True),
        *payment.disputes.values_list("allocation", flat=True),
    ):
        left = {account: amount - allocation.get(account, 0) for account, amount in left.items()}
    return left


def refunded_minor(payment: Payment) -> int:
    """How much of what an invoice claimed of its payment refunds and lost disputes took; a surplus is not of it."""
    done = payment.refunds.filter(status=RefundStatus.SUCCEEDED).values_list("allocation", flat=True)
    lost = payment.disputes.filter(funds_location=Dispute.FundsLocation.BANK).values_list("allocation", flat=True)
    return sum(allocation.get(account, 0) for allocation in (*done, *lost) for account in (SUBSCRIPTION_INCOME, TAX))


def give_up_invoices(subscription: Subscription, status: InvoiceStatus, *, cause: Cause, at: datetime) -> None:
    """Move what the subscription still owes to `status`: failed may be paid late, void is wanted no more."""
    owed = SubscriptionInvoice.objects.locked().filter(subscription=subscription, status__in=OWED)
    for invoice in owed:
        if invoice.status != status:
            move(invoice, status, cause=cause, at=at)
