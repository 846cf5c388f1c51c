from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet

from marketplace.admin_actions import (
    CancelOrder,
    DeclineRefund,
    GetPaymentLink,
    GrantRefund,
    RefreshOrder,
    RefundForBuyer,
)
from marketplace.bank_refund_actions import BookBankRefundOfOrder
from marketplace.models import License, LicenseOffer, Order, OrderItem, Product, RefundApplication, SellerRestriction
from marketplace.refund_listing import notices_of
from marketplace.seller_actions import (
    EndHold,
    ExtendHold,
    ExtendSuspension,
    PutBackOnSale,
    ReleaseSeller,
    TakeOffSale,
    waiting_amounts,
)
from marketplace.states import OrderStatus
from veza.core.admin_base import HistoryAdmin, MoneySite, ReadOnlyAdmin, others
from veza.core.admin_columns import (
    NOTHING,
    Panel,
    age,
    amount,
    badge,
    column,
    moment,
    money,
    panel,
    person,
    short_id,
    status,
)
from veza.core.admin_lists import AgeFilter, CurrencyFilter, SellerFilter, StuckFilter, TotalFilter
from veza.core.ids import first_id_since

# A payment page is open for an hour; its order expires soon after.
UNPAID_TOO_LONG = timedelta(hours=2)
REFUND_TOO_LONG = timedelta(minutes=30)


class SoldByFilter(SellerFilter):
    """Orders with an item of this seller."""

    def of(self, queryset: "QuerySet[Any]", sellers: list[UUID]) -> "QuerySet[Any]":
        return queryset.filter(pk__in=OrderItem.objects.filter(seller__in=sellers).values("order"))


@column("next")
def order_next(row: Order) -> str:
    match row.status:
        case OrderStatus.PENDING if row.cancel_requested_at is not None:
            return "Hyperswitch confirms the cancellation"
        case OrderStatus.PENDING:
            return "payment by the buyer"
        case OrderStatus.FAILED | OrderStatus.EXPIRED:
            return "may be paid again: “Get payment link”"
        case OrderStatus.REFUND_PENDING:
            return "refund result from Hyperswitch"
        case OrderStatus.COMPLETED if row.refund_deadline is not None:
            return f"refundable until {row.refund_deadline:%d %b %Y}"
    return NOTHING


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    list_display = (short_id, person("buyer"), money("total"), status, age, order_next)
    list_filter = ("status", StuckFilter, AgeFilter, SoldByFilter, TotalFilter, CurrencyFilter)
    list_select_related = ("buyer",)
    search_keys = ("id", "id__endswith", "buyer__email")
    facts = (
        person("buyer"),
        money("total"),
        money("tax", "incl. tax"),
        age,
        moment("completed_at"),
        order_next,
    )
    row_actions = (RefundForBuyer(), BookBankRefundOfOrder(), RefreshOrder(), GetPaymentLink(), CancelOrder())
    empty = "No order matches. Try the last characters of its id, or the buyer's e-mail."

    def panels(self, row: Order) -> Sequence[Panel]:
        items = row.items.select_related("seller", "order").order_by("pk")
        columns = [
            column("work")(lambda item: item.title),
            column("licence")(lambda item: item.license),
            person("seller"),
            money("net", "price", currency="order.currency"),
            money("tax", currency="order.currency"),
            money("fee", "our fee", currency="order.currency"),
            money("seller", "seller's share", currency="order.currency"),
        ]
        return [panel("Items", items, columns)]

    def page_context(self, row: Order) -> dict[str, Any]:
        return {**super().page_context(row), "notices": notices_of(row)}

    def stuck(self, rows: "QuerySet[Order]") -> "QuerySet[Order]":
        """Unpaid long after its payment page closed, or a refund without a result for half an hour."""
        unpaid = Q(status=OrderStatus.PENDING, pk__lt=first_id_since(UNPAID_TOO_LONG))
        waiting = Q(status=OrderStatus.REFUND_PENDING, pk__lt=first_id_since(REFUND_TOO_LONG))
        return rows.filter(unpaid | waiting)


@column("why")
def why_support_decides(row: RefundApplication) -> str:
    return row.get_why_display()


@admin.register(RefundApplication)
class RefundApplicationAdmin(HistoryAdmin):
    list_display = (
        short_id,
        person("order.buyer", "buyer"),
        amount,
        status,
        why_support_decides,
        moment("due_at", "due"),
        age,
    )
    list_filter = ("status", "why", AgeFilter)
    list_select_related = ("order__buyer",)
    search_keys = ("id", "id__endswith", "order", "order__buyer__email")
    facts = (
        person("order.buyer", "buyer"),
        amount,
        why_support_decides,
        column("the buyer's reason")(lambda row: row.reason),
        moment("due_at", "due"),
        column("decided by")(lambda row: row.decided_by or NOTHING),
        column("reason of the decision")(lambda row: row.decision_reason or NOTHING),
        age,
    )
    row_actions = (GrantRefund(), DeclineRefund())
    empty = "No refund request matches. Buyers request what they may not give back by themselves; support decides."

    def panels(self, row: RefundApplication) -> Sequence[Panel]:
        lines = row.lines.select_related("item", "application").order_by("item")
        columns = [
            column("work")(lambda line: line.item.title),
            column("licence")(lambda line: line.item.license),
            money("amount", "left when requested", currency="application.currency"),
        ]
        return [panel("Requested items", lines, columns)]


@column("work")
def work(row: License) -> str:
    return f"{row.item.title}, {row.item.license}"


@admin.register(License)
class LicenseAdmin(HistoryAdmin):
    list_display = (short_id, person("holder"), work, status, "exclusive", age)
    list_filter = ("status", "exclusive", AgeFilter)
    list_select_related = ("holder", "item")
    search_keys = ("id", "order", "holder__email")
    facts = (person("holder"), work, age)
    empty = "No licence matches. A licence is granted when its order is paid."


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ("title", person("seller"), "published", moment("taken_off_sale_at", "off sale since"), age)
    list_filter = ("published", SellerFilter, AgeFilter)
    list_select_related = ("seller",)
    search_keys = ("id", "title__icontains", "seller__email")
    facts = (person("seller"), moment("taken_off_sale_at", "off sale since"), age)
    row_actions = (TakeOffSale(), PutBackOnSale())
    empty = "There are no products. Sellers list their works through the API; load_demo creates a few."

    def panels(self, row: Product) -> Sequence[Panel]:
        columns = [
            column("licence")(lambda offer: offer.license),
            money("price", "price before tax"),
            column("tax")(lambda offer: f"{offer.tax_basis_points / 100:g} %"),
            column("on sale")(lambda offer: "yes" if offer.active else "no"),
        ]
        return [panel("Licences", LicenseOffer.objects.filter(product=row).order_by("pk"), columns)]


@column("waits for the seller")
def waiting(row: SellerRestriction) -> str:
    return waiting_amounts(row.seller_id)


@column("state")
def state(row: SellerRestriction) -> Any:
    return badge(row.status)


@admin.register(SellerRestriction)
class SellerRestrictionAdmin(ReadOnlyAdmin):
    list_display = (
        short_id,
        person("seller"),
        "kind",
        state,
        moment("since_at", "since"),
        moment("review_at", "decide again by"),
        "reason",
    )
    list_filter = (SellerFilter,)
    list_select_related = ("seller",)
    search_keys = ("id", "seller__email")
    facts = (person("seller"), state, moment("since_at", "since"), moment("review_at", "decide again by"), waiting)
    row_actions = (ReleaseSeller(), ExtendSuspension(), EndHold(), ExtendHold())
    empty = "No seller is or was restricted. Suspend a seller, or hold their money, from the user's page."

    def page_context(self, row: SellerRestriction) -> dict[str, Any]:
        site = cast(MoneySite, self.admin_site)
        return {
            "history_panels": others(site.panels_of_person(row.seller), row),
            "timeline": site.timeline_of_person(row.seller),
        }
