"""What finance may do about an order that Hyperswitch cannot refund any more."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms

from marketplace.admin_actions import ItemsForm, license_sentences, seller_sentences
from marketplace.bank_refunds import BankTransfer, is_refundable_from_bank, refund_from_bank, split_bank_transfer
from marketplace.models import Order
from payments.refund_actions import BankReferenceForm
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.money import format_amount


class OrderBankRefundForm(BankReferenceForm, ItemsForm):
    """The items that were paid back and the amount: what our bank paid is known, so neither may be left out."""

    field_order = ("items", "amount", "bank_reference", "reason")

    def __init__(self, data: Any, order: Order) -> None:
        super().__init__(data, order)
        items, amount = self.fields["items"], self.fields["amount"]
        assert isinstance(items, forms.MultipleChoiceField)
        items.required, items.label, items.help_text = True, "Items", "Which items the buyer was paid back for."
        amount.required, amount.help_text = True, "What our bank paid to the buyer."


class BookBankRefundOfOrder(AdminAction[Order]):
    label, permission, for_selection = "Book bank refund", "payments.book_bank_refund", False

    def is_available(self, row: Order) -> bool:
        return is_refundable_from_bank(row)

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return OrderBankRefundForm(data, row)

    def preview(self, row: Order, *, params: ActionRequest) -> list[str]:
        if not params.answers:
            return ["Hyperswitch is not called: make the bank transfer first. This books it, with all that follows."]
        try:
            parts = split_bank_transfer(row, _transfer(params))
        except NotAllowed as error:
            return [f"{error.text} This will be refused."]
        amount = format_amount(params.answers["amount"], row.currency)
        return [
            f"{amount} is booked as paid to {row.buyer.email} from our bank account. Hyperswitch is not called.",
            *seller_sentences(parts, row.currency),
            *license_sentences(row, parts),
        ]

    def perform(self, row: Order, *, cause: Cause, params: ActionRequest) -> str:
        refund = refund_from_bank(
            refund_id=params.id,
            order_id=row.pk,
            bank_transfer=_transfer(params),
            booked_by_id=params.by.pk,
            cause=cause,
        )
        return f"The bank refund of {format_amount(refund.amount_minor, refund.currency)} is booked."


def _transfer(params: ActionRequest) -> BankTransfer:
    answers = params.answers
    return BankTransfer(answers["bank_reference"], answers["amount"], [UUID(item) for item in answers["items"]])
