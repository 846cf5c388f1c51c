from django.contrib import admin

from connect.models import ConnectedAccount, SellerTransfer, TransferReversal
from veza.core.admin_base import ReadOnlyAdmin, ReadOnlyLines, StoryAdmin, amount


class Reversals(ReadOnlyLines):
    model = TransferReversal
    fields = ("created_at", "from_minor", "to_minor", "status", "stripe_reversal_id", "key", "error_message")
    readonly_fields = fields
    ordering = ("pk",)


@admin.register(SellerTransfer)
class SellerTransferAdmin(StoryAdmin):
    list_display = (
        "shown_id",
        "seller",
        amount,
        "status",
        "waiting_for",
        "reversed_minor",
        "retry_count",
        "next_retry_at",
        "last_error",
        "created_at",
    )
    list_filter = ("status", "waiting_for", "currency")
    list_select_related = ("seller",)
    search_fields = ("=id", "=order__id", "=stripe_transfer_id", "=stripe_reversal_id", "seller__email")
    ordering = ("-created_at",)
    inlines = (Reversals,)


@admin.register(ConnectedAccount)
class ConnectedAccountAdmin(ReadOnlyAdmin):
    list_display = ("seller", "stripe_account_id", "transfers_active", "payouts_enabled", "country", "updated_at")
    list_filter = ("transfers_active", "payouts_enabled")
    list_select_related = ("seller",)
    search_fields = ("seller__email", "=stripe_account_id")
    ordering = ("-created_at",)
