"""The page of users, which the top floor registers with its actions. Who may edit whom is decided here."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from veza.core.admin_base import MoneySite
from veza.core.admin_columns import moment, when
from veza.core.admin_lists import AgeFilter, CappedPaginator, find, offered_lookups
from veza.core.models import User


class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # Django's class takes no parameter; its stub does.
    """Users. Staff are created here; buyers and sellers too, until they can sign up.

    `is_active` is not edited: it changes with everything that follows, by closing and reopening the account; for the
    same reason no user is deleted. Whoever may edit users edits those who may do no more than they, gives no
    permission that they lack, and none to themselves. The top floor registers the page, with the actions of all floors.
    """

    change_form_template = "admin/person.html"
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    ordering = ("-pk",)
    list_display = ("email", "name", "is_staff", moment("seller_since_at", "seller since"), "joined_on")
    list_filter = ("is_staff", "is_active", AgeFilter)
    search_fields = ("email",)
    readonly_fields = ("is_active", "closed_at", "closed_reason", "seller_since_at", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("E-mails", {"fields": ("language", "time_zone")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("seller_since_at", "created_at", "last_login", "closed_at", "closed_reason")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2", "is_staff")}),)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        may_edit = super().has_change_permission(request, obj)
        return may_edit and (obj is None or _is_within(obj, cast(User, request.user)))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        fields = list(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:
            fields += ["is_superuser", "user_permissions"]
        if obj is not None and obj.pk == request.user.pk:
            fields += ["is_staff", "is_superuser", "groups", "user_permissions"]
        return fields

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups" and not request.user.is_superuser:
            own = _permissions_of(cast(User, request.user))
            kwargs["queryset"] = Group.objects.exclude(permissions__in=Permission.objects.exclude(pk__in=own))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in offered_lookups(self.list_filter)

    @admin.display(description="joined")
    def joined_on(self, user: User) -> Any:
        return when(user.created_at)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Users", **(extra_context or {})})

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
        context, site = extra_context or {}, cast(MoneySite, self.admin_site)
        user = self.get_object(request, object_id)
        if user is not None:
            context |= {"history_panels": site.panels_of_person(user), "timeline": site.timeline_of_person(user)}
        return super().change_view(request, object_id, form_url, context)


def _is_within(user: User, editor: User) -> bool:
    """Whether `editor` may do all that `user` may, also while the account is closed."""
    if editor.is_superuser:
        return True
    return not user.is_superuser and _permissions_of(user) <= _permissions_of(editor)


def _permissions_of(user: User) -> set[int]:
    own = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return set(own.values_list("pk", flat=True))
