"""What staff may do about a subscription and an invoice."""

from typing import Any

from django import forms
from django.utils import timezone

from payments.reconciliation.refresh import open_rows_of, refresh_correlated
from subscriptions import changes, unpaid
from subscriptions.access import effective_payment
from subscriptions.completion import request_completion
from subscriptions.invoices import allocation_left, payments_of
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.refunds import request_refund
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.money import exponent, format_amount


class RefreshSubscription(AdminAction):
    label, permission = "Ask the provider now", "payments.ask_provider"

    def is_available(self, row: Subscription) -> bool:
        return any(open_rows_of(row.pk))

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            "Hyperswitch is asked now about every open payment and refund of this subscription. No money moves.",
            "What it says is booked exactly as its webhook would have been.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        before, questions = row.status, refresh_correlated(row.pk, cause=cause)
        row.refresh_from_db()
        became = f"went from {before} to {row.status}" if row.status != before else f"is still {row.status}"
        return f"Hyperswitch was asked {questions} times. The subscription {became}.".replace("_", " ")


class GetPaymentLink(AdminAction):
    """The way out for somebody who owes: the page where they pay."""

    label, permission = "Get the page to pay on", "subscriptions.complete_subscription"
    for_selection = False

    def is_available(self, row: Subscription) -> bool:
        owing = (SubscriptionStatus.PENDING_PAYMENT, SubscriptionStatus.PAST_DUE, SubscriptionStatus.ACTIVE)
        return row.status in owing and effective_payment(row, at=timezone.now()) is None

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"The payment page of {row.user.email} is looked up; a new one is made if the last is dead.",
            "You get its address to send to them. The subscription becomes active when they have paid.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        found = request_completion(
            subscription_id=row.pk, payment_id=params.id, user_id=row.user_id, cause=cause, at=timezone.now()
        )
        return f"They pay at {found.payment_url}" if found.payment_url else "Hyperswitch has not answered: try again."


class ExpireUnpaidSubscription(AdminAction):
    label, permission = "Expire it: nobody paid", "subscriptions.expire_subscription"

    def is_available(self, row: Subscription) -> bool:
        return row.status == SubscriptionStatus.ACTIVE and effective_payment(row, at=timezone.now()) is None

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.user.email} has {row.plan.name} without having paid for it: it ends now.",
            "The row is kept as it stands, for support. No money moves; paying later makes it active again.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        expired = unpaid.expire_unpaid(row.pk, cause=cause, at=timezone.now())
        return "The subscription is expired." if expired else "It has been paid meanwhile: nothing was changed."


class CancelSubscriptionNow(AdminAction):
    label, permission = "End it now", "subscriptions.expire_subscription"

    def is_available(self, row: Subscription) -> bool:
        return row.status in LIVE

    def preview(self, row: Subscription, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.user.email} loses {row.plan.name} now, and nothing is charged any more.",
            "What was paid for the period is not given back by this. Refund the invoice if it should be.",
        ]

    def perform(self, row: Subscription, *, cause: Cause, params: ActionRequest) -> str:
        ended = changes.cancel(user_id=row.user_id, now=True, cause=cause, at=timezone.now())
        return f"The subscription is {ended.status}."


class InvoiceRefundForm(ActionForm):
    amount = forms.DecimalField(required=False, min_value=0, label="Only this much", help_text="Left empty: all.")
    field_order = ("amount", "reason")

    def __init__(self, data: Any, invoice: SubscriptionInvoice) -> None:
        super().__init__(data)
        self.digits = exponent(invoice.currency)
        self.fields["amount"].label = f"Only this much ({invoice.currency})"

    def clean_amount(self) -> int | None:
        """In minor units."""
        given = self.cleaned_data["amount"]
        minor = given.scaleb(self.digits) if given is not None else None
        if minor is not None and (minor != int(minor) or minor <= 0):
            raise forms.ValidationError(f"An amount above zero with at most {self.digits} decimals.")
        return int(minor) if minor is not None else None


class RefundInvoice(AdminAction):
    label, permission, for_selection = "Refund the invoice", "payments.refund_for_buyer", False

    def is_available(self, row: SubscriptionInvoice) -> bool:
        return row.status == InvoiceStatus.PAID

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return InvoiceRefundForm(data, row)

    def preview(self, row: SubscriptionInvoice, *, params: ActionRequest) -> list[str]:
        paid_by = [payment for payment in payments_of(row.pk) if payment.received_minor]
        left = sum(allocation_left(row, paid_by[-1]).values()) if paid_by else 0
        amount = params.answers.get("amount") or left
        if amount > left or not left:
            return [f"Only {format_amount(left, row.currency)} is left to refund: this will be refused."]
        person = row.subscription.user.email
        end = " All of it: their access ends." if amount == left else " The subscription goes on."
        return [f"Hyperswitch is asked to give {format_amount(amount, row.currency)} back to {person}.{end}"]

    def perform(self, row: SubscriptionInvoice, *, cause: Cause, params: ActionRequest) -> str:
        refund = request_refund(
            refund_id=params.id,
            invoice_id=row.pk,
            amount_minor=params.answers.get("amount"),
            reason=cause.reason,
            asked_by_id=params.by.pk,
            cause=cause,
        )
        refund.refresh_from_db()
        return f"The refund of {format_amount(refund.amount_minor, refund.currency)} is {refund.status}."
