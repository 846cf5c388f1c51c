"""What staff may do about a payment, a refund, a dispute and a webhook delivery."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django import forms
from django.utils import timezone

from payments.collection.payment_requests import check_payment
from payments.inbox.intake import Result
from payments.inbox.replay import replay
from payments.ledger.allocations import is_applied, is_emptied, unapplied_funds
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.reconciliation import refresh
from payments.refunds.bank_refunds import return_bank_refund
from payments.refunds.external_refunds import import_external_refund, mark_refund_expected, open_reviews_to_confirm
from payments.refunds.overdue import end_overdue_refund, is_under_review
from payments.refunds.refund_requests import check_refund
from payments.review_items import funds_to_return
from payments.reviews import mismatches
from payments.reviews.automatic_refunds import has_returnable_funds, retry_return_of_funds
from payments.reviews.bank_refunds import book_bank_return_of_funds, is_bank_return_possible
from payments.reviews.conversions import enter_converted_amount, is_convertible
from payments.reviews.missing_amounts import enter_received_amount, is_amount_missing
from payments.reviews.write_offs import open_shortfall, shortfall_minor, write_off_shortfall
from payments.states import PaymentStatus, RefundStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units
from veza.core.causes import Cause
from veza.core.money import MAX_MINOR, format_amount

_OPEN_PAYMENT = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)

# A handler's result, as staff read it.
_SENTENCES: Mapping[str, str] = {
    Result.OK: "Applied.",
    Result.DUPLICATE: "No change: it was handled before.",
    Result.STALE: "No change.",
    Result.IGNORED: "Not relevant.",
    Result.UNMATCHED: "Not found in Veza.",
    Result.WAITING: "Waiting: it cannot be applied yet.",
}


def _sentence_of(result: str) -> str:
    return _SENTENCES.get(result, f"{result[:1].upper()}{result[1:]}.")


Refreshable = TypeVar("Refreshable", Payment, Refund)


class _RefreshAction(AdminAction[Refreshable]):
    label, permission = "Refresh from Hyperswitch", "payments.ask_provider"

    def preview(self, row: Refreshable, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.provider_key} is read from Hyperswitch now: one call that moves no money.",
            "Its status is applied exactly as its webhook would be. Without an answer nothing changes.",
        ]

    def _describe_result(self, row: Refreshable, result: str) -> str:
        before = row.status
        row.refresh_from_db()
        if row.status != before:
            return f"Refreshed 1 item. The {row._meta.verbose_name} went from {before} to {row.status}."
        return f"Refreshed 1 item. {_sentence_of(result)} The {row._meta.verbose_name} is still {row.status}."


class RefreshPayment(_RefreshAction[Payment]):
    def is_available(self, row: Payment) -> bool:
        return row.status in _OPEN_PAYMENT or row.hyperswitch_payment_id is not None

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        if row.hyperswitch_payment_id is not None:
            return super().preview(row, params=params)
        amount = format_amount(row.amount_minor, row.currency)
        effect = "the saved method is charged" if row.off_session else "its payment page is made; nothing is charged"
        return [
            f"Hyperswitch never acknowledged this payment of {amount}. It is sent again, under the same id: {effect}.",
            "If Hyperswitch received the first request after all, this makes no second payment.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        if row.hyperswitch_payment_id is None:
            check_payment(row.pk, cause=cause)
            return self._describe_result(row, "it was sent again")
        return self._describe_result(row, refresh.refresh_payment(row.pk, cause=cause))


class RefreshRefund(_RefreshAction[Refund]):
    def is_available(self, row: Refund) -> bool:
        return row.status == RefundStatus.PENDING or row.hyperswitch_refund_id is not None

    def preview(self, row: Refund, *, params: ActionRequest) -> list[str]:
        amount = format_amount(row.amount_minor, row.currency)
        if _was_never_sent(row):
            return [f"This refund was never sent. It is sent now: {amount} goes back to the buyer."]
        steps = super().preview(row, params=params)
        if row.hyperswitch_refund_id is None and row.send_after is not None:
            steps.append(f"If Hyperswitch does not know it, it is sent again under the same id: {amount} goes back.")
        return steps

    def perform(self, row: Refund, *, cause: Cause, params: ActionRequest) -> str:
        if _was_never_sent(row):
            check_refund(row.pk, cause=cause)
            return self._describe_result(row, "it was sent")
        return self._describe_result(row, refresh.refresh_refund(row.pk, cause=cause))


def _was_never_sent(row: Refund) -> bool:
    """An external refund was never sent by us either, and exists at Hyperswitch."""
    return row.first_sent_at is None and row.hyperswitch_refund_id is None


class ReplayWebhook(AdminAction[WebhookDelivery]):
    label, permission = "Replay webhook", "payments.replay_delivery"

    def is_available(self, row: WebhookDelivery) -> bool:
        return row.signature_valid

    def version_of(self, row: WebhookDelivery) -> str:
        return f"{row.processing_result} {row.attempts}"

    def preview(self, row: WebhookDelivery, *, params: ActionRequest) -> list[str]:
        return [
            f"The stored {row.event_type or 'delivery'} is handed to its handler again.",
            "What was applied already stays as it is: an event counts once, however often it is replayed.",
        ]

    def perform(self, row: WebhookDelivery, *, cause: Cause, params: ActionRequest) -> str:
        return f"Replayed. {_sentence_of(replay(row.pk, cause=cause).text)}"


class _MismatchAction(AdminAction[Payment]):
    permission = "payments.resolve_mismatch"

    def is_available(self, row: Payment) -> bool:
        return row.status == PaymentStatus.MISMATCHED

    def _describe_amounts(self, row: Payment) -> str:
        amount, price = format_amount(*row.captured_funds()), format_amount(row.amount_minor, row.currency)
        return f"{amount} was received; the price is {price}."


class AcceptReceivedAmount(_MismatchAction):
    label = "Accept received amount"

    def is_available(self, row: Payment) -> bool:
        return super().is_available(row) and mismatches.is_acceptable(row)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        already_applied = is_applied(row)
        surplus_minor = sum(unapplied_funds(row).values()) - (0 if already_applied else row.amount_minor)
        effect = (
            "The order or invoice was fulfilled already, and stays so."
            if already_applied
            else "The order or invoice is fulfilled: licences are granted and transfers planned."
        )
        steps = [self._describe_amounts(row), effect]
        if surplus_minor > 0:
            amount = format_amount(surplus_minor, row.currency)
            steps.append(f"The surplus of {amount} is returned to the buyer automatically.")
        return steps

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        mismatches.accept_received_amount(payment_id=row.pk, cause=cause)
        return "The received amount is accepted."


class ReceivedAmountForm(ActionForm):
    amount = forms.DecimalField(
        min_value=0, help_text="All that was received for this payment, as Hyperswitch's dashboard shows it."
    )
    field_order = ("amount", "reason")

    def __init__(self, data: Any, payment: Payment) -> None:
        super().__init__(data)
        self.currency = payment.currency
        self.fields["amount"].label = f"Received amount ({payment.currency})"

    def clean_amount(self) -> int:
        """In minor units."""
        return minor_units(self.cleaned_data["amount"], self.currency)


class EnterReceivedAmount(AdminAction[Payment]):
    """For a payment that succeeded at Hyperswitch without an amount."""

    label, permission, for_selection = "Enter received amount", "payments.resolve_mismatch", False

    def is_available(self, row: Payment) -> bool:
        return is_amount_missing(row)

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return ReceivedAmountForm(data, row)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        price = format_amount(row.amount_minor, row.currency)
        return [
            f"The payment is read from Hyperswitch. If its amount is still missing, the entered one is booked: the "
            f"price is {price}.",
            "The price fulfils the order or invoice. Any other amount has to be accepted or refunded after that.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        amount_minor = params.answers["amount"]
        return _sentence_of(enter_received_amount(payment_id=row.pk, amount_minor=amount_minor, cause=cause))


class RefundMismatchInFull(_MismatchAction):
    label = "Refund in full"

    def is_available(self, row: Payment) -> bool:
        return super().is_available(row) and mismatches.is_refundable_in_full(row)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        if is_emptied(row):
            return [
                self._describe_amounts(row),
                "Nothing is left of it, so nothing is refunded. The payment and its order or invoice are cancelled.",
            ]
        funds = mismatches.refundable_funds(row)
        amount = format_amount(funds.total_minor, funds.currency)
        return [
            self._describe_amounts(row),
            f"{amount} of unapplied funds is refunded to the buyer: a refund is opened and the worker sends it.",
            "Nothing more is fulfilled. The payment is cancelled once everything received has been refunded.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        payment = mismatches.refund_in_full(payment_id=row.pk, cause=cause)
        if payment.status == PaymentStatus.CANCELLED:
            return "Nothing was left of it. The payment is cancelled."
        return "The refund is opened; the worker sends it."


class RetryReturnOfFunds(AdminAction[Payment]):
    """For unapplied funds whose automatic refund failed."""

    label, permission = "Retry return of funds", "payments.resolve_mismatch"

    def is_available(self, row: Payment) -> bool:
        return has_returnable_funds(row)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        funds = funds_to_return(row)
        amount = format_amount(funds.total_minor, funds.currency)
        return [
            f"{amount} of unapplied funds is returned to the buyer: a new refund is opened and the worker sends it.",
            "The review item about them is closed when that refund has succeeded.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        retry_return_of_funds(refund_id=params.id, payment_id=row.pk, reason=cause.reason)
        return "The refund is opened; the worker sends it."


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
        return "Imported." if result == Result.OK else _sentence_of(result)


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
