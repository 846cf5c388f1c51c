from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from payments.admin_actions import (
    AcceptReceivedAmount,
    EnterReceivedAmount,
    RefreshDispute,
    RefreshPayment,
    RefreshRefund,
    RefundMismatchInFull,
    ReplayWebhook,
    RetryReturnOfFunds,
)
from payments.collection.payment_changes import NOTES
from payments.ledger.chart_of_accounts import ACCOUNT_NAMES, SELLER, SYSTEM_ACCOUNTS, seller_of
from payments.ledger.opening_balances import postings_of
from payments.models import Dispute, Payment, Posting, Refund, WebhookDelivery
from payments.refund_actions import (
    BookBankReturnOfFunds,
    EndRefund,
    EnterConvertedAmount,
    ImportExternalRefund,
    MarkBankRefundReturned,
    MarkRefundExpected,
    WriteOffShortfall,
)
from payments.states import PaymentStatus, RefundStatus
from payments.webhooks import HANDLERS
from veza.core.admin_base import HistoryAdmin, ReadOnlyAdmin
from veza.core.admin_columns import NOTHING, age, amount, badge, column, moment, money, person, short_id, status, when
from veza.core.admin_lists import AgeFilter, AmountFilter, CurrencyFilter, StuckFilter
from veza.core.ids import first_id_since
from veza.core.logs import masked_json

_UNDER_WAY = (PaymentStatus.CREATED, PaymentStatus.PENDING, PaymentStatus.PROCESSING)


@column("next")
def payment_next(row: Payment) -> Any:
    if row.status == PaymentStatus.MISMATCHED:
        return "needs review"
    if note := NOTES.get(row.provider_status) if row.status in _UNDER_WAY else None:
        return note
    if row.next_attempt_at is not None:
        return format_html("refreshed {}", when(row.next_attempt_at))
    if row.status in (PaymentStatus.CREATED, PaymentStatus.PENDING) and row.close_due_at is not None:
        return format_html("closes {}", when(row.close_due_at))
    return NOTHING


@admin.register(Payment)
class PaymentAdmin(HistoryAdmin):
    list_display = (
        short_id,
        person("payer"),
        amount,
        status,
        age,
        money("refunded", currency="held_currency"),
        payment_next,
    )
    list_filter = ("status", StuckFilter, AgeFilter, AmountFilter, CurrencyFilter, "purpose")
    list_select_related = ("payer",)
    search_keys = ("id", "id__endswith", "hyperswitch_payment_id", "purpose_id", "correlation_id", "payer__email")
    facts = (
        person("payer"),
        amount,
        money("received", currency="held_currency"),
        money("refunded", currency="held_currency"),
        age,
        payment_next,
    )
    row_actions = (
        RefreshPayment(),
        EnterReceivedAmount(),
        AcceptReceivedAmount(),
        RefundMismatchInFull(),
        RetryReturnOfFunds(),
        BookBankReturnOfFunds(),
        ImportExternalRefund(),
    )
    empty = "No payment matches. A payment is opened with its order or invoice."

    def stuck(self, rows: "QuerySet[Payment]") -> "QuerySet[Payment]":
        """Mismatched, or open for longer than the reconciler waits."""
        old = first_id_since(settings.RECONCILE_ORDER_STUCK_AFTER)
        under_way = Q(status__in=_UNDER_WAY, pk__lt=old)
        return rows.filter(under_way | Q(status=PaymentStatus.MISMATCHED))


@column("next")
def refund_next(row: Refund) -> Any:
    if row.status != RefundStatus.PENDING:
        return row.error_message or NOTHING
    if row.next_attempt_at is not None:
        return format_html("refreshed {}", when(row.next_attempt_at))
    return "sent by the worker" if row.first_sent_at is None else "waiting for Hyperswitch"


@admin.register(Refund)
class RefundAdmin(HistoryAdmin):
    list_display = (short_id, person("payment.payer", "buyer"), amount, status, age, "source", refund_next)
    list_filter = ("status", StuckFilter, AgeFilter, AmountFilter, CurrencyFilter, "source")
    list_select_related = ("payment__payer",)
    search_keys = ("id", "id__endswith", "hyperswitch_refund_id", "payment", "correlation_id", "payment__payer__email")
    facts = (person("payment.payer", "buyer"), amount, age, moment("succeeded_at"), refund_next)
    row_actions = (
        RefreshRefund(),
        EndRefund(),
        MarkRefundExpected(),
        MarkBankRefundReturned(),
        WriteOffShortfall(),
        EnterConvertedAmount(),
    )
    empty = "No refund matches. A refund is requested on the order's page."

    def stuck(self, rows: "QuerySet[Refund]") -> "QuerySet[Refund]":
        """Pending for longer than the reconciler waits."""
        old = first_id_since(settings.RECONCILE_REFUND_STUCK_AFTER)
        return rows.filter(status=RefundStatus.PENDING, pk__lt=old)


@admin.register(Dispute)
class DisputeAdmin(HistoryAdmin):
    list_display = (short_id, person("payment.payer", "buyer"), amount, status, "stage", moment("evidence_due_at"), age)
    list_filter = ("status", AgeFilter, AmountFilter, CurrencyFilter)
    list_select_related = ("payment__payer",)
    search_keys = ("id", "hyperswitch_dispute_id", "correlation_id", "payment__payer__email")
    facts = (person("payment.payer", "buyer"), amount, moment("evidence_due_at"), age)
    row_actions = (RefreshDispute(), WriteOffShortfall(), EnterConvertedAmount())
    empty = "No dispute matches."


class EventFilter(admin.SimpleListFilter):
    """The events that have a handler: listing those in the log would read the whole table."""

    title, parameter_name = "event", "event_type"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(HANDLERS)]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(event_type=self.value()) if self.value() else queryset


class SignatureFilter(admin.SimpleListFilter):
    title, parameter_name = "signature", "signature"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("bad", "Invalid: an attack, or a wrong secret"), ("good", "Valid")]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(signature_valid=self.value() == "good") if self.value() else queryset


class ResultFilter(admin.SimpleListFilter):
    title, parameter_name = "result", "result"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("ok", "Handled"), ("error", "Failed"), ("waiting", "To be retried"), ("skipped", "Skipped")]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        match self.value():
            case "ok":
                return queryset.filter(processing_result="ok")
            case "waiting":
                return queryset.filter(next_attempt_at__isnull=False)
            case "error" | "skipped" as word:
                # In this form the query uses the index of all that is not ok.
                return queryset.exclude(processing_result="ok").filter(processing_result__startswith=word)
        return queryset


@column("event")
def event(row: WebhookDelivery) -> str:
    return f"{row.provider} {row.event_type or 'unreadable'}"


@column("result")
def result(row: WebhookDelivery) -> Any:
    word, _, rest = row.processing_result.partition(": ")
    return format_html("{} {}", badge(word), rest)


@column("signature")
def signature(row: WebhookDelivery) -> Any:
    return badge("valid") if row.signature_valid else badge("invalid")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = (moment("received_at", "received"), event, result, signature, "source_ip")
    list_filter = (SignatureFilter, ResultFilter, StuckFilter, AgeFilter, EventFilter)
    search_keys = ("id", "event_id", "correlation_id")
    facts = (moment("received_at", "received"), result, signature)
    exclude = ("payload",)  # It contains the browser's secret of the payment: displayed masked, never exported.
    row_actions = (ReplayWebhook(),)
    row_template = "admin/delivery.html"
    empty = "No delivery matches. Deliveries are kept for as long as HYPERSWITCH_WEBHOOK_LOG_RETENTION_DAYS says."

    def page_context(self, row: WebhookDelivery) -> dict[str, Any]:
        return {"payload": masked_json(row.payload)}

    def stuck(self, rows: "QuerySet[WebhookDelivery]") -> "QuerySet[WebhookDelivery]":
        """Without a final result after ten minutes of retries."""
        return rows.filter(next_attempt_at__isnull=False, received_at__lt=timezone.now() - timedelta(minutes=10))


@column("history")
def short_correlation_id(row: Posting) -> Any:
    return format_html("<code>{}</code>", str(row.correlation_id)[-8:])


@column("from")
def debit(row: Posting) -> str:
    return _account(row.debit_id)


@column("to")
def credit(row: Posting) -> str:
    return _account(row.credit_id)


def _account(code: str) -> str:
    return f"seller {code[-8:]}" if seller_of(code) else ACCOUNT_NAMES.get(code, code)


@column("reference")
def reference(row: Posting) -> str:
    return f"{row.get_kind_display()} {str(row.subject_id)[-8:]}"


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    list_display = (moment("at", "when"), debit, credit, amount, reference, short_correlation_id)
    list_filter = (AgeFilter, AmountFilter, CurrencyFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    empty = "Nothing has been booked yet."

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Posting]", search_term: str
    ) -> tuple["QuerySet[Posting]", bool]:
        """By the code of an account too. Those of our own have so many postings that no index lists them."""
        code = search_term.strip()
        if code in SYSTEM_ACCOUNTS:
            return queryset.filter(Q(debit=code) | Q(credit=code)), False
        if code.startswith(SELLER):
            return queryset.filter(postings_of([code])), False
        return super().get_search_results(request, queryset, search_term)
