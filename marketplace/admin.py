from django.contrib import admin

from marketplace.models import License, LicenseOffer, Order, OrderItem, Product
from veza.core.admin_base import ReadOnlyAdmin, ReadOnlyLines, StoryAdmin
from veza.core.money import written


class ItemLines(ReadOnlyLines):
    model = OrderItem
    fields = ("title", "license", "seller", "net_minor", "tax_minor", "fee_minor", "seller_minor")


@admin.register(Order)
class OrderAdmin(StoryAdmin):
    list_display = ("shown_id", "buyer", "total", "status", "created_at", "completed_at")
    list_filter = ("status", "currency")
    list_select_related = ("buyer",)
    search_fields = ("=id", "buyer__email")
    ordering = ("-created_at",)
    inlines = (ItemLines,)

    @admin.display(description="total")
    def total(self, order: Order) -> str:
        return written(order.total_minor, order.currency)


@admin.register(License)
class LicenseAdmin(StoryAdmin):
    list_display = ("shown_id", "holder", "item", "status", "exclusive", "created_at")
    list_filter = ("status", "exclusive")
    list_select_related = ("holder", "item")
    search_fields = ("=id", "=order__id", "holder__email")
    ordering = ("-created_at",)


class OfferLines(ReadOnlyLines):
    model = LicenseOffer


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("title", "seller", "published", "created_at")
    list_filter = ("published",)
    list_select_related = ("seller",)
    search_fields = ("title", "seller__email")
    inlines = (OfferLines,)
    ordering = ("-created_at",)
