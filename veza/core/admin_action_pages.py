"""The pages of an action: preview, reason and result, for one row or for a selection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from uuid import UUID, uuid5

import structlog
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction
from veza.core.admin_columns import link_to
from veza.core.api.requests import cause_of
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import StatusChange, User
from veza.core.states import IllegalMove, StaleState
from veza.core.words import format_status, format_time

if TYPE_CHECKING:  # Django's own class takes no parameter; its stub does.
    _ModelAdmin = ModelAdmin[Any]
else:
    _ModelAdmin = ModelAdmin

log = structlog.get_logger(__name__)
# A selection is one page of a list; a command handles more.
MAX_SELECTION = 100
Outcome = Literal["done", "already", "refused", "failed"]


class ActionLog(Protocol):
    """The record of who performed which action: the site keeps it, one entry for each row and submission."""

    def begin_action(self, action_id: UUID, action: AdminAction[Any], row: Any, *, cause: Cause) -> str:
        """Record that the action begins. Returns a sentence about the first time if this submission is on record."""

    def end_action(self, action_id: UUID, *, outcome: str, sentence: str) -> None:
        """Record the result."""


@dataclass(frozen=True)
class Result:
    """The result of an action for one row."""

    row: Any
    outcome: Outcome
    sentence: str

    @property
    def link(self) -> str:
        return link_to(self.row)


def run_action(
    action: AdminAction[Any], row: Any, *, params: ActionRequest, cause: Cause, version: str, action_log: ActionLog
) -> Result:
    """Perform the action on one row, once: submitted twice, or overtaken by a worker, it says who was first.

    `version` is the row's version on the confirmation page. Each row is its own transaction, or several: the verb says.
    """
    if action.version_of(row) != version or not action.is_available(row):
        return Result(row, "already", _last_change(row))
    if first := action_log.begin_action(params.id, action, row, cause=cause):
        return Result(row, "already", first)
    result = _perform(action, row, params=params, cause=cause)
    action_log.end_action(params.id, outcome=result.outcome, sentence=result.sentence)
    return result


def _perform(action: AdminAction[Any], row: Any, *, params: ActionRequest, cause: Cause) -> Result:
    try:
        return Result(row, "done", action.perform(row, cause=cause, params=params))
    except (NotAllowed, IllegalMove, StaleState) as error:
        if row._state.adding:
            return Result(row, "refused", str(getattr(error, "text", error)))
        before = action.version_of(row)
        row.refresh_from_db()
        if action.version_of(row) != before or not isinstance(error, NotAllowed):
            return Result(row, "already", _last_change(row))
        return Result(row, "refused", error.text)
    except Exception:
        # One row that runs into a bug must not hide the results of the others.
        log.exception("admin_action_failed", action=action.name, row=str(row.pk))
        return Result(row, "failed", f"Unexpected error; request id {cause.request_id}.")


def _last_change(row: Any) -> str:
    last = StatusChange.objects.filter(subject_id=row.pk).order_by("-id").first() if isinstance(row.pk, UUID) else None
    if last is None:
        return "Nothing to do: the row has changed. Reload its page."
    move = f"{format_status(last.from_status)} to {format_status(last.to_status)}"
    return f"Already done by {last.actor or last.cause_kind} on {format_time(last.at)}: {move}."


class ActionPages(_ModelAdmin):
    """A page with actions: buttons on the row, choices above the list, and the pages behind both."""

    row_actions: tuple[AdminAction[Any], ...] = ()
    # The action that makes a row; it is given one with an id that is in no table.
    create_action: AdminAction[Any] | None = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the list offers the page that makes a row."""
        if self.create_action is None:
            return super().has_add_permission(request)
        return _may(request, self.create_action)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The pages of the action that makes a row, where there is one instead of Django's form."""
        if self.create_action is None:
            return super().add_view(request, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        row = self.model(pk=_submission_id(request))
        return self._confirm_or_run(request, self.create_action, [row], one=True)

    def row_actions_for(self, request: HttpRequest, row: Any) -> list[AdminAction[Any]]:
        """The actions that this user may perform on the row in its present state."""
        return [action for action in self.row_actions if _may(request, action) and action.is_available(row)]

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        on_row, on_selection = self.admin_site.admin_view(self.run_on_row), self.admin_site.admin_view(self.run_on_rows)
        return [
            path("action/<slug:action_name>/", on_selection, name=f"{name}_selection_action"),
            path("<path:object_id>/action/<slug:action_name>/", on_row, name=f"{name}_action"),
            *super().get_urls(),
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Django's choices above a list: each leads to the confirmation of one of our actions."""
        actions = [action for action in self.row_actions if action.for_selection and _may(request, action)]
        return {action.name: (_chooser(action), action.name, action.label) for action in actions}

    def address_for(self, action: AdminAction[Any], row: Any = None) -> str:
        """The address of an action: on one row, or on a selection."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if row is None:
            return reverse(f"{name}_selection_action", args=[action.name])
        return reverse(f"{name}_action", args=[quote(row.pk), action.name])

    def run_on_row(self, request: HttpRequest, object_id: str, action_name: str) -> HttpResponse:
        action = self._find_action(request, action_name)
        row = self.get_object(request, unquote(object_id))
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return self._confirm_or_run(request, action, [row], one=True)

    def run_on_rows(self, request: HttpRequest, action_name: str) -> HttpResponse:
        action = self._find_action(request, action_name)
        if not action.for_selection or not self.has_view_permission(request):
            raise PermissionDenied
        keys = [str(key) for key in request.POST.getlist("row")][:MAX_SELECTION]
        return self._confirm_or_run(request, action, list(self.get_queryset(request).filter(pk__in=keys)), one=False)

    def confirmation(
        self, request: HttpRequest, action: AdminAction[Any], rows: list[Any], *, one: bool
    ) -> HttpResponse:
        """The page before anything is done."""
        return self._page(request, action, rows, form=action.form(rows[0] if rows else None), one=one)

    def _find_action(self, request: HttpRequest, action_name: str) -> AdminAction[Any]:
        action = next((action for action in self.row_actions if action.name == action_name), None)
        if action is None:
            raise Http404
        if not _may(request, action):
            raise PermissionDenied
        return action

    def _confirm_or_run(
        self, request: HttpRequest, action: AdminAction[Any], rows: list[Any], *, one: bool
    ) -> HttpResponse:
        if request.method != "POST" or "reason" not in request.POST:
            return self.confirmation(request, action, rows, one=one)
        form = action.form(rows[0] if rows else None, request.POST)
        if not form.is_valid() or "confirm" not in request.POST:
            return self._page(request, action, rows, form=form, one=one)
        results = self._run(request, action, rows, form=form, one=one)
        return self._to_row(request, results[0]) if one else self._table(request, action, results)

    def _run(
        self, request: HttpRequest, action: AdminAction[Any], rows: list[Any], *, form: ActionForm, one: bool
    ) -> list[Result]:
        submission, staff = _submission_id(request), cast(User, request.user)
        cause = cause_of(request, reason=form.cleaned_data["reason"])
        return [
            run_action(
                action,
                row,
                params=ActionRequest(staff, form.cleaned_data, submission if one else uuid5(submission, str(row.pk))),
                cause=cause,
                version=request.POST.get(f"version_{row.pk}", ""),
                action_log=cast(ActionLog, self.admin_site),
            )
            for row in rows
        ]

    def _page(
        self, request: HttpRequest, action: AdminAction[Any], rows: list[Any], *, form: ActionForm, one: bool
    ) -> HttpResponse:
        answers = form.cleaned_data if form.is_bound and form.is_valid() else {}
        params = ActionRequest(cast(User, request.user), answers)
        available = [row for row in rows if action.is_available(row)]
        is_new = action is self.create_action
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.label}: {rows[0]}" if one and rows and not is_new else action.label,
            "opts": self.opts,
            "action": action,
            "form": form,
            "one": rows[0] if one else None,
            "submission_id": rows[0].pk if is_new else _submission_id(request),
            "rows": [(row, action.version_of(row), action.preview(row, params=params)) for row in available],
            "unavailable": [(row, _last_change(row)) for row in rows if row not in available],
            "back": self._row_page(rows[0]) if one and not is_new else self._list_page(),
            "here": request.path if is_new else self.address_for(action, rows[0] if one else None),
            "asks_more": len(form.fields) > 1,
        }
        return TemplateResponse(request, "admin/action.html", context)

    def _to_row(self, request: HttpRequest, result: Result) -> HttpResponse:
        level = messages.SUCCESS if result.outcome == "done" else messages.WARNING
        messages.add_message(request, level, result.sentence)
        return HttpResponseRedirect(self._row_page(result.row))

    def _table(self, request: HttpRequest, action: AdminAction[Any], results: list[Result]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": action.label,
            "opts": self.opts,
            "results": results,
            "back": self._list_page(),
        }
        return TemplateResponse(request, "admin/action_results.html", context)

    def _row_page(self, row: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(row.pk)])

    def _list_page(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


def _may(request: HttpRequest, action: AdminAction[Any]) -> bool:
    return cast(User, request.user).has_perm(action.permission)


def _submission_id(request: HttpRequest) -> UUID:
    """One id for a confirmation page and its form, however often the form is submitted."""
    try:
        return UUID(request.POST.get("submission_id", ""))
    except ValueError:
        return new_id()


def _chooser(action: AdminAction[Any]) -> Any:
    def choose(page: ActionPages, request: HttpRequest, rows: Any) -> HttpResponse:
        return page.confirmation(request, action, list(rows[:MAX_SELECTION]), one=False)

    return choose
