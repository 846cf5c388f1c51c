"""What staff may do about a refund, about funds that finance pays from our bank account, and about amounts in doubt."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils import timezone

from payments.admin_actions import sentence_of
from payments.inbox.intake import Result
from payments.models import Dispute, Payment, Refund
from payments.refunds.bank_refunds import return_bank_refund
from payments.refunds.external_refunds import import_external_refund, mark_refund_expected, open_reviews_to_confirm
from payments.refunds.overdue import end_overdue_refund, is_under_review
from payments.review_items import funds_to_return
from payments.reviews.bank_refunds import book_bank_return_of_funds, is_bank_return_possible
from payments.reviews.conversions import enter_converted_amount, is_convertible
from payments.reviews.write_offs import open_shortfall, shortfall_minor, write_off_shortfall
from payments.states import RefundStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units
from veza.core.causes import Cause
from veza.core.money import MAX_MINOR, format_amount


class BankReferenceForm(ActionForm):
    """Which transfer of our bank paid the buyer."""

    bank_reference = forms.CharField(
        max_length=100, label="Bank reference", help_text="As our bank's statement shows the transfer to the buyer."
    )
    field_order: tuple[str, ...] = ("bank_reference", "reason")


class BookBankReturnOfFunds(AdminAction[Payment]):
    """For unapplied funds that Hyperswitch cannot return, and that finance paid from our bank account."""

    label, permission, for_selection = "Book bank refund", "payments.book_bank_refund", False

    def is_available(self, row: Payment) -> bool:
        return is_bank_return_possible(row)

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return BankReferenceForm(data)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        funds = funds_to_return(row)
        return [
            f"{format_amount(funds.total_minor, funds.currency)} of unapplied funds is booked as paid to "
            f"{row.payer.email if row.payer else 'the buyer'} from our bank account. Hyperswitch is not called.",
            "Make the bank transfer first: this only books it.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        book_bank_return_of_funds(
            refund_id=params.id,
            payment_id=row.pk,
            bank_reference=params.answers["bank_reference"],
            booked_by_id=params.by.pk,
            cause=cause,
        )
        return "The bank refund is booked."


class MarkBankRefundReturned(AdminAction[Refund]):
    """For a bank refund that the buyer's bank sent back to our account."""

    label, permission, for_selection = "Mark as returned", "payments.book_bank_refund", False

    def is_available(self, row: Refund) -> bool:
        return row.source == Refund.Source.BANK and row.status == RefundStatus.SUCCEEDED

    def preview(self, row: Refund, *, params: ActionRequest) -> list[str]:
        amount = format_amount(row.amount_minor, row.currency)
        return [
            f"The transfer {row.bank_reference} came back: {amount} is ours again, and the buyer is not paid.",
            "Licences and the sellers' shares, or the subscription, follow. A review item asks for another way to pay.",
        ]

    def perform(self, row: Refund, *, cause: Cause, params: ActionRequest) -> str:
        return_bank_refund(refund_id=row.pk, cause=cause)
        return "The bank refund is booked as returned."


class ExternalRefundForm(ActionForm):
    hyperswitch_refund_id = forms.RegexField(
        r"^[A-Za-z0-9_-]{1,64}$",
        label="Refund id at Hyperswitch",
        help_text="As Hyperswitch's dashboard shows it, such as ref_…",
    )
    field_order = ("hyperswitch_refund_id", "reason")


class ImportExternalRefund(AdminAction[Payment]):
    """For a refund made in Hyperswitch's dashboard that no webhook reported."""

    label, permission, for_selection = "Import external refund", "payments.adopt_refund", False

    def is_available(self, row: Payment) -> bool:
        return row.received_minor > row.refunded_minor

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ExternalRefundForm(data)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        return [
            "That refund is read from Hyperswitch. If it belongs to this payment, it is applied with its status there.",
            "No money moves: it has moved already. Sellers' shares follow, and a review item is opened for support.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        refund_id = params.answers["hyperswitch_refund_id"]
        result = import_external_refund(payment_id=row.pk, hyperswitch_refund_id=refund_id, cause=cause)
        return "Imported." if result == Result.OK else sentence_of(result)


class MarkRefundExpected(AdminAction[Refund]):
    label, permission = "Mark as expected", "payments.adopt_refund"

    def is_available(self, row: Refund) -> bool:
        return bool(open_reviews_to_confirm(row))

    def preview(self, row: Refund, *, params: ActionRequest) -> list[str]:
        return ["The review item is closed with your reason. The books include the refund already; no money moves."]

    def perform(self, row: Refund, *, cause: Cause, params: ActionRequest) -> str:
        mark_refund_expected(refund_id=row.pk, cause=cause)
        return "The review item is closed."


class EndRefund(AdminAction[Refund]):
    """For a refund that stays pending although it will not be made."""

    label, permission, for_selection = "End refund", "payments.resolve_mismatch", False

    def is_available(self, row: Refund) -> bool:
        return is_under_review(row)

    def preview(self, row: Refund, *, params: ActionRequest) -> list[str]:
        amount = format_amount(row.amount_minor, row.currency)
        return [
            f"{row.provider_key} is read from Hyperswitch. If it is still pending there, or unknown, it fails here.",
            f"The buyer is not sent {amount}, keeps what it was for, and can be refunded again.",
            "Do this only if Hyperswitch's staff have confirmed that it will not be made. If it succeeds after all, it "
            "is booked, and what the buyer got twice is a loss.",
        ]

    def perform(self, row: Refund, *, cause: Cause, params: ActionRequest) -> str:
        refund = end_overdue_refund(refund_id=row.pk, cause=cause, at=timezone.now())
        return f"The refund is {refund.status}."


class ConvertedAmountForm(ActionForm):
    """The amount of a refund or dispute in the currency that its payment holds."""

    amount = forms.DecimalField(min_value=0, help_text="As Hyperswitch's dashboard or a statement shows it.")
    field_order = ("amount", "reason")

    def __init__(self, data: Mapping[str, Any] | None, currency: str) -> None:
        super().__init__(data)
        self.currency = currency
        self.fields["amount"].label = f"Amount ({currency})"

    def clean_amount(self) -> int:
        """In minor units."""
        return minor_units(self.cleaned_data["amount"], self.currency, most_minor=MAX_MINOR)


class EnterConvertedAmount(AdminAction[Refund | Dispute]):
    """For a refund or dispute in another currency than its payment holds."""

    label, permission, for_selection = "Enter converted amount", "payments.resolve_mismatch", False

    def is_available(self, row: Refund | Dispute) -> bool:
        return is_convertible(row)

    def version_of(self, row: Refund | Dispute) -> str:
        return f"{row.status} {row.amount_minor} {row.currency} {row.converted_minor}"

    def form(self, row: Refund | Dispute, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ConvertedAmountForm(data, row.payment.held_currency)

    def preview(self, row: Refund | Dispute, *, params: ActionRequest) -> list[str]:
        payment, amount = row.payment, format_amount(row.amount_minor, row.currency)
        booked = format_amount(row.booked_minor, row.booked_currency)
        received = format_amount(payment.received_minor, payment.held_currency)
        entered = params.answers.get("amount")
        target = format_amount(entered, payment.held_currency) if entered else f"the amount in {payment.held_currency}"
        return [
            f"{amount} was taken of a payment of {received}; {booked} is booked.",
            f"That is undone in the books, and {target} is booked. No money moves at Hyperswitch.",
            "Licences, the sellers' shares and transfers, or the subscription then follow as for any other.",
        ]

    def perform(self, row: Refund | Dispute, *, cause: Cause, params: ActionRequest) -> str:
        amount_minor = params.answers["amount"]
        enter_converted_amount(row, amount_minor=amount_minor, cause=cause)
        return f"Booked with {format_amount(amount_minor, row.payment.held_currency)}."


class WriteOffShortfall(AdminAction[Refund | Dispute]):
    label, permission, for_selection = "Write off shortfall", "payments.write_off", False

    def is_available(self, row: Refund | Dispute) -> bool:
        return open_shortfall(row) is not None and shortfall_minor(row) > 0

    def preview(self, row: Refund | Dispute, *, params: ActionRequest) -> list[str]:
        amount = format_amount(shortfall_minor(row), row.booked_currency)
        return [f"The shortfall of {amount} becomes our loss. No money moves, and the review item is closed."]

    def perform(self, row: Refund | Dispute, *, cause: Cause, params: ActionRequest) -> str:
        return f"{format_amount(write_off_shortfall(row, cause=cause), row.booked_currency)} was written off."
