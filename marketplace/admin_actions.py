"""What staff may do about an order: refund it, decide about a refund that its buyer requests, refresh it from
Hyperswitch, get its payment link, or cancel it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from marketplace.allocation import (
    ItemShares,
    lost_to_disputes,
    remaining_after_loss,
    remaining_shares,
    split,
    subtract_shares,
)
from marketplace.licenses import ids_of_nothing_left
from marketplace.models import Order, OrderItem, RefundApplication
from marketplace.order_payments import cancel_order, request_payment
from marketplace.refund_decisions import decline_refund, grant_refund
from marketplace.refunds import MAY_REFUND, REFUNDABLE, RefundRequest, request_refund
from marketplace.states import PAYABLE_AGAIN, OrderStatus, RefundApplicationStatus
from payments.admin_actions import refresh_purchase
from payments.reconciliation.refresh import open_rows_of
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units, reason_field
from veza.core.causes import Cause
from veza.core.models import User
from veza.core.money import format_amount

REST, SELECTED = "rest", "selected"


class ItemsForm(ActionForm):
    """Items of an order, each with what is left of it, and an amount."""

    items = forms.MultipleChoiceField(required=False, label="Selected items", widget=forms.CheckboxSelectMultiple)
    amount = forms.DecimalField(required=False, label="Amount", min_value=0)
    field_order: tuple[str, ...] = ("items", "amount", "reason")

    def __init__(self, data: Any, order: Order) -> None:
        super().__init__(data)
        self.order = order
        self.fields["amount"].label = f"Amount ({order.currency})"
        items = list(order.items.order_by("pk"))
        remaining = {share.item_id: share.total_minor for share in remaining_shares(items)}
        self.left_minor = sum(remaining.values())
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
        return minor_units(amount, self.order.currency) if amount is not None else None


class RefundForm(ItemsForm):
    """What to refund is chosen, never assumed: all that is left, or the selected items; of either, all or an amount."""

    scope = forms.ChoiceField(label="What to refund", widget=forms.RadioSelect)
    field_order = ("scope", "items", "amount", "reason")

    def __init__(self, data: Any, order: Order) -> None:
        super().__init__(data, order)
        rest = format_amount(self.left_minor, order.currency)
        self.fields["scope"].choices = [  # type: ignore[attr-defined]  # As above.
            (REST, f"All that is left of the order: {rest}"),
            (SELECTED, "The selected items"),
        ]
        self.fields["items"].help_text = "Only with “The selected items”."
        self.fields["amount"].help_text = (
            "Empty: everything that is left of them, and their licences go back. With an amount, the buyer keeps the "
            "licence of each item of which something is left."
        )

    def clean(self) -> dict[str, Any]:
        answers: dict[str, Any] = super().clean() or self.cleaned_data
        scope, items = answers.get("scope"), answers.get("items")
        if scope == SELECTED and not items and "items" not in self.errors:
            self.add_error("items", "Select the items to refund.")
        if scope == REST and items:
            self.add_error("items", "Clear the selection, or choose “The selected items”.")
        return answers


class RefundForBuyer(AdminAction[Order]):
    label, permission, for_selection = "Refund for the buyer", MAY_REFUND, False

    def is_available(self, row: Order) -> bool:
        return row.status in REFUNDABLE and row.total_minor > 0

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return RefundForm(data, row)

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        if "scope" not in params.answers:
            return ["Choose what to refund. Nothing is refunded before you have seen what follows from it."]
        return _effects(row, _selected_items(row, params), params.answers.get("amount"))

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        is_all = params.answers["scope"] == REST
        item_ids = None if is_all else [item.pk for item in _selected_items(row, params)]
        refund_request = RefundRequest(cause.reason, item_ids, params.answers.get("amount"))
        refund = request_refund(
            refund_id=params.id, order_id=row.pk, requested_by=params.by, refund_request=refund_request, cause=cause
        )
        refund.refresh_from_db()
        return f"The refund of {format_amount(refund.amount_minor, refund.currency)} is {refund.status}."


def _selected_items(order: Order, params: ActionRequest) -> list[OrderItem]:
    is_all, item_ids = params.answers["scope"] == REST, params.answers.get("items") or []
    return [item for item in order.items.order_by("pk") if is_all or str(item.pk) in item_ids]


def _effects(order: Order, items: Sequence[OrderItem], amount_minor: int | None) -> list[str]:
    """What a refund of an amount of these items, or of all that is left of them, would do."""
    item_ids = {item.pk for item in items}
    selected = [share for share in remaining_shares(list(order.items.order_by("pk"))) if share.item_id in item_ids]
    available = sum(share.total_minor for share in selected)
    amount = amount_minor or available
    if amount > available or not available:
        return [f"Only {format_amount(available, order.currency)} is left to refund: this will be refused."]
    parts = split(amount, selected, order.currency)
    fee, tax = sum(part.fee_minor for part in parts), sum(part.tax_minor for part in parts)
    return [
        f"Hyperswitch refunds {format_amount(amount, order.currency)} to {order.buyer.email}.",
        *seller_sentences(parts, order.currency),
        f"Our fee decreases by {format_amount(fee, order.currency)}, tax by {format_amount(tax, order.currency)}.",
        *license_sentences(order, parts),
        "Booked once Hyperswitch reports success; a refund that fails changes nothing.",
    ]


def license_sentences(order: Order, parts: Sequence[ItemShares]) -> list[str]:
    """For each item that gives something, whether the buyer keeps its licence; a free item may follow the others."""
    items = list(order.items.order_by("pk"))
    rest = subtract_shares(remaining_shares(items), parts)
    after = remaining_after_loss(rest, lost_to_disputes(order.pk), order.currency)
    gone_ids = ids_of_nothing_left(items, after)
    rest_minor = {share.item_id: share.total_minor for share in after}
    touched = {part.item_id for part in parts if part.total_minor} | {
        item.pk for item in items if not item.total_minor and item.pk in gone_ids
    }
    return [_license_sentence(item, rest_minor[item.pk], order.currency) for item in items if item.pk in touched]


def _license_sentence(item: OrderItem, left_minor: int, currency: str) -> str:
    if not left_minor:
        return f"{item.title}: the {item.license} licence is revoked, nothing of its price is left."
    rest, price = format_amount(left_minor, currency), format_amount(item.total_minor, currency)
    return f"{item.title}: the buyer keeps the {item.license} licence, {rest} of {price} stays paid."


def seller_sentences(parts: Sequence[ItemShares], currency: str) -> list[str]:
    emails = dict(User.objects.filter(pk__in=[part.seller_id for part in parts]).values_list("pk", "email"))
    return [
        f"{format_amount(part.seller_minor, currency)} of {emails[part.seller_id]}: not sent, or reversed at Stripe."
        for part in parts
        if part.seller_minor
    ]


class GrantRefund(AdminAction[RefundApplication]):
    label, permission, for_selection = "Grant refund", MAY_REFUND, False

    def is_available(self, row: RefundApplication) -> bool:
        return row.status == RefundApplicationStatus.REQUESTED

    def preview(self, row: RefundApplication, *, params: ActionRequest) -> list[str]:
        item_ids = row.lines.values("item")
        return _effects(row.order, list(OrderItem.objects.filter(pk__in=item_ids).order_by("pk")), None)

    def perform(self, row: RefundApplication, *, cause: Cause, params: ActionRequest) -> str:
        refund = grant_refund(application_id=row.pk, granted_by=params.by, cause=cause)
        refund.refresh_from_db()
        return f"Granted. The refund of {format_amount(refund.amount_minor, refund.currency)} is {refund.status}."


class DeclineForm(ActionForm):
    """The buyer reads the reason."""

    reason = reason_field("The buyer is sent this text. Also shown in the order history with your name.")


class DeclineRefund(AdminAction[RefundApplication]):
    label, permission, for_selection = "Decline refund", MAY_REFUND, False

    def is_available(self, row: RefundApplication) -> bool:
        return row.status == RefundApplicationStatus.REQUESTED

    def form(self, row: RefundApplication, data: Mapping[str, Any] | None = None) -> ActionForm:
        return DeclineForm(data)

    def preview(self, row: RefundApplication, *, params: ActionRequest) -> list[str]:
        amount = format_amount(row.amount_minor, row.currency)
        return [
            f"{row.order.buyer.email} is not refunded {amount}, keeps the licences, and is sent your reason by e-mail.",
            "The buyer cannot request the same items again. Support can still refund them on the order's page.",
        ]

    def perform(self, row: RefundApplication, *, cause: Cause, params: ActionRequest) -> str:
        decline_refund(application_id=row.pk, declined_by=params.by, cause=cause)
        return "Declined. The buyer is sent your reason."


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
        return refresh_purchase(row, cause=cause)


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
