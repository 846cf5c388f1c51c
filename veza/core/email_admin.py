"""The pages of e-mails: what was sent to whom, its text, a copy of it, and a preview of every message."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import translation
from django.utils.html import format_html
from django.views.decorators.clickjacking import xframe_options_sameorigin

from veza.core.admin_actions import ActionRequest, AdminAction
from veza.core.admin_base import ReadOnlyAdmin
from veza.core.admin_columns import Panel, address_of, badge, column, email_recipient, email_title, link_to, moment
from veza.core.admin_lists import AgeFilter
from veza.core.api.middleware import csp_override
from veza.core.causes import Cause
from veza.core.email.messages import Message, all_messages, message_of
from veza.core.email.outbox import resend
from veza.core.email.rendering import Rendered, render
from veza.core.models import Email, EmailStatus, Language

# An e-mail has its styles inline and loads nothing. In its frame it can run nothing and send nothing either.
_FRAME_POLICY = {
    "default-src": ["'none'"],
    "style-src": ["'unsafe-inline'"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["'self'"],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


class ResendEmail(AdminAction[Email]):
    """Send a copy of an e-mail."""

    label, permission = "Resend e-mail", "core.resend_email"

    def is_available(self, row: Email) -> bool:
        return row.status in (EmailStatus.SENT, EmailStatus.FAILED)

    def preview(self, row: Email, *, params: ActionRequest) -> list[str]:
        if row.text:
            return [f"{email_recipient(row)} gets the same e-mail again. Its subject says that it is a copy."]
        return [f"“{row.message}” is written to {email_recipient(row)} again, as it is true now."]

    def perform(self, row: Email, *, cause: Cause, params: ActionRequest) -> str:
        resend(email_id=row.pk, copy_id=params.id, cause=cause)
        return "A copy was written: a worker sends it within a minute."


@column("status")
def state(row: Email) -> Any:
    return badge(row.status)


@column("copy of")
def copy_of(row: Email) -> Any:
    return link_to(row.copy_of)


@column("why")
def why(row: Email) -> str:
    return row.last_error


class MessageFilter(admin.SimpleListFilter):
    title, parameter_name = "message", "message"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(message.name, message.name.replace("_", " ")) for message in all_messages()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(message=self.value()) if self.value() else queryset


@admin.register(Email)
class EmailAdmin(ReadOnlyAdmin):
    list_display = (
        email_title,
        email_recipient,
        state,
        moment("created_at", "written"),
        moment("sent_at", "sent"),
        why,
    )
    list_filter = ("status", MessageFilter, AgeFilter)
    list_select_related = ("recipient",)
    search_keys = ("id", "id__endswith", "subject_id", "correlation_id", "recipient__email", "address")
    facts = (
        email_title,
        email_recipient,
        state,
        moment("created_at", "written"),
        moment("sent_at", "sent"),
        copy_of,
        why,
    )
    exclude = ("html", "text", "subject_line")
    row_actions = (ResendEmail(),)
    row_template = "admin/email.html"
    change_list_template = "admin/emails.html"
    empty = "No e-mail has been written yet."

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("messages/", view(self.messages), name="core_email_messages"),
            path("messages/<slug:name>/<slug:language>/", view(self.preview), name="core_email_preview"),
            path(
                "messages/<slug:name>/<slug:language>/html/", _framed(view(self.preview_html)), name="core_email_sample"
            ),
            path("<uuid:pk>/html/", _framed(view(self.html)), name="core_email_html"),
            *super().get_urls(),
        ]

    def page_context(self, row: Email) -> dict[str, Any]:
        frame = reverse("admin:core_email_html", args=[row.pk]) if row.html else ""
        return {"frame": frame, "text": row.text}

    def panels(self, row: Email) -> list[Panel]:
        copies = [(address_of(copy), [email_title(copy), state(copy)]) for copy in row.copies.order_by("pk")]
        return [Panel("Copies", ["e-mail", "status"], copies)] if copies else []

    def html(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The HTML as it was sent, for the frame on the e-mail's page."""
        row = self.get_object(request, str(pk))
        if row is None or not self.has_view_permission(request, row):
            raise Http404
        return HttpResponse(row.html)

    def messages(self, request: HttpRequest) -> HttpResponse:
        """Every message, when it is sent, and a preview in each language."""
        self._check(request)
        lines = [("", [*_described(message)]) for message in all_messages()]
        heads = ["message", "to", "sent when", *(str(language.label) for language in Language)]
        context = {"panel": Panel("Messages", heads, lines), "title": "Messages", "opts": self.opts}
        return TemplateResponse(
            request, "admin/email_messages.html", {**self.admin_site.each_context(request), **context}
        )

    def preview(self, request: HttpRequest, name: str, language: str) -> HttpResponse:
        """One message with sample data, as text and as HTML."""
        message, rendered = self._sample(request, name, language)
        context = {
            "title": rendered.subject_line,
            "message": message,
            "text": rendered.text,
            "frame": reverse("admin:core_email_sample", args=[name, language]),
            "opts": self.opts,
        }
        return TemplateResponse(
            request, "admin/email_preview.html", {**self.admin_site.each_context(request), **context}
        )

    def preview_html(self, request: HttpRequest, name: str, language: str) -> HttpResponse:
        return HttpResponse(self._sample(request, name, language)[1].html)

    def _sample(self, request: HttpRequest, name: str, language: str) -> tuple[Message, Rendered]:
        self._check(request)
        message = message_of(name)
        if message is None or language not in Language.values:
            raise Http404
        return message, sample_of(message, language)

    def _with_site(self, request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), **context}

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def sample_of(message: Message, language: str) -> Rendered:
    """The message with its sample data, in one language."""
    link = f"{settings.PUBLIC_BASE_URL}{reverse('unsubscribe', args=['sample'])}" if message.optional else ""
    with translation.override(language):
        return render(message.sample(), unsubscribe_url=link)


def _described(message: Message) -> list[Any]:
    links = [_preview_link(message, language) for language in Language.values]
    return [message.name, str(message.audience), message.when, *links]


def _preview_link(message: Message, language: str) -> Any:
    return format_html(
        '<a href="{}">{}</a>',
        reverse("admin:core_email_preview", args=[message.name, language]),
        sample_of(message, language).subject_line,
    )


def _framed(view: Any) -> Any:
    """A page that may be framed by ours, under the policy of an e-mail."""

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = view(request, *args, **kwargs)
        return response

    return csp_override(_FRAME_POLICY)(xframe_options_sameorigin(answer))
