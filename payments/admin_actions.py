"""What staff may do about a payment or a webhook delivery, and refreshing a payment or refund from Hyperswitch."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django import forms

from payments.collection.payment_requests import check_payment
from payments.inbox.intake import Result
from payments.inbox.replay import replay
from payments.ledger.allocations import is_applied, is_emptied, unapplied_funds
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.reconciliation import refresh
from payments.refunds.refund_requests import check_refund
from payments.review_items import funds_to_return
from payments.reviews import mismatches
from payments.reviews.automatic_refunds import has_returnable_funds, retry_return_of_funds
from payments.reviews.missing_amounts import enter_received_amount, is_amount_missing
from payments.states import PaymentStatus, RefundStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, minor_units
from veza.core.causes import Cause
from veza.core.models import StatefulRow
from veza.core.money import format_amount
from veza.core.words import count_of, format_status

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


def sentence_of(result: str) -> str:
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
        change = _describe_change(row, before)
        note = "" if row.status != before else f"{sentence_of(result)} "
        return f"Refreshed 1 item. {note}{change}"


def _describe_change(row: StatefulRow, before: str) -> str:
    """What became of the status of a row, which is read again."""
    row.refresh_from_db()
    change = f"went from {before} to {row.status}" if row.status != before else f"is still {row.status}"
    return f"The {row._meta.verbose_name} {format_status(change)}."


def refresh_purchase(row: StatefulRow, *, cause: Cause) -> str:
    """Refresh every payment, refund and dispute of an order or subscription, and say what became of it."""
    before, count = row.status, refresh.refresh_correlated(row.correlation_id, cause=cause)
    return f"Refreshed {count_of(count, 'item')}. {_describe_change(row, before)}"


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


class RefreshDispute(AdminAction[Dispute]):
    label, permission = "Refresh from Hyperswitch", "payments.ask_provider"

    def preview(self, row: Dispute, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.hyperswitch_dispute_id} is read from Hyperswitch now: one call that moves no money.",
            "Its status is applied, whatever it is now. Without an answer nothing changes.",
        ]

    def perform(self, row: Dispute, *, cause: Cause, params: ActionRequest) -> str:
        before, result = row.status, refresh.refresh_dispute(row.pk, cause=cause)
        row.refresh_from_db()
        if row.status != before:
            return f"Refreshed 1 item. The dispute went from {before} to {row.status}."
        return f"Refreshed 1 item. {sentence_of(result)} The dispute is still {row.status}."


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
        return f"Replayed. {sentence_of(replay(row.pk, cause=cause).text)}"


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
        return sentence_of(enter_received_amount(payment_id=row.pk, amount_minor=amount_minor, cause=cause))


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
