"""The ground floor's pages: people, what happened, what waits for a person."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from veza.core.admin_base import ReadOnlyAdmin, amount
from veza.core.models import Heartbeat, OperatorCase, PlatformSetting, ProviderCall, StatusChange, User


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # Django's class takes no parameter; its stub does.
    """People. Staff are made here; buyers and sellers too, until they can sign up."""

    ordering = ("email",)
    list_display = ("email", "name", "is_staff", "is_active", "seller_since_at", "created_at")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    readonly_fields = ("seller_since_at", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Since when", {"fields": ("seller_since_at", "created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2", "is_staff")}),)


@admin.register(StatusChange)
class StatusChangeAdmin(ReadOnlyAdmin):
    list_display = ("at", "machine", "subject_id", "from_status", "to_status", "cause_kind", "actor", "reason")
    list_filter = ("machine", "to_status", "cause_kind")
    search_fields = ("=subject_id", "=story_id")
    ordering = ("-id",)


@admin.register(ProviderCall)
class ProviderCallAdmin(ReadOnlyAdmin):
    list_display = ("at", "provider", "method", "path", "outcome", "status", "milliseconds", "detail")
    list_filter = ("provider", "outcome")
    search_fields = ("=our_id", "=subject_id", "=story_id")
    ordering = ("-id",)


@admin.register(OperatorCase)
class OperatorCaseAdmin(ReadOnlyAdmin):
    list_display = ("opened_at", "kind", "subject", "subject_id", amount, "why", "what_to_do", "closed_at")
    list_filter = ("kind", ("closed_at", admin.EmptyFieldListFilter))
    search_fields = ("=subject_id", "=story_id")
    ordering = ("-id",)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "beat_at", "done", "failed", "last_error", "last_error_at")


@admin.register(PlatformSetting)
class PlatformSettingAdmin(ReadOnlyAdmin):
    list_display = ("name", "value", "changed_by", "reason", "changed_at")
