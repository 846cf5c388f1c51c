"""The ground floor's pages: people, what happened, what waits for a person."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from veza.core import platform, reviews
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.admin_base import MoneySite, ReadOnlyAdmin, others
from veza.core.admin_columns import NOTHING, badge, column, moment, short_id, when
from veza.core.admin_lists import AgeFilter, CappedPaginator, find
from veza.core.causes import Cause
from veza.core.models import Heartbeat, PlatformSetting, ProviderCall, ReviewItem, StatusChange, User
from veza.core.money import format_amount


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # Django's class takes no parameter; its stub does.
    """People. Staff are made here; buyers and sellers too, until they can sign up."""

    change_form_template = "admin/person.html"
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    ordering = ("-pk",)
    list_display = ("email", "name", "is_staff", moment("seller_since_at", "seller since"), "joined")
    list_filter = ("is_staff", "is_active", AgeFilter)
    search_fields = ("email",)
    readonly_fields = ("seller_since_at", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Since when", {"fields": ("seller_since_at", "created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2", "is_staff")}),)

    @admin.display(description="joined")
    def joined(self, person: User) -> Any:
        return when(person.created_at)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "People", **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        return (find(queryset, ("id", "email"), search_term) if search_term.strip() else queryset), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        told, site = extra_context or {}, cast(MoneySite, self.admin_site)
        person = self.get_object(request, object_id)
        if person is not None:
            told |= {"story_panels": site.panels_of_person(person), "timeline": site.timeline_of_person(person)}
        return super().change_view(request, object_id, form_url, told)


class WordFilter(admin.SimpleListFilter):
    """A filter over words that are known here: asking the table which there are would read all of it."""

    words: ClassVar[Sequence[str]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word) for word in self.words]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class CauseFilter(WordFilter):
    title, parameter_name = "who or what", "cause_kind"
    words = ("webhook", "user", "staff", "sweep", "reconcile", "command", "reaction")


class ProviderFilter(WordFilter):
    title, parameter_name = "provider", "provider"
    words = ("hyperswitch", "stripe")


class OutcomeFilter(WordFilter):
    title, parameter_name = "outcome", "outcome"
    words = ("accepted", "refused", "not sent", "unknown")


@column("what")
def machine(change: StatusChange) -> str:
    return str(apps.get_model(change.machine)._meta.verbose_name)


@column("from")
def came_from(change: StatusChange) -> str:
    return change.from_status.replace("_", " ")


@column("by")
def by_whom(change: StatusChange) -> str:
    return change.actor or change.cause_kind


@column("to")
def went_to(change: StatusChange) -> Any:
    return badge(change.to_status)


@column("row")
def subject(row: Any) -> Any:
    return format_html("<code>{}</code>", str(row.subject_id)[-8:])


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = (moment("at", "when"), machine, subject, came_from, went_to, by_whom, "reason")
    list_filter = (CauseFilter, AgeFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    empty = "Nothing has changed its status yet."


@column("call")
def called(call: ProviderCall) -> str:
    return f"{call.provider} {call.method} {call.path}"


@column("answer")
def answered(call: ProviderCall) -> str:
    return f"{call.status or 'none'} in {call.milliseconds} ms"


@column("outcome")
def outcome(call: ProviderCall) -> Any:
    return badge(call.outcome)


@admin.register(ProviderCall)
class ProviderCallAdmin(ReadOnlyAdmin):
    list_display = (moment("at", "when"), called, outcome, answered, "detail")
    list_filter = (ProviderFilter, OutcomeFilter, AgeFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    empty = "No provider has been called yet."


class CloseCase(AdminAction):
    """The one thing to do about a case here: say that it is dealt with, and how."""

    label, permission = "Close the case", "core.close_case"

    def offered(self, row: ReviewItem) -> bool:
        return row.closed_at is None

    def preview(self, row: ReviewItem, *, params: ActionRequest) -> list[str]:
        return [
            "The case is closed with your note. No money moves and nothing is sent.",
            "If what it is about happens again, a new case is opened.",
        ]

    def perform(self, row: ReviewItem, *, cause: Cause, params: ActionRequest) -> str:
        reviews.close_review_by_hand(case_id=row.pk, cause=cause)
        return "The case is closed."


@column("in doubt")
def in_doubt(case: ReviewItem) -> str:
    return format_amount(case.amount_minor, case.currency) if case.currency and case.amount_minor else NOTHING


@column("kind")
def kind(case: ReviewItem) -> str:
    return case.kind.replace("_", " ")


@column("open")
def still_open(case: ReviewItem) -> Any:
    return badge(case.status)


class CaseKindFilter(admin.SimpleListFilter):
    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = ReviewItem.objects.filter(closed_at__isnull=True).values_list("kind", flat=True).distinct()
        return [(word, word.replace("_", " ")) for word in kinds.order_by("kind")[:50]]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(kind=self.value()) if self.value() else queryset


class CaseStateFilter(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(closed_at__isnull=self.value() == "open") if self.value() else queryset


@admin.register(ReviewItem)
class OperatorCaseAdmin(ReadOnlyAdmin):
    list_display = (short_id, kind, in_doubt, still_open, moment("opened_at", "since"), "why")
    list_filter = (CaseStateFilter, CaseKindFilter, AgeFilter)
    search_keys = ("id", "subject_id", "correlation_id")
    row_actions = (CloseCase(),)
    facts = (kind, in_doubt, moment("opened_at", "since"))
    empty = "No case waits for a person. Veza opens one when only a person can decide."
    row_template = "admin/case.html"

    def story(self, row: ReviewItem) -> dict[str, Any]:
        site = cast(MoneySite, self.admin_site)
        return {"story_panels": others(site.panels_of(row.correlation_id), row) if row.correlation_id else []}


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
        moment("last_error_at", "when it failed"),
    )
    empty = "No worker has finished a round yet. Start a worker and beat."


class MaintenanceForm(ActionForm):
    message = forms.CharField(
        max_length=300,
        required=False,
        label="What buyers and sellers are told",
        help_text="Left empty: “Veza is being maintained. Nothing is lost; please come back soon.”",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    field_order = ("message", "reason")


class _Maintenance(AdminAction):
    permission = "core.set_maintenance"
    for_selection = False

    def standing(self, row: PlatformSetting) -> str:
        return str(_is_on(row))


class StartMaintenance(_Maintenance):
    label = "Start maintenance"

    def form(self, row: Any, data: Any = None) -> ActionForm:
        return MaintenanceForm(data)

    def offered(self, row: PlatformSetting) -> bool:
        return row.name == platform.MAINTENANCE and not _is_on(row)

    def preview(self, row: PlatformSetting, *, params: ActionRequest) -> list[str]:
        told = params.answers.get("message") or "that Veza is being maintained"
        return [
            f"Within five seconds buyers and sellers are answered 503 and told: {told}.",
            "Webhooks, workers, logging in, this back-office and the health page go on. No money is lost or late.",
        ]

    def perform(self, row: PlatformSetting, *, cause: Cause, params: ActionRequest) -> str:
        platform.set_maintenance(on=True, message=params.answers.get("message", ""), cause=cause)
        return "Maintenance is on: buyers and sellers are asked to come back."


class EndMaintenance(_Maintenance):
    label = "End maintenance"

    def offered(self, row: PlatformSetting) -> bool:
        return row.name == platform.MAINTENANCE and _is_on(row)

    def preview(self, row: PlatformSetting, *, params: ActionRequest) -> list[str]:
        return ["Within five seconds buyers and sellers can use Veza again."]

    def perform(self, row: PlatformSetting, *, cause: Cause, params: ActionRequest) -> str:
        platform.set_maintenance(on=False, cause=cause)
        return "Maintenance is over."


def _is_on(row: PlatformSetting) -> bool:
    return bool(row.value.get("on")) if isinstance(row.value, dict) else row.value is True


@column("is")
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
        # The switch is there from the first day: otherwise nobody could turn it.
        PlatformSetting.objects.get_or_create(name=platform.MAINTENANCE, defaults={"value": {"on": False}})
        return super().get_queryset(request)
