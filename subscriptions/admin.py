from django.contrib import admin

from subscriptions.models import (
    DistributionSubmission,
    Plan,
    Subscription,
    SubscriptionInvoice,
    UnpaidSubscriptionAudit,
)
from veza.core.admin_base import ReadOnlyAdmin, ReadOnlyLines, StoryAdmin
from veza.core.money import written


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "price_minor",
        "currency",
        "interval",
        "tax_basis_points",
        "trial_days",
        "can_sell_on_marketplace",
        "can_distribute",
        "active",
    )


class InvoiceLines(ReadOnlyLines):
    model = SubscriptionInvoice
    fields = ("plan", "period_start_at", "period_end_at", "net_minor", "tax_minor", "currency", "status", "paid_at")


@admin.register(Subscription)
class SubscriptionAdmin(StoryAdmin):
    list_display = ("shown_id", "user", "plan", "status", "period_end_at", "cancel_at_period_end", "due_at")
    list_filter = ("status", "plan", "cancel_at_period_end")
    list_select_related = ("user", "plan")
    search_fields = ("=id", "user__email")
    ordering = ("-created_at",)
    inlines = (InvoiceLines,)


@admin.register(SubscriptionInvoice)
class InvoiceAdmin(StoryAdmin):
    list_display = ("shown_id", "subscription", "plan", "total", "status", "period_start_at", "paid_at")
    list_filter = ("status", "plan")
    list_select_related = ("subscription", "plan")
    search_fields = ("=id", "=subscription__id", "=hyperswitch_payment_id", "subscription__user__email")
    ordering = ("-created_at",)

    @admin.display(description="total")
    def total(self, invoice: SubscriptionInvoice) -> str:
        return written(invoice.total_minor, invoice.currency)


@admin.register(UnpaidSubscriptionAudit)
class UnpaidSubscriptionAuditAdmin(ReadOnlyAdmin):
    list_display = ("found_at", "subscription_id", "user", "plan", "status", "why")
    list_filter = ("found_at", "plan")
    list_select_related = ("user", "plan")
    search_fields = ("=subscription__id", "user__email")
    ordering = ("-found_at",)


@admin.register(DistributionSubmission)
class DistributionSubmissionAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "user", "title", "artist")
    list_select_related = ("user",)
    search_fields = ("user__email", "title")
    ordering = ("-created_at",)
