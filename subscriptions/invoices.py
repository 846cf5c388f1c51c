"""Invoices: the price of a period, the payments of it, and their allocation to income and tax."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection

from payments.collection.expiry import close_pages_soon
from payments.collection.payment_requests import open_payment
from payments.ledger.chart_of_accounts import SUBSCRIPTION_INCOME, TAX
from payments.ledger.postings import post_applied
from payments.models import Dispute, Payment
from payments.states import PaymentStatus, RefundStatus
from subscriptions.chargebacks import CHARGES_STOPPED
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.periods import end_of
from subscriptions.prices import plan_from
from subscriptions.states import PAYABLE, InvoiceStatus
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.reviews import close_review
from veza.core.states import move

# Hyperswitch reported that the payment failed or was cancelled: only then may another one be opened.
PAYMENT_DEAD = (PaymentStatus.FAILED, PaymentStatus.CANCELLED)
KEEP_METHOD = "off_session"


def open_invoice(subscription: Subscription, plan: Plan, *, start_at: datetime) -> SubscriptionInvoice:
    """The invoice of the period that starts at `start_at`, at the price and tax of that version of the plan.

    There is one for each period: opening it again returns the first.
    """
    assert not plan.is_free, "a free plan has no invoices"
    invoice, _ = SubscriptionInvoice.objects.get_or_create(
        subscription=subscription,
        period_start_at=start_at,
        defaults={
            "plan": plan,
            "period_end_at": end_of(start_at, plan.interval, anchor_day=subscription.anchor_day),
            "net_minor": plan.price_minor,
            "tax_minor": plan.tax_minor,
            "total_minor": plan.total_minor,
            "currency": plan.currency,
        },
    )
    assert invoice.total_minor == invoice.net_minor + invoice.tax_minor, "an invoice's net and tax add up to its total"
    return invoice


def next_invoice(subscription: Subscription, *, at: datetime) -> SubscriptionInvoice:
    """The invoice of the period after the last one; of a period that starts now if the last has not ended."""
    end_at = subscription.period_end_at
    start_at = end_at if end_at is not None and end_at <= at else at
    return open_invoice(subscription, plan_from(subscription, start_at), start_at=start_at)


def payable_invoice(subscription: Subscription) -> SubscriptionInvoice | None:
    """The newest invoice that is still to be paid. An upgrade's is not: it need not be paid."""
    payable = subscription.invoices.filter(status__in=PAYABLE, is_upgrade=False).select_related("plan")
    return payable.order_by("period_start_at").last()


def unpaid_invoices(subscription_id: UUID) -> list[SubscriptionInvoice]:
    """The invoices that may still be paid, an upgrade's too, by period."""
    unpaid = SubscriptionInvoice.objects.filter(subscription=subscription_id, status__in=PAYABLE)
    return list(unpaid.select_related("plan").order_by("period_start_at"))


def open_upgrade_of(subscription_id: UUID) -> SubscriptionInvoice | None:
    """The invoice of an upgrade that may still be paid. There is at most one."""
    upgrades = SubscriptionInvoice.objects.filter(subscription=subscription_id, is_upgrade=True, status__in=PAYABLE)
    return upgrades.select_related("plan").first()


def void_upgrade(subscription: Subscription, *, cause: Cause, at: datetime) -> None:
    """Withdraw the unpaid upgrade, if there is one: its page is closed, and what it brings is returned by itself.

    In the caller's transaction, which has locked the subscription and changes what the upgrade was offered for.
    """
    assert connection.in_atomic_block, "an upgrade is withdrawn in the commit that takes its place"
    if (invoice := open_upgrade_of(subscription.pk)) is not None:
        move(invoice, InvoiceStatus.VOID, cause=cause, at=at)
        close_pages_soon(Payment.Purpose.INVOICE, invoice.pk)


def payments_of(invoice_id: UUID) -> list[Payment]:
    """The payments of an invoice, oldest first."""
    return list(Payment.objects.of(Payment.Purpose.INVOICE, invoice_id))


def open_page_payment(
    invoice: SubscriptionInvoice, subscription: Subscription, *, payment_id: UUID, is_first: bool
) -> Payment:
    """Open a payment with a page, which saves the method for renewals, in the caller's transaction.

    `is_first`: the invoice has had no payment yet.
    """
    return _open_payment(invoice, subscription, payment_id=payment_id, is_first=is_first, future_usage=KEEP_METHOD)


def open_charge(invoice: SubscriptionInvoice, subscription: Subscription, *, is_first: bool) -> Payment:
    """Open an off-session payment by the saved method, in the caller's transaction; `is_first` as of a page."""
    assert subscription.hyperswitch_payment_method_id, "only a saved method can be charged off-session"
    method_id = subscription.hyperswitch_payment_method_id
    return _open_payment(invoice, subscription, payment_id=new_id(), is_first=is_first, charges_method=method_id)


def _open_payment(
    invoice: SubscriptionInvoice,
    subscription: Subscription,
    *,
    payment_id: UUID,
    is_first: bool,
    future_usage: str = "",
    charges_method: str = "",
) -> Payment:
    assert invoice.status in PAYABLE, "only an unpaid invoice gets another payment"
    payment = open_payment(
        payment_id=payment_id,
        purpose=Payment.Purpose.INVOICE,
        purpose_id=invoice.pk,
        correlation_id=subscription.pk,
        payer_id=subscription.user_id,
        amount_minor=invoice.total_minor,
        currency=invoice.currency,
        description=f"{invoice.plan.name}, from {invoice.period_start_at:%d %b %Y}",
        return_url=f"{settings.PUBLIC_BASE_URL}/paid",
        future_usage=future_usage,
        charges_method=charges_method,
        is_first=is_first,
    )
    assert payment.amount_minor == invoice.total_minor, "the payment of an invoice is of its total"
    assert payment.currency == invoice.currency, "an invoice and its payment have one currency"
    return payment


def mark_paid(
    invoice: SubscriptionInvoice,
    payment: Payment,
    *,
    period: tuple[datetime, datetime],
    cause: Cause,
    at: datetime,
) -> None:
    """Mark the invoice as paid by `payment` for `period`, and post its allocation, in the caller's transaction."""
    assert connection.in_atomic_block, "an invoice is paid in the transaction that books its payment"
    assert payment.purpose_id == invoice.pk, "an invoice is paid by a payment of its own"
    assert payment.received_minor >= invoice.total_minor, "an invoice is paid by its total or more"
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
    """The total of a paid invoice, divided over income and tax."""
    assert min(invoice.net_minor, invoice.tax_minor) >= 0, "no part of an invoice is negative"
    allocation = {SUBSCRIPTION_INCOME: invoice.net_minor, TAX: invoice.tax_minor}
    assert sum(allocation.values()) == invoice.total_minor, "an invoice's allocation adds up to its total"
    return {account: amount for account, amount in allocation.items() if amount}


def remaining_allocation(invoice: SubscriptionInvoice, payment: Payment) -> dict[str, int]:
    """What remains of each account's part after disputes, after pending and succeeded refunds, and after the credit
    that a paid upgrade had for the rest of its period.
    """
    refunds = payment.refunds.filter(status__in=(RefundStatus.PENDING, RefundStatus.SUCCEEDED))
    remaining = allocation_of(invoice)
    for allocation in (
        *refunds.values_list("allocation", flat=True),
        *payment.disputes.values_list("allocation", flat=True),
    ):
        remaining = {account: amount - allocation.get(account, 0) for account, amount in remaining.items()}
    credit = _credit_given(invoice)
    return {account: amount - min(max(0, amount), credit[account]) for account, amount in remaining.items()}


def _credit_given(invoice: SubscriptionInvoice) -> dict[str, int]:
    """What the invoice's rest has paid of an upgrade, by account."""
    upgrades = SubscriptionInvoice.objects.filter(credited_invoice=invoice, status=InvoiceStatus.PAID)
    parts = list(upgrades.values_list("credit_net_minor", "credit_tax_minor"))
    return {
        SUBSCRIPTION_INCOME: sum(net_minor for net_minor, _ in parts),
        TAX: sum(tax_minor for _, tax_minor in parts),
    }


def refunded_minor(payment: Payment) -> int:
    """How much of the invoice's total its refunds and lost disputes took; a surplus is not part of the total."""
    by_refunds = payment.refunds.filter(status=RefundStatus.SUCCEEDED).values_list("allocation", flat=True)
    by_disputes = payment.disputes.filter(funds_location=Dispute.FundsLocation.BANK).values_list(
        "allocation", flat=True
    )
    allocations = [*by_refunds, *by_disputes]
    return sum(allocation.get(account, 0) for allocation in allocations for account in (SUBSCRIPTION_INCOME, TAX))


def close_invoices(subscription: Subscription, status: InvoiceStatus, *, cause: Cause, at: datetime) -> None:
    """Move the unpaid invoices to `status`: failed may still be paid late, void may not. An upgrade is always void.

    Nothing is charged any more, so the review item about charges that a dispute stops is closed.
    """
    assert connection.in_atomic_block, "invoices are closed in the transaction that ends their subscription"
    void_upgrade(subscription, cause=cause, at=at)
    unpaid = SubscriptionInvoice.objects.filter(subscription=subscription, status__in=PAYABLE).order_by("pk")
    for invoice in unpaid:
        if invoice.status != status:
            move(invoice, status, cause=cause, at=at)
    close_review(CHARGES_STOPPED, subscription, note="The subscription ends: nothing is charged any more.")
