"""What staff may do about a subscription and an invoice."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils import timezone

from payments.admin_actions import refresh_purchase
from payments.reconciliation.refresh import open_rows_of
from payments.refund_actions import BankReferenceForm
from subscriptions import changes, unpaid
from subscriptions.access import effective_payment, is_in_doubt
from subscriptions.chargebacks import are_charges_stopped, resume_charges
from subscriptions.completion import request_completion
from subscriptions.invoices import payments_of, remaining_allocation
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.refunds import is_refundable_from_bank, refund_from_bank, request_refund
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units
from veza.core.causes import Cause
from veza.core.money import format_amount


class RefreshSubscription(AdminAction[Subscription]):
    label, permission = "Refresh from Hyperswitch", "payments.ask_provider"

    def is_available(self, row: Subscription) -> bool:
        return any(open_rows_of(row.pk))

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            "The status of every open payment and refund is read from Hyperswitch now. This moves no money.",
            "It is applied like a webhook. Without an answer nothing changes.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        return refresh_purchase(row, cause=cause)


class GetPaymentLink(AdminAction[Subscription]):
    """For a subscriber who has to pay: the address of the payment page."""

    label, permission = "Get payment link", "subscriptions.complete_subscription"
    for_selection = False

    def is_available(self, row: Subscription) -> bool:
        payable = (SubscriptionStatus.PENDING_PAYMENT, SubscriptionStatus.PAST_DUE, SubscriptionStatus.ACTIVE)
        return row.status in payable and effective_payment(row, at=timezone.now()) is None

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"Finds the payment page of {row.user.email}, or creates a new one if the last is closed.",
            "You get the link to send to them. The subscription becomes active once they have paid.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        checkout = request_completion(
            subscription_id=row.pk, payment_id=params.id, user_id=row.user_id, cause=cause, at=timezone.now()
        )
        if not checkout.payment_url:
            return "Hyperswitch has not answered. Try again in a minute."
        return f"Payment link: {checkout.payment_url}"


class ExpireUnpaidSubscription(AdminAction[Subscription]):
    label, permission = "Expire unpaid", "subscriptions.expire_subscription"

    def is_available(self, row: Subscription) -> bool:
        is_unpaid = effective_payment(row, at=timezone.now()) is None and not is_in_doubt(row)
        return row.status == SubscriptionStatus.ACTIVE and is_unpaid

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.user.email} has {row.plan.name} without a payment: it ends now.",
            "A copy is stored for support. No money moves; a later payment makes it active again.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        is_expired = unpaid.expire_unpaid(row.pk, cause=cause, at=timezone.now())
        return "The subscription is expired." if is_expired else "It has been paid in the meantime: nothing changed."


class ResumeCharges(AdminAction[Subscription]):
    """After a dispute: the subscriber has agreed to be charged again."""

    label, permission = "Resume charges", "subscriptions.resume_charges"
    for_selection = False

    def is_available(self, row: Subscription) -> bool:
        return row.status in LIVE and are_charges_stopped(row)

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.user.email} disputed a payment. Their saved payment method is charged again from now on.",
            "A renewal that is past due is charged within minutes. A new dispute stops the charges again.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        resume_charges(subscription_id=row.pk, cause=cause, at=timezone.now())
        return "The saved payment method is charged again."


class CancelSubscriptionNow(AdminAction[Subscription]):
    label, permission = "Cancel immediately", "subscriptions.expire_subscription"

    def is_available(self, row: Subscription) -> bool:
        return row.status in LIVE

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.user.email} loses access to {row.plan.name} now. Nothing more is charged.",
            "This does not refund the current period. To refund it, refund its invoice.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        subscription = changes.cancel(user_id=row.user_id, now=True, cause=cause, at=timezone.now())
        return f"The subscription is {subscription.status}."


class InvoiceRefundForm(ActionForm):
    amount = forms.DecimalField(required=False, min_value=0, label="Amount", help_text="Empty: all.")
    field_order: tuple[str, ...] = ("amount", "reason")

    def __init__(self, data: Any, invoice: SubscriptionInvoice) -> None:
        super().__init__(data)
        self.currency = invoice.currency
        self.fields["amount"].label = f"Amount ({invoice.currency})"

    def clean_amount(self) -> int | None:
        """In minor units."""
        amount = self.cleaned_data["amount"]
        return minor_units(amount, self.currency) if amount is not None else None


class RefundInvoice(AdminAction[SubscriptionInvoice]):
    label, permission, for_selection = "Refund invoice", "payments.refund_for_buyer", False

    def is_available(self, row: SubscriptionInvoice) -> bool:
        return row.status == InvoiceStatus.PAID

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return InvoiceRefundForm(data, row)

    def preview(self, row: SubscriptionInvoice, *, params: ActionRequest) -> list[str]:
        available = _available_minor(row)
        amount = params.answers.get("amount") or available
        if amount > available or not available:
            return [f"Only {format_amount(available, row.currency)} is left to refund: this will be refused."]
        return [
            f"Hyperswitch refunds {format_amount(amount, row.currency)} to {row.subscription.user.email}.",
            "This is the full amount: if it is of the last period, their access ends and nothing more is charged."
            if amount == available
            else "The subscription continues.",
        ]

    def perform(self, row: SubscriptionInvoice, *, cause: Cause, params: ActionRequest) -> str:
        refund = request_refund(
            refund_id=params.id,
            invoice_id=row.pk,
            amount_minor=params.answers.get("amount"),
            reason=cause.reason,
            requested_by_id=params.by.pk,
            cause=cause,
        )
        refund.refresh_from_db()
        return f"The refund of {format_amount(refund.amount_minor, refund.currency)} is {refund.status}."


def _available_minor(invoice: SubscriptionInvoice) -> int:
    """What is left to refund of an invoice, in minor units of its currency."""
    payments = [payment for payment in payments_of(invoice.pk) if payment.received_minor]
    return sum(remaining_allocation(invoice, payments[-1]).values()) if payments else 0


class InvoiceBankRefundForm(BankReferenceForm, InvoiceRefundForm):
    field_order = ("amount", "bank_reference", "reason")

    def __init__(self, data: Any, invoice: SubscriptionInvoice) -> None:
        super().__init__(data, invoice)
        self.fields["amount"].required, self.fields["amount"].help_text = True, "What was paid to the subscriber."


class BookBankRefundOfInvoice(AdminAction[SubscriptionInvoice]):
    """For an invoice that Hyperswitch cannot refund any more, and that finance paid back from our bank account."""

    label, permission, for_selection = "Book bank refund", "payments.book_bank_refund", False

    def is_available(self, row: SubscriptionInvoice) -> bool:
        return is_refundable_from_bank(row)

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return InvoiceBankRefundForm(data, row)

    def preview(self, row: SubscriptionInvoice, *, params: ActionRequest) -> list[str]:
        available = _available_minor(row)
        amount = params.answers.get("amount")
        if amount is not None and amount > available:
            return [f"Only {format_amount(available, row.currency)} is left to refund: this will be refused."]
        paid = "The amount" if amount is None else format_amount(amount, row.currency)
        return [
            f"{paid} is booked as paid to {row.subscription.user.email} from our bank account. Hyperswitch is not "
            "called: make the bank transfer first.",
            f"Of {format_amount(available, row.currency)}, everything ends their access; less does not.",
        ]

    def perform(self, row: SubscriptionInvoice, *, cause: Cause, params: ActionRequest) -> str:
        refund = refund_from_bank(
            refund_id=params.id,
            invoice_id=row.pk,
            amount_minor=params.answers["amount"],
            bank_reference=params.answers["bank_reference"],
            booked_by_id=params.by.pk,
            cause=cause,
        )
        return f"The bank refund of {format_amount(refund.amount_minor, refund.currency)} is booked."
