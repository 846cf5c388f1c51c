"""What staff may do about an order: refund it, refresh it from Hyperswitch, get its payment link, or cancel it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from marketplace.allocation import ItemShares, remaining_shares, split
from marketplace.models import Order, OrderItem
from marketplace.order_payments import cancel_order, request_payment
from marketplace.refunds import MAY_REFUND, RefundRequest, request_refund
from marketplace.states import PAYABLE_AGAIN, OrderStatus
from payments.reconciliation.refresh import open_rows_of, refresh_correlated
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.models import User
from veza.core.money import exponent, format_amount


class RefundForm(ActionForm):
    """Everything that is left to refund, unless items or an amount (or both) limit it."""

    items = forms.MultipleChoiceField(
        required=False,
        label="Only these items",
        help_text="None selected: all items.",
        widget=forms.CheckboxSelectMultiple,
    )
    amount = forms.DecimalField(
        required=False,
        label="Amount",
        min_value=0,
        help_text="Empty: everything that is left of the selected items.",
    )
    field_order = ("items", "amount", "reason")

    def __init__(self, data: Any, order: Order) -> None:
        super().__init__(data)
        self.order, self.digits = order, exponent(order.currency)
        self.fields["amount"].label = f"Amount ({order.currency})"
        items = list(order.items.order_by("pk"))
        remaining = {share.item_id: share.total_minor for share in remaining_shares(items)}
        self.fields["items"].choices = [  # type: ignore[attr-defined]  # The stub knows a plain Field only.
            (
                str(item.pk),
                f"{item.title}, {item.license}: {format_amount(remaining.get(item.pk, 0), order.currency)} left",
            )
            for item in items
        ]

    def clean_amount(self) -> int | None:
        """In minor units."""
        amount = self.cleaned_data["amount"]
        if amount is None:
            return None
        minor = amount.scaleb(self.digits)
        if minor != int(minor) or minor <= 0:
            raise forms.ValidationError(f"Enter an amount above zero with at most {self.digits} decimals.")
        return int(minor)


class RefundForBuyer(AdminAction[Order]):
    label, permission, for_selection = "Refund for the buyer", MAY_REFUND, False

    def is_available(self, row: Order) -> bool:
        return row.status == OrderStatus.COMPLETED and row.total_minor > 0

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return RefundForm(data, row)

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        items = _selected_items(row, params)
        remaining = remaining_shares(items)
        available = sum(share.total_minor for share in remaining)
        amount = params.answers.get("amount") or available
        if amount > available or not available:
            return [f"Only {format_amount(available, row.currency)} is left to refund: this will be refused."]
        parts = split(amount, remaining)
        fee, tax = sum(part.fee_minor for part in parts), sum(part.tax_minor for part in parts)
        return [
            f"Hyperswitch refunds {format_amount(amount, row.currency)} to {row.buyer.email}.",
            *_seller_sentences(parts, row.currency),
            f"Our fee decreases by {format_amount(fee, row.currency)}, tax by {format_amount(tax, row.currency)}.",
            "Booked once Hyperswitch reports success. Licences of items refunded in full are then revoked.",
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        item_ids = [item.pk for item in row.items.order_by("pk") if str(item.pk) in params.answers.get("items", [])]
        refund_request = RefundRequest(cause.reason, item_ids=item_ids, amount_minor=params.answers.get("amount"))
        refund = request_refund(
            refund_id=params.id, order_id=row.pk, requested_by=params.by, refund_request=refund_request, cause=cause
        )
        refund.refresh_from_db()
        return f"The refund of {format_amount(refund.amount_minor, refund.currency)} is {refund.status}."


def _selected_items(order: Order, params: ActionRequest) -> list[OrderItem]:
    item_ids = params.answers.get("items") or []
    return [item for item in order.items.order_by("pk") if not item_ids or str(item.pk) in item_ids]


def _seller_sentences(parts: Sequence[ItemShares], currency: str) -> list[str]:
    emails = dict(User.objects.filter(pk__in=[part.seller_id for part in parts]).values_list("pk", "email"))
    return [
        f"{format_amount(part.seller_minor, currency)} of {emails[part.seller_id]}: not sent, or reversed at Stripe."
        for part in parts
        if part.seller_minor
    ]


class RefreshOrder(AdminAction[Order]):
    label, permission = "Refresh from Hyperswitch", "payments.ask_provider"

    def is_available(self, row: Order) -> bool:
        return any(open_rows_of(row.pk))

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        payments, refunds, disputes = open_rows_of(row.pk)
        names = [f"payment {payment.shown_id}" for payment in payments]
        names += [f"refund {refund.shown_id}" for refund in refunds]
        names += [f"dispute {dispute.shown_id}" for dispute in disputes]
        return [
            f"The status of {', '.join(names)} is read from Hyperswitch now. This moves no money.",
            "It is applied like a webhook. Without an answer nothing changes.",
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        before, count = row.status, refresh_correlated(row.pk, cause=cause)
        row.refresh_from_db()
        items = "1 item" if count == 1 else f"{count} items"
        change = f"went from {before} to {row.status}" if row.status != before else f"is still {row.status}"
        return f"Refreshed {items}. The order {change}.".replace("_", " ")


class GetPaymentLink(AdminAction[Order]):
    """For a buyer whose order was not paid: the address of the payment page."""

    label, permission = "Get payment link", "marketplace.get_payment_link"
    for_selection = False

    def is_available(self, row: Order) -> bool:
        is_unpaid = row.status == OrderStatus.PENDING or row.status in PAYABLE_AGAIN
        return is_unpaid and row.cancel_requested_at is None

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        return [
            f"Finds the payment page of {row.buyer.email}, or creates a new one of "
            f"{format_amount(row.total_minor, row.currency)} if the last payment failed or expired.",
            "You get the link to send to them. The order is completed once they have paid.",
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        requested_order = request_payment(order_id=row.pk, payment_id=params.id, cause=cause)
        if not requested_order.payment_url:
            return "Hyperswitch has not answered. Try again in a minute."
        return f"Payment link: {requested_order.payment_url}"


class CancelOrder(AdminAction[Order]):
    label, permission = "Cancel order", "marketplace.cancel_order"

    def is_available(self, row: Order) -> bool:
        return row.status == OrderStatus.PENDING

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        return [
            "Hyperswitch closes the payment page. The buyer can no longer pay this order.",
            "If a payment is in progress, Hyperswitch refuses and the order stays open. No money moves.",
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        order = cancel_order(order_id=row.pk, cause=cause)
        if order.status == OrderStatus.PENDING:
            return "Hyperswitch has not confirmed it: the order is still pending. A worker tries again."
        return f"The order is {order.status}."
