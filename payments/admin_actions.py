"""What staff may do about a payment, a refund and a delivery."""

from collections.abc import Mapping
from typing import Any

from django import forms

from payments.collection.payment_requests import check_payment
from payments.inbox.intake import Result
from payments.inbox.replay import replay
from payments.ledger.allocations import is_applied, unapplied_funds
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.reconciliation import refresh
from payments.refunds.external_refunds import import_external_refund, mark_refund_expected
from payments.refunds.refund_requests import check_refund
from payments.review_items import EXTERNAL_REFUND, funds_to_return
from payments.reviews import mismatches
from payments.reviews.automatic_refunds import funds_are_returnable, retry_return_of_funds
from payments.reviews.write_offs import open_shortfall, shortfall_minor, write_off_shortfall
from payments.states import PaymentStatus, RefundStatus
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.causes import Cause
from veza.core.models import ReviewItem
from veza.core.money import format_amount

_OPEN_PAYMENT = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)


# What a handler's result means to a person.
_IN_WORDS: Mapping[str, str] = {
    Result.OK: "its word is booked",
    Result.DUPLICATE: "nothing new: it was handled before",
    Result.STALE: "nothing new",
    Result.IGNORED: "nothing that concerns us",
    Result.UNMATCHED: "nothing we know of",
    Result.WAITING: "something that cannot be booked yet",
}


def _in_words(payload: str) -> str:
    return _IN_WORDS.get(payload, payload)


class _AskProvider(AdminAction):
    permission = "payments.ask_provider"

    def preview(self, row: Any, *, params: ActionRequest) -> list[str]:
        return [
            f"Hyperswitch is asked about {row.provider_key} now: one call that moves no money.",
            "What it says is booked exactly as its webhook would have been. No answer changes nothing.",
        ]

    def _came_of_it(self, row: Any, payload: str) -> str:
        before = row.status
        row.refresh_from_db()
        if row.status != before:
            return f"Hyperswitch answered: the {row._meta.verbose_name} went from {before} to {row.status}."
        return f"Hyperswitch was asked ({_in_words(payload)}): the {row._meta.verbose_name} is still {row.status}."


class RefreshPayment(_AskProvider):
    label = "Ask the provider now"

    def is_available(self, row: Payment) -> bool:
        return row.status in _OPEN_PAYMENT

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        if row.hyperswitch_payment_id is not None:
            return super().preview(row, params=params)
        amount = format_amount(row.amount_minor, row.currency)
        does = "the saved method is charged" if row.off_session else "its payment page is made; nothing is charged"
        return [
            f"Hyperswitch never acknowledged this payment of {amount}. It is sent again, under the same id: {does}.",
            "If the first request arrived after all, no second payment comes of it.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        if row.hyperswitch_payment_id is None:
            check_payment(row.pk, cause=cause)
            return self._came_of_it(row, "it had never acknowledged this payment")
        return self._came_of_it(row, refresh.refresh_payment(row.pk, cause=cause))


class RefreshRefund(_AskProvider):
    label = "Ask the provider now"

    def is_available(self, row: Refund) -> bool:
        return row.status == RefundStatus.PENDING

    def preview(self, row: Refund, *, params: ActionRequest) -> list[str]:
        amount = format_amount(row.amount_minor, row.currency)
        if _was_never_sent(row):
            return [f"This refund has never been sent. It is sent now: {amount} goes back to the buyer."]
        told = super().preview(row, params=params)
        if row.hyperswitch_refund_id is None and row.send_after is not None:
            told.append(f"If Hyperswitch does not know it, it is sent again under the same id: {amount} goes back.")
        return told

    def perform(self, row: Refund, *, cause: Cause, params: ActionRequest) -> str:
        if _was_never_sent(row):
            check_refund(row.pk, cause=cause)
            return self._came_of_it(row, "it had never been sent")
        return self._came_of_it(row, refresh.refresh_refund(row.pk, cause=cause))


def _was_never_sent(row: Refund) -> bool:
    """One that was made at the provider's dashboard was never sent by us, and is there."""
    return row.first_sent_at is None and row.hyperswitch_refund_id is None


class ReplayWebhook(AdminAction):
    label, permission = "Handle it again", "payments.replay_delivery"

    def is_available(self, row: WebhookDelivery) -> bool:
        return row.signature_valid

    def version_of(self, row: WebhookDelivery) -> str:
        return f"{row.processing_result} {row.attempts}"

    def preview(self, row: WebhookDelivery, *, params: ActionRequest) -> list[str]:
        return [
            f"The stored {row.event_type or 'delivery'} is handed to its handler again.",
            "What was booked already stays as it is: an event counts once, however often it is handled.",
        ]

    def perform(self, row: WebhookDelivery, *, cause: Cause, params: ActionRequest) -> str:
        return f"Handled again: {_in_words(replay(row.pk, cause=cause).text)}."


class _Mismatch(AdminAction):
    permission = "payments.resolve_mismatch"

    def is_available(self, row: Payment) -> bool:
        return row.status == PaymentStatus.MISMATCHED

    def _came(self, row: Payment) -> str:
        came, wanted = (
            format_amount(row.received_minor, row.held_currency),
            format_amount(row.amount_minor, row.currency),
        )
        return f"{came} came where {wanted} was asked for."


class AcceptReceivedAmount(_Mismatch):
    label = "Accept what was paid"

    def is_available(self, row: Payment) -> bool:
        enough = row.received_minor >= row.amount_minor and row.held_currency == row.currency
        return super().is_available(row) and enough

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        fulfilled = is_applied(row)
        surplus = sum(unapplied_funds(row).values()) - (0 if fulfilled else row.amount_minor)
        follows = (
            "What it pays for was fulfilled already, and stays so."
            if fulfilled
            else "What it pays for is fulfilled: licences are given and transfers planned."
        )
        steps = [self._came(row), follows]
        if surplus > 0:
            steps.append(f"The surplus of {format_amount(surplus, row.currency)} goes back to the buyer by itself.")
        return steps

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        mismatches.accept(payment_id=row.pk, cause=cause)
        return "The payment is accepted."


class RefundMismatchInFull(_Mismatch):
    label = "Give it all back"

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        if not row.received_minor:
            return ["Nothing was received, so nothing goes back. The payment is cancelled, and what it was to pay for."]
        amount = format_amount(sum(unapplied_funds(row).values()), row.held_currency)
        return [
            self._came(row),
            f"{amount} of it that nobody claimed goes back to the buyer: a refund is opened and the worker sends it.",
            "Nothing more is fulfilled. The payment is cancelled once all that came has gone back.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        payment = mismatches.give_back(payment_id=row.pk, cause=cause)
        if payment.status == PaymentStatus.CANCELLED:
            return "Nothing was received. The payment is cancelled."
        return "The refund is opened; the worker sends it."


class RetryReturnOfFunds(AdminAction):
    """Money that pays for nothing, whose refund came to nothing."""

    label, permission = "Send it back again", "payments.resolve_mismatch"

    def is_available(self, row: Payment) -> bool:
        return funds_are_returnable(row)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        amount = format_amount(sum(funds_to_return(row).values()), row.held_currency)
        return [
            f"{amount} that pays for nothing goes back to the buyer: a new refund is opened and the worker sends it.",
            "The case about it is closed when that has succeeded.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        retry_return_of_funds(refund_id=params.id, payment_id=row.pk, reason=cause.reason)
        return "The refund is opened; the worker sends it."


class ExternalRefundForm(ActionForm):
    hyperswitch_refund_id = forms.RegexField(
        r"^[A-Za-z0-9_-]{1,64}$",
        label="The refund's id",
        help_text="As Hyperswitch's dashboard shows it, such as ref_…",
    )
    field_order = ("hyperswitch_refund_id", "reason")


class ImportExternalRefund(AdminAction):
    """A refund made at the provider's dashboard, of which no webhook told us."""

    label, permission, for_selection = "Take in a refund made there", "payments.adopt_refund", False

    def is_available(self, row: Payment) -> bool:
        return row.received_minor > row.refunded_minor

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return ExternalRefundForm(data)

    def preview(self, row: Payment, *, params: ActionRequest) -> list[str]:
        return [
            "Hyperswitch is asked for that refund. If it is of this payment, it is booked as it stands there.",
            "No money moves by this: it has moved already. Sellers' shares follow, and a case says who has to know.",
        ]

    def perform(self, row: Payment, *, cause: Cause, params: ActionRequest) -> str:
        named = params.answers["hyperswitch_refund_id"]
        payload = import_external_refund(payment_id=row.pk, hyperswitch_refund_id=named, cause=cause)
        return "Taken in." if payload == Result.OK else f"Hyperswitch was asked: {_in_words(payload)}."


class MarkRefundExpected(AdminAction):
    label, permission = "Dismiss: it was meant", "payments.adopt_refund"

    def is_available(self, row: Refund) -> bool:
        waits = ReviewItem.objects.filter(kind=EXTERNAL_REFUND, subject_id=row.pk, closed_at__isnull=True)
        return row.source == Refund.Source.EXTERNAL and waits.exists()

    def preview(self, row: Refund, *, params: ActionRequest) -> list[str]:
        return ["The case about it is closed with your reason. The books follow the refund already; no money moves."]

    def perform(self, row: Refund, *, cause: Cause, params: ActionRequest) -> str:
        mark_refund_expected(refund_id=row.pk, cause=cause)
        return "The case is closed."


class WriteOffShortfall(AdminAction):
    label, permission, for_selection = "Write off what is missing", "payments.write_off", False

    def is_available(self, row: Refund | Dispute) -> bool:
        return open_shortfall(row) is not None and shortfall_minor(row) > 0

    def preview(self, row: Refund | Dispute, *, params: ActionRequest) -> list[str]:
        missing = format_amount(shortfall_minor(row), row.currency)
        return [f"{missing} that went out and nobody had becomes our loss. No money moves, and the case is closed."]

    def perform(self, row: Refund | Dispute, *, cause: Cause, params: ActionRequest) -> str:
        return f"{format_amount(write_off_shortfall(row, cause=cause), row.currency)} is written off."
