"""Giving a subscriber's money back: all of it ends the access, a part of it does not."""

from uuid import UUID

from django.db import transaction

from payments.models import Payment, Refund
from payments.refunds.refund_requests import PaymentMissing, RefundExceedsPayment, open_refund, send_now
from subscriptions.invoices import allocation_left
from subscriptions.models import SubscriptionInvoice
from subscriptions.states import InvoiceStatus
from veza.core.causes import Cause
from veza.core.errors import NotFound
from veza.core.ids import row_id
from veza.core.money import allocate, format_amount


def request_refund(
    *, refund_id: UUID, invoice_id: UUID, amount_minor: int | None, reason: str, asked_by_id: UUID, cause: Cause
) -> Refund:
    """Open a refund of an invoice for support and ask the provider for it. No amount means all that is left.

    Raises NotFound, PaymentMissing, RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    refund = place_refund(
        refund_id=refund_id,
        invoice_id=invoice_id,
        amount_minor=amount_minor,
        reason=reason,
        asked_by_id=asked_by_id,
    )
    if refund.first_sent_at is None:
        send_now(refund.pk, cause=cause)
    return refund


@transaction.atomic(durable=True)
def place_refund(
    *, refund_id: UUID, invoice_id: UUID, amount_minor: int | None, reason: str, asked_by_id: UUID
) -> Refund:
    """Commit a refund that nobody has told the provider about yet, divided over income and tax."""
    invoice = SubscriptionInvoice.objects.filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    paid_by = row_id("pay", invoice.hyperswitch_payment_id)
    payment = Payment.objects.locked().filter(pk=paid_by).first() if paid_by else None
    if payment is None or invoice.status not in (InvoiceStatus.PAID, InvoiceStatus.REFUNDED):
        raise PaymentMissing("This invoice was never paid, so there is nothing to give back.")
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    left = allocation_left(invoice, payment)
    amount = sum(left.values()) if amount_minor is None else amount_minor
    if amount <= 0 or amount > sum(left.values()):
        raise RefundExceedsPayment(f"Only {format_amount(sum(left.values()), payment.currency)} is left to refund.")
    parts = allocate(amount, list(left.values()))
    return open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=amount,
        allocation={account: part for account, part in zip(left, parts, strict=True) if part},
        source=Refund.Source.SUPPORT,
        reason=reason,
        requested_by_id=asked_by_id,
    )
