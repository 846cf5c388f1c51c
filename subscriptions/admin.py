from django.contrib import admin

from subscriptions.models import Plan
from veza.core.admin_base import ReadOnlyAdmin


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = ("name", "price_minor", "currency", "interval", "trial_days", "can_sell_on_marketplace", "active")
