"""Refunds of invoices, through Hyperswitch or from our bank account: a full refund ends the access, a partial one does
not.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from payments.models import Payment, Refund
from payments.refunds.bank_refunds import book_bank_refund, is_bank_refund_possible, open_bank_refund
from payments.refunds.refund_requests import (
    PaymentMissing,
    RefundExceedsPayment,
    open_refund,
    refuse_in_doubt,
    refuse_unpayable_amount,
    send_now,
)
from subscriptions import invoices
from subscriptions.invoices import remaining_allocation
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.states import LIVE, InvoiceStatus
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.errors import NotFound
from veza.core.ids import row_id
from veza.core.money import allocate, format_amount


def request_refund(
    *, refund_id: UUID, invoice_id: UUID, amount_minor: int | None, reason: str, requested_by_id: UUID, cause: Cause
) -> Refund:
    """Open a refund of an invoice for support and send it to Hyperswitch. No amount means all that is left.

    Raises NotFound, OwnAccount, PaymentMissing, PaymentInDoubt, RefundAlreadyRequested, RefundExceedsPayment,
    RefundLimitReached.
    """
    refund = place_refund(
        refund_id=refund_id,
        invoice_id=invoice_id,
        amount_minor=amount_minor,
        reason=reason,
        requested_by_id=requested_by_id,
        cause=cause,
        at=timezone.now(),
    )
    if refund.first_sent_at is None:
        send_now(refund.pk, cause=cause)
    return refund


@writes.atomic()
def place_refund(
    *,
    refund_id: UUID,
    invoice_id: UUID,
    amount_minor: int | None,
    reason: str,
    requested_by_id: UUID,
    cause: Cause,
    at: datetime,
) -> Refund:
    """Commit a refund that is not sent yet, divided over income and tax.

    A refund of all that is left of the last paid period ends the subscription with it: no renewal is charged any more.
    """
    invoice, payment = _lock_payment(invoice_id)
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    refuse_own(payment.payer_id, cause)
    refuse_in_doubt(payment)
    subscription = Subscription.objects.locked().get(pk=invoice.subscription_id)
    invoices.void_upgrade(subscription, cause=cause, at=at)  # Its credit is of what is refunded now.
    remaining = {account: part for account, part in remaining_allocation(invoice, payment).items() if part}
    allocation = _split_request(remaining, payment, amount_minor)
    refund = open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=sum(allocation.values()),
        allocation=allocation,
        source=Refund.Source.SUPPORT,
        reason=reason,
        requested_by_id=requested_by_id,
    )
    assert refund.currency == payment.currency == invoice.currency, "invoice, payment and refund have one currency"
    if allocation == remaining:
        _stop_renewing(subscription, invoice, refund, cause=cause, at=at)
    return refund


@writes.atomic()
def refund_from_bank(
    *, refund_id: UUID, invoice_id: UUID, amount_minor: int, bank_reference: str, booked_by_id: UUID, cause: Cause
) -> Refund:
    """Book that our bank paid a subscriber back `amount_minor`, in the invoice's currency. Returns the refund,
    succeeded.

    The same id again returns the first. Raises NotFound, OwnAccount, PaymentMissing, RefundExceedsPayment, and what
    `open_bank_refund` raises.
    """
    invoice, payment = _lock_payment(invoice_id)
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    refuse_own(payment.payer_id, cause)
    refund = open_bank_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=amount_minor,
        allocation=_split_request(remaining_allocation(invoice, payment), payment, amount_minor),
        bank_reference=bank_reference,
        reason=cause.reason,
        requested_by_id=booked_by_id,
    )
    book_bank_refund(refund, cause=cause, at=timezone.now())
    return refund


def is_refundable_from_bank(invoice: SubscriptionInvoice) -> bool:
    """Whether finance may book a bank refund of the invoice now."""
    payment_id = row_id("pay", invoice.hyperswitch_payment_id)
    payment = Payment.objects.filter(pk=payment_id).first() if payment_id else None
    return invoice.status == InvoiceStatus.PAID and payment is not None and is_bank_refund_possible(payment)


def _lock_payment(invoice_id: UUID) -> tuple[SubscriptionInvoice, Payment]:
    """The invoice, and the payment that paid it, locked."""
    invoice = SubscriptionInvoice.objects.filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    payment_id = row_id("pay", invoice.hyperswitch_payment_id)
    payment = Payment.objects.locked().filter(pk=payment_id).first() if payment_id else None
    if payment is None or invoice.status not in (InvoiceStatus.PAID, InvoiceStatus.REFUNDED):
        raise PaymentMissing("This invoice was never paid, so there is nothing to refund.")
    return invoice, payment


def _stop_renewing(
    subscription: Subscription, invoice: SubscriptionInvoice, refund: Refund, *, cause: Cause, at: datetime
) -> None:
    """If this is the last period that was paid: what a charge in flight brings is returned, and no other is made.

    Should the refund fail, it renews again, unless its subscriber has cancelled it.
    """
    later = subscription.invoices.filter(status=InvoiceStatus.PAID, period_start_at__gt=invoice.period_start_at)
    if subscription.status not in LIVE or later.exists():
        return
    invoices.close_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)
    fields: dict[str, Any] = {"cancel_at_period_end": True, "due_at": subscription.period_end_at or at}
    if not subscription.cancel_at_period_end:
        fields["ending_refund"] = refund
    writes.update(subscription, **fields)


def _split_request(remaining: dict[str, int], payment: Payment, amount_minor: int | None) -> dict[str, int]:
    available = sum(remaining.values())
    amount = available if amount_minor is None else amount_minor
    if amount <= 0 or amount > available:
        raise RefundExceedsPayment(f"Only {format_amount(available, payment.currency)} is left to refund.")
    refuse_unpayable_amount(amount, payment.currency)
    parts = allocate(amount, list(remaining.values()), payment.currency)
    assert sum(parts) == amount, "the parts of a refund add up to its amount"
    assert min(parts) >= 0, "no part of a refund is negative"
    return {account: part for account, part in zip(remaining, parts, strict=True) if part}
