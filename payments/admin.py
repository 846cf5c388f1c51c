from django.contrib import admin

from payments.models import LedgerAccount, Payment, Posting, Refund, WebhookDelivery
from veza.core.admin_base import ReadOnlyAdmin, StoryAdmin, amount


@admin.register(Payment)
class PaymentAdmin(StoryAdmin):
    list_display = ("shown_id", "payer", amount, "status", "received_minor", "refunded_minor", "created_at")
    list_filter = ("status", "purpose", "currency")
    list_select_related = ("payer",)
    search_fields = ("=id", "=hyperswitch_payment_id", "=purpose_id", "payer__email")
    ordering = ("-created_at",)


@admin.register(Refund)
class RefundAdmin(StoryAdmin):
    list_display = ("shown_id", amount, "status", "source", "reason", "error_message", "created_at", "succeeded_at")
    list_filter = ("status", "source", "currency")
    search_fields = ("=id", "=hyperswitch_refund_id", "=payment__id")
    ordering = ("-created_at",)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "received_at",
        "provider",
        "event_type",
        "event_id",
        "processing_result",
        "signature_valid",
        "source_ip",
    )
    list_filter = ("provider", "signature_valid", "event_type")
    search_fields = ("=event_id", "=story_id")
    ordering = ("-received_at",)
    exclude = ("payload",)  # It holds the browser's secret of the payment.


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    list_display = ("at", "debit_id", "credit_id", amount, "cause", "leg")
    search_fields = ("=cause", "=story_id", "=debit__code", "=credit__code")
    ordering = ("-id",)


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    list_display = ("code",)
    search_fields = ("code",)
