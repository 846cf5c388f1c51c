"""What staff may do about an order: give money back, ask where it is, or give it up."""

from typing import Any

from django import forms

from marketplace.allocation import remaining_of, split
from marketplace.models import Order
from marketplace.orders import cancel_order
from marketplace.refunds import MAY_REFUND, RefundRequest, request_refund
from marketplace.states import OrderStatus
from payments.reconciliation.refresh import open_rows_of, refresh_correlated
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.models import User
from veza.core.money import exponent, format_amount


class RefundForm(ActionForm):
    """Everything that is left, unless items or an amount (or both) say less."""

    items = forms.MultipleChoiceField(
        required=False,
        label="Only these items",
        help_text="None chosen means all of them.",
        widget=forms.CheckboxSelectMultiple,
    )
    amount = forms.DecimalField(
        required=False,
        label="Only this much",
        min_value=0,
        help_text="Left empty: everything that is left of the chosen items.",
    )
    field_order = ("items", "amount", "reason")

    def __init__(self, data: Any, order: Order) -> None:
        super().__init__(data)
        self.order, self.digits = order, exponent(order.currency)
        self.fields["amount"].label = f"Only this much ({order.currency})"
        items = list(order.items.order_by("pk"))
        left = {part.item_id: part.total_minor for part in remaining_of(items)}
        self.fields["items"].choices = [  # type: ignore[attr-defined]  # The stub knows a plain Field only.
            (str(item.pk), f"{item.title}, {item.license}: {format_amount(left.get(item.pk, 0), order.currency)} left")
            for item in items
        ]

    def clean_amount(self) -> int | None:
        """In minor units."""
        given = self.cleaned_data["amount"]
        if given is None:
            return None
        minor = given.scaleb(self.digits)
        if minor != int(minor) or minor <= 0:
            raise forms.ValidationError(f"An amount above zero with at most {self.digits} decimals.")
        return int(minor)


class RefundForBuyer(AdminAction):
    label, permission, for_selection = "Refund for the buyer", MAY_REFUND, False

    def is_available(self, row: Order) -> bool:
        return row.status == OrderStatus.COMPLETED and row.total_minor > 0

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return RefundForm(data, row)

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        wanted = [item for item in row.items.order_by("pk") if _is_meant(item.pk, params)]
        left = remaining_of(wanted)
        available = sum(part.total_minor for part in left)
        amount = params.answers.get("amount") or available
        if amount > available or not available:
            return [f"Only {format_amount(available, row.currency)} is left to refund here: this will be refused."]
        parts = split(amount, left)
        sellers = {item.pk: item.seller_id for item in wanted}
        emails = dict(User.objects.filter(pk__in=sellers.values()).values_list("pk", "email"))
        steps = [f"Hyperswitch is asked to give {format_amount(amount, row.currency)} back to {row.buyer.email}."]
        for part in parts:
            if part.seller_minor:
                who = emails[sellers[part.item_id]]
                steps.append(
                    f"{format_amount(part.seller_minor, row.currency)} from {who}: not sent, or reversed at Stripe."
                )
        fee, tax = sum(part.fee_minor for part in parts), sum(part.tax_minor for part in parts)
        steps.append(
            f"Our fee shrinks by {format_amount(fee, row.currency)}, tax by {format_amount(tax, row.currency)}."
        )
        steps.append("Booked once Hyperswitch reports success. Licences of items given back whole are then revoked.")
        return steps

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        item_ids = [item.pk for item in row.items.order_by("pk") if str(item.pk) in params.answers.get("items", [])]
        refund_request = RefundRequest(cause.reason, item_ids=item_ids, amount_minor=params.answers.get("amount"))
        refund = request_refund(
            refund_id=params.id, order_id=row.pk, asked_by=params.by, refund_request=refund_request, cause=cause
        )
        refund.refresh_from_db()
        given = format_amount(refund.amount_minor, refund.currency)
        return f"The refund of {given} is {refund.status}. Hyperswitch reports when the money is on its way."


def _is_meant(item_id: Any, params: ActionRequest) -> bool:
    chosen = params.answers.get("items") or []
    return not chosen or str(item_id) in chosen


class RefreshOrder(AdminAction):
    label, permission = "Ask the provider now", "payments.ask_provider"

    def is_available(self, row: Order) -> bool:
        return any(open_rows_of(row.pk))

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        payments, refunds, disputes = open_rows_of(row.pk)
        about = [f"payment {each.shown_id}" for each in payments]
        about += [f"refund {each.shown_id}" for each in refunds] + [f"dispute {each.shown_id}" for each in disputes]
        return [
            f"Hyperswitch is asked now about {', '.join(about)}. No money moves by asking.",
            "What it says is booked exactly as its webhook would have been. No answer changes nothing.",
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        before, questions = row.status, refresh_correlated(row.pk, cause=cause)
        row.refresh_from_db()
        became = f"went from {before} to {row.status}" if row.status != before else f"is still {row.status}"
        return f"Hyperswitch was asked {questions} times. The order {became}.".replace("_", " ")


class CancelOrder(AdminAction):
    label, permission = "Cancel the order", "marketplace.cancel_order"

    def is_available(self, row: Order) -> bool:
        return row.status == OrderStatus.PENDING

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        return [
            "Hyperswitch is asked to close the payment page, so that nobody can pay any more.",
            "If the buyer is paying at this moment, Hyperswitch refuses and the order goes on. No money moves.",
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        order = cancel_order(order_id=row.pk, cause=cause)
        if order.status == OrderStatus.PENDING:
            return "Hyperswitch gave no answer that settles it: the order still waits. Try again in a minute."
        return f"The order is {order.status}."
