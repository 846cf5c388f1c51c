"""The pages of an action: what will happen, why, and what came of it; for one row or for a selection."""

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
from veza.core.admin_columns import linked
from veza.core.api.requests import cause_of
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import StatusChange, User
from veza.core.states import IllegalMove, StaleState

if TYPE_CHECKING:  # Django's own class takes no parameter; its stub does.
    _ModelAdmin = ModelAdmin[Any]
else:
    _ModelAdmin = ModelAdmin

log = structlog.get_logger(__name__)
# A selection is one page of a list: more is a command's work.
AT_ONCE = 100
Word = Literal["done", "already", "refused", "failed"]


class Journal(Protocol):
    """Where it is kept who did what: the site keeps it, one line for each row and press of the button."""

    def begin_action(self, act_id: UUID, act: AdminAction, row: Any, *, cause: Cause) -> str:
        """Keep that it is done now. A sentence about who was first, if this very press was seen before."""

    def end_action(self, act_id: UUID, *, word: str, sentence: str) -> None:
        """Keep what came of it."""


@dataclass(frozen=True)
class Result:
    """What an action came to for one row."""

    row: Any
    word: Word
    sentence: str

    @property
    def link(self) -> str:
        return linked(self.row)


def carry_out(
    act: AdminAction, row: Any, *, params: ActionRequest, cause: Cause, snapshot: str, journal: Journal
) -> Result:
    """Do it to one row, once: pressed twice, or overtaken by a worker, it says who was first and does nothing.

    `seen` is how the row stood when the person was asked. Each row is its own transaction, or several: the verb says.
    """
    if act.standing(row) != snapshot or not act.is_available(row):
        return Result(row, "already", _who_was_first(row))
    if first := journal.begin_action(params.id, act, row, cause=cause):
        return Result(row, "already", first)
    result = _perform(act, row, params=params, cause=cause)
    journal.end_action(params.id, word=result.word, sentence=result.sentence)
    return result


def _perform(act: AdminAction, row: Any, *, params: ActionRequest, cause: Cause) -> Result:
    try:
        return Result(row, "done", act.perform(row, cause=cause, params=params))
    except (NotAllowed, IllegalMove, StaleState) as no:
        before = act.standing(row)
        row.refresh_from_db()
        if act.standing(row) != before or not isinstance(no, NotAllowed):
            return Result(row, "already", _who_was_first(row))
        return Result(row, "refused", no.text)
    except Exception:
        # One row that our own code stumbles over must not hide what became of the others.
        log.exception("act_failed", act=act.name, row=str(row.pk))
        return Result(row, "failed", "Veza stumbled over this one. It is in the log, under the id of this request.")


def _who_was_first(row: Any) -> str:
    last = StatusChange.objects.filter(subject_id=row.pk).order_by("-id").first() if isinstance(row.pk, UUID) else None
    if last is None:
        return "There is nothing left to do here: look at it again."
    who = last.actor or last.cause_kind
    went = " to ".join(word.replace("_", " ") for word in (last.from_status, last.to_status))
    return f"Already done by {who} at {last.at:%Y-%m-%d %H:%M:%S} UTC: it went from {went}."


class ActionPages(_ModelAdmin):
    """A page with actions: buttons on the row, choices above the list, and the pages behind both."""

    row_actions: tuple[AdminAction, ...] = ()

    def row_actions_for(self, request: HttpRequest, row: Any) -> list[AdminAction]:
        """What this person may do about the row as it stands."""
        return [act for act in self.row_actions if _may(request, act) and act.is_available(row)]

    def get_urls(self) -> list[Any]:
        one, several = self.admin_site.admin_view(self.act_on_one), self.admin_site.admin_view(self.act_on_several)
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("act/<slug:act_name>/", several, name=f"{name}_act_on_several"),
            path("<path:object_id>/act/<slug:act_name>/", one, name=f"{name}_act"),
            *super().get_urls(),
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Django's choices above a list: each leads to the confirmation of one of our actions."""
        several = [act for act in self.row_actions if act.for_selection and _may(request, act)]
        return {act.name: (_chooser(act), act.name, act.label) for act in several}

    def where(self, act: AdminAction, row: Any = None) -> str:
        """The address of an action: on one row, or on a selection."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_act"
        return reverse(name, args=[quote(row.pk), act.name]) if row else reverse(f"{name}_on_several", args=[act.name])

    def act_on_one(self, request: HttpRequest, object_id: str, act_name: str) -> HttpResponse:
        act = self._permitted(request, act_name)
        row = self.get_object(request, unquote(object_id))
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return self._act(request, act, [row], one=True)

    def act_on_several(self, request: HttpRequest, act_name: str) -> HttpResponse:
        act = self._permitted(request, act_name)
        if not act.for_selection or not self.has_view_permission(request):
            raise PermissionDenied
        chosen = [str(key) for key in request.POST.getlist("row")][:AT_ONCE]
        return self._act(request, act, list(self.get_queryset(request).filter(pk__in=chosen)), one=False)

    def ask_about(self, request: HttpRequest, act: AdminAction, rows: list[Any], *, one: bool) -> HttpResponse:
        """The page before anything is done."""
        return self._page(request, act, rows, form=act.form(rows[0] if rows else None), one=one)

    def _permitted(self, request: HttpRequest, act_name: str) -> AdminAction:
        act = next((act for act in self.row_actions if act.name == act_name), None)
        if act is None:
            raise Http404
        if not _may(request, act):
            raise PermissionDenied
        return act

    def _act(self, request: HttpRequest, act: AdminAction, rows: list[Any], *, one: bool) -> HttpResponse:
        if request.method != "POST" or "reason" not in request.POST:
            return self.ask_about(request, act, rows, one=one)
        form = act.form(rows[0] if rows else None, request.POST)
        if not form.is_valid() or "confirm" not in request.POST:
            return self._page(request, act, rows, form=form, one=one)
        press, staff = _press(request), cast(User, request.user)
        cause = cause_of(request, reason=form.cleaned_data["reason"])
        results = [
            carry_out(
                act,
                row,
                params=ActionRequest(staff, form.cleaned_data, press if one else uuid5(press, str(row.pk))),
                cause=cause,
                snapshot=request.POST.get(f"seen_{row.pk}", ""),
                journal=cast(Journal, self.admin_site),
            )
            for row in rows
        ]
        return self._told(request, results[0]) if one else self._table(request, act, results)

    def _page(
        self, request: HttpRequest, act: AdminAction, rows: list[Any], *, form: ActionForm, one: bool
    ) -> HttpResponse:
        answers = form.cleaned_data if form.is_bound and form.is_valid() else {}
        params = ActionRequest(cast(User, request.user), answers)
        is_available = [row for row in rows if act.is_available(row)]
        title = f"{act.label}: {rows[0]}" if one and rows else act.label
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "act": act,
            "form": form,
            "one": rows[0] if one else None,
            "press": _press(request),
            "rows": [(row, act.standing(row), act.preview(row, params=params)) for row in is_available],
            "not_offered": [(row, _who_was_first(row)) for row in rows if row not in is_available],
            "back": self._row_page(rows[0]) if one else self._list_page(),
            "here": self.where(act, rows[0] if one else None),
            "asks_more": len(form.fields) > 1,
        }
        return TemplateResponse(request, "admin/act.html", context)

    def _told(self, request: HttpRequest, result: Result) -> HttpResponse:
        level = messages.SUCCESS if result.word == "done" else messages.WARNING
        messages.add_message(request, level, result.sentence)
        return HttpResponseRedirect(self._row_page(result.row))

    def _table(self, request: HttpRequest, act: AdminAction, results: list[Result]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": act.label,
            "opts": self.opts,
            "results": results,
            "back": self._list_page(),
        }
        return TemplateResponse(request, "admin/act_results.html", context)

    def _row_page(self, row: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(row.pk)])

    def _list_page(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


def _may(request: HttpRequest, act: AdminAction) -> bool:
    return cast(User, request.user).has_perm(act.permission)


def _press(request: HttpRequest) -> UUID:
    """One id for the question and its answer, however often the button is pressed."""
    try:
        return UUID(request.POST.get("press", ""))
    except ValueError:
        return new_id()


def _chooser(act: AdminAction) -> Any:
    def choose(page: ActionPages, request: HttpRequest, rows: Any) -> HttpResponse:
        return page.ask_about(request, act, list(rows[:AT_ONCE]), one=False)

    return choose
