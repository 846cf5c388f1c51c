from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.html import format_html

from subscriptions.admin_actions import (
    BookBankRefundOfInvoice,
    CancelSubscriptionNow,
    ExpireUnpaidSubscription,
    GetPaymentLink,
    RefreshSubscription,
    RefundInvoice,
    ResumeCharges,
)
from subscriptions.models import (
    DistributionSubmission,
    Plan,
    PriceChange,
    Subscription,
    SubscriptionInvoice,
    UnpaidSubscriptionAudit,
)
from subscriptions.plan_actions import AddVersion, AnnouncePrice, CreatePlan, RetirePlan, WithdrawPriceChange
from subscriptions.price_changes import in_words
from subscriptions.states import LIVE, SubscriptionStatus
from veza.core.admin_base import HistoryAdmin, ReadOnlyAdmin
from veza.core.admin_columns import NOTHING, Panel, age, column, moment, money, panel, person, short_id, status, when
from veza.core.admin_lists import AgeFilter, CurrencyFilter, StuckFilter, TotalFilter


@column("tax")
def tax_rate(row: Plan) -> str:
    return f"{row.tax_basis_points / 100:g} %"


@column("offered")
def is_offered(row: Plan) -> str:
    return "to new subscribers" if row.active else "no"


@column("version")
def version(row: Plan) -> str:
    return str(row)


@column("subscribers")
def subscribers(row: Plan) -> int:
    return Subscription.objects.filter(plan=row, status__in=LIVE).count()


@column("plan")
def plan(row: Subscription | SubscriptionInvoice | PriceChange | UnpaidSubscriptionAudit) -> str:
    return str(row.plan)


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "version",
        money("price", "price before tax"),
        "interval",
        tax_rate,
        "trial_days",
        "can_sell_on_marketplace",
        "can_distribute",
        is_offered,
    )
    list_filter = ("active",)
    search_keys = ("id", "name")
    facts = (money("price", "price before tax"), money("total", "with tax"), is_offered, subscribers)
    create_action = CreatePlan()
    row_actions = (AddVersion(), AnnouncePrice(), RetirePlan())
    empty = "There are no plans. “Add plan” makes one."

    def panels(self, row: Plan) -> Sequence[Panel]:
        versions = Plan.objects.filter(name=row.name).order_by("-version")
        columns = [version, money("price", "price before tax"), tax_rate, is_offered, subscribers]
        changes = row.price_changes.select_related("plan", "new_plan").order_by("-pk")
        return [
            panel("Versions", versions, columns),
            panel("Price changes", changes, [short_id, price_change, status, age], empty="None was announced."),
        ]


@column("price, with tax")
def price_change(row: PriceChange) -> str:
    return in_words(row)


@admin.register(PriceChange)
class PriceChangeAdmin(HistoryAdmin):
    list_display = (short_id, plan, price_change, status, age, moment("due_at", "next e-mails"))
    list_filter = ("status",)
    list_select_related = ("plan", "new_plan")
    search_keys = ("id",)
    facts = (plan, price_change, age, moment("due_at", "next e-mails"))
    row_actions = (WithdrawPriceChange(),)
    empty = "No price was announced. “Announce price” on an older version of a plan does so."


@column("next")
def subscription_next(row: Subscription) -> object:
    if row.due_at is None:
        return NOTHING
    return format_html("processed {}", when(row.due_at))


@admin.register(Subscription)
class SubscriptionAdmin(HistoryAdmin):
    list_display = (
        short_id,
        person("user"),
        plan,
        status,
        age,
        moment("period_end_at", "period ends"),
        subscription_next,
    )
    list_filter = ("status", StuckFilter, AgeFilter, "plan", "cancel_at_period_end")
    list_select_related = ("user", "plan")
    search_keys = ("id", "id__endswith", "user__email")
    facts = (person("user"), plan, age, moment("period_end_at", "period ends"), subscription_next)
    row_actions = (
        RefreshSubscription(),
        GetPaymentLink(),
        ResumeCharges(),
        ExpireUnpaidSubscription(),
        CancelSubscriptionNow(),
    )
    empty = "No subscription matches."

    def panels(self, row: Subscription) -> Sequence[Panel]:
        columns = [
            short_id,
            plan,
            money("total"),
            money("tax", "incl. tax"),
            status,
            moment("period_start_at", "from"),
            moment("period_end_at", "until"),
            moment("paid_at"),
        ]
        invoices = row.invoices.select_related("plan").order_by("-pk")
        return [panel("Invoices", invoices, columns, empty="No invoices so far.")]

    def stuck(self, rows: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
        """Past due, or due and not processed."""
        return rows.filter(Q(status=SubscriptionStatus.PAST_DUE) | Q(due_at__lt=Now()))


@admin.register(SubscriptionInvoice)
class InvoiceAdmin(HistoryAdmin):
    list_display = (
        short_id,
        person("subscription.user", "subscriber"),
        plan,
        money("total"),
        status,
        age,
        moment("paid_at"),
    )
    list_filter = ("status", AgeFilter, TotalFilter, CurrencyFilter)
    list_select_related = ("subscription__user", "plan")
    search_keys = ("id", "subscription", "hyperswitch_payment_id", "subscription__user__email")
    facts = (
        person("subscription.user", "subscriber"),
        plan,
        money("total"),
        money("tax", "incl. tax"),
        moment("period_start_at", "from"),
        moment("period_end_at", "until"),
        moment("paid_at"),
    )
    row_actions = (RefundInvoice(), BookBankRefundOfInvoice())
    empty = "No invoice matches. An invoice is opened for each period that costs something."


@admin.register(UnpaidSubscriptionAudit)
class UnpaidSubscriptionAuditAdmin(ReadOnlyAdmin):
    list_display = (moment("detected_at", "detected"), person("user"), plan, status, "reason")
    list_select_related = ("user", "plan")
    list_filter = (AgeFilter,)
    search_keys = ("id", "subscription", "user__email")
    facts = (person("user"), plan, moment("detected_at", "detected"))
    empty = "expire_unpaid_subscriptions has found no active subscription without a payment."


@admin.register(DistributionSubmission)
class DistributionSubmissionAdmin(ReadOnlyAdmin):
    list_display = (short_id, person("user"), "title", "artist", age)
    list_select_related = ("user",)
    list_filter = (AgeFilter,)
    search_keys = ("id", "user__email")
    facts = (person("user"), age)
    empty = "No work has been submitted for distribution."
