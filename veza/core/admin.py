"""The ground floor's pages: status changes, provider calls, review items, workers and switches."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from veza.core import email_admin as email_admin  # Its pages are registered when it is imported.
from veza.core import platform, reviews
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.admin_base import MoneySite, ReadOnlyAdmin, others
from veza.core.admin_columns import NOTHING, badge, column, moment, short_id
from veza.core.admin_lists import AgeFilter
from veza.core.causes import Cause
from veza.core.models import Heartbeat, PlatformSetting, ProviderCall, ReviewItem, StatusChange
from veza.core.money import format_amount
from veza.core.words import format_status


class ChoiceFilter(admin.SimpleListFilter):
    """A filter over fixed values: reading them from the table would scan all rows."""

    values: ClassVar[Sequence[str]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class CauseFilter(ChoiceFilter):
    title, parameter_name = "cause", "cause_kind"
    values = ("webhook", "user", "staff", "sweep", "reconcile", "command", "reaction")


class ProviderFilter(ChoiceFilter):
    title, parameter_name = "provider", "provider"
    values = ("hyperswitch", "stripe", "smtp")


class OutcomeFilter(ChoiceFilter):
    title, parameter_name = "outcome", "outcome"
    values = ("accepted", "refused", "not sent", "unknown")


@column("row type")
def machine(change: StatusChange) -> str:
    return str(apps.get_model(change.machine)._meta.verbose_name)


@column("from")
def from_status(change: StatusChange) -> str:
    return format_status(change.from_status)


@column("by")
def actor(change: StatusChange) -> str:
    return change.actor or change.cause_kind


@column("to")
def to_status(change: StatusChange) -> Any:
    return badge(change.to_status)


@column("row")
def subject(row: Any) -> Any:
    return format_html("<code>{}</code>", str(row.subject_id)[-8:])


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = (moment("at", "when"), machine, subject, from_status, to_status, actor, "reason")
    list_filter = (CauseFilter, AgeFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    empty = "No status has changed yet."


@column("call")
def request_line(call: ProviderCall) -> str:
    return f"{call.provider} {call.method} {call.path}"


@column("answer")
def answer(call: ProviderCall) -> str:
    return f"{call.status or 'none'} in {call.milliseconds} ms"


@column("outcome")
def outcome(call: ProviderCall) -> Any:
    return badge(call.outcome)


@admin.register(ProviderCall)
class ProviderCallAdmin(ReadOnlyAdmin):
    list_display = (moment("at", "when"), request_line, outcome, answer, "detail")
    list_filter = (ProviderFilter, OutcomeFilter, AgeFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    empty = "No provider has been called yet."


class CloseReviewItem(AdminAction[ReviewItem]):
    """Close a review item that has been resolved, with a note."""

    label, permission = "Close review item", "core.close_case"

    def is_available(self, row: ReviewItem) -> bool:
        return row.closed_at is None

    def preview(self, row: ReviewItem, *, params: ActionRequest) -> list[str]:
        return [
            "The review item is closed with your note. No money moves and nothing is sent.",
            "If the problem occurs again, a new review item is opened.",
        ]

    def perform(self, row: ReviewItem, *, cause: Cause, params: ActionRequest) -> str:
        reviews.close_review_by_hand(case_id=row.pk, cause=cause)
        return "Review item closed."


@column("in doubt")
def in_doubt(item: ReviewItem) -> str:
    return format_amount(item.amount_minor, item.currency) if item.currency and item.amount_minor else NOTHING


@column("kind")
def kind(item: ReviewItem) -> str:
    return format_status(item.kind)


@column("state")
def state(item: ReviewItem) -> Any:
    return badge(item.status)


class ReviewKindFilter(admin.SimpleListFilter):
    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = ReviewItem.objects.filter(closed_at__isnull=True).values_list("kind", flat=True).distinct()
        return [(kind, format_status(kind)) for kind in kinds.order_by("kind")[:50]]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(kind=self.value()) if self.value() else queryset


class ReviewStateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(closed_at__isnull=self.value() == "open") if self.value() else queryset


@admin.register(ReviewItem)
class ReviewItemAdmin(ReadOnlyAdmin):
    list_display = (short_id, kind, in_doubt, state, moment("opened_at", "since"), "why")
    list_filter = (ReviewStateFilter, ReviewKindFilter, AgeFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    row_actions = (CloseReviewItem(),)
    facts = (kind, in_doubt, moment("opened_at", "since"))
    empty = "Nothing needs review. Veza opens a review item where staff must decide."
    row_template = "admin/review_item.html"

    def page_context(self, row: ReviewItem) -> dict[str, Any]:
        site = cast(MoneySite, self.admin_site)
        return {"history_panels": others(site.panels_of(row.correlation_id), row) if row.correlation_id else []}


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    ordering = ("name",)
    exports = False
    list_display = (
        "name",
        moment("beat_at", "last beat"),
        "done",
        "failed",
        "last_error",
        moment("last_error_at", "last failure"),
    )
    empty = "No worker has finished a tick yet. Start a worker and beat."


class MaintenanceForm(ActionForm):
    message = forms.CharField(
        max_length=300,
        required=False,
        label="Message for buyers and sellers",
        help_text="Default: “Veza is down for maintenance. Nothing is lost; please come back soon.”",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    field_order = ("message", "reason")


class _Maintenance(AdminAction[PlatformSetting]):
    permission = "core.set_maintenance"
    for_selection = False

    def version_of(self, row: PlatformSetting) -> str:
        return str(_is_on(row))


class StartMaintenance(_Maintenance):
    label = "Start maintenance"

    def form(self, row: Any, data: Mapping[str, Any] | None = None) -> ActionForm:
        return MaintenanceForm(data)

    def is_available(self, row: PlatformSetting) -> bool:
        return row.name == platform.MAINTENANCE and not _is_on(row)

    def preview(self, row: PlatformSetting, *, params: ActionRequest) -> list[str]:
        message = params.answers.get("message") or "Veza is down for maintenance"
        return [
            f"Within five seconds buyers' and sellers' requests get 503 with the message: {message}.",
            "Webhooks, workers, log-ins, this back-office and the health page go on. No money is lost or late.",
        ]

    def perform(self, row: PlatformSetting, *, cause: Cause, params: ActionRequest) -> str:
        platform.set_maintenance(on=True, message=params.answers.get("message", ""), cause=cause)
        return "Maintenance mode is on: buyers and sellers get 503."


class EndMaintenance(_Maintenance):
    label = "End maintenance"

    def is_available(self, row: PlatformSetting) -> bool:
        return row.name == platform.MAINTENANCE and _is_on(row)

    def preview(self, row: PlatformSetting, *, params: ActionRequest) -> list[str]:
        return ["Within five seconds buyers and sellers can use Veza again."]

    def perform(self, row: PlatformSetting, *, cause: Cause, params: ActionRequest) -> str:
        platform.set_maintenance(on=False, cause=cause)
        return "Maintenance mode is off."


def _is_on(row: PlatformSetting) -> bool:
    return bool(row.value.get("on")) if isinstance(row.value, dict) else row.value is True


@column("value")
def setting_value(row: PlatformSetting) -> str:
    if row.name == platform.MAINTENANCE:
        return "on" if _is_on(row) else "off"
    return str(row.value)


@admin.register(PlatformSetting)
class PlatformSettingAdmin(ReadOnlyAdmin):
    ordering = ("name",)
    exports = False
    list_display = ("name", setting_value, "changed_by", "reason", moment("changed_at", "since"))
    facts = (setting_value, moment("changed_at", "since"))
    row_actions = (StartMaintenance(), EndMaintenance())

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        # The switch is there from the first day: otherwise staff could not turn it.
        PlatformSetting.objects.get_or_create(name=platform.MAINTENANCE, defaults={"value": {"on": False}})
        return super().get_queryset(request)
