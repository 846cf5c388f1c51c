"""The admin site: the floors' pages, with the whole story beside each row."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from veza.backoffice import action_log, dashboard, order_history, people, search
from veza.backoffice.login import StaffLogin
from veza.backoffice.proof_in_words import proof_lines
from veza.backoffice.timeline import next_steps_of, timeline_of
from veza.core.admin_actions import AdminAction
from veza.core.admin_base import MoneySite
from veza.core.admin_columns import Panel
from veza.core.causes import Cause
from veza.core.models import User
from veza.core.platform import maintenance
from veza.core.timeline import ProofLine, TimelineLine

EXPORT = "backoffice.export_rows"
# Tables of libraries, which nobody in support should meet.
NOT_SHOWN = ("token_blacklist",)
# What the menu holds, as support thinks of it.
MENU = (
    ("Orders", ("marketplace.order", "marketplace.license", "marketplace.product")),
    ("Money in and back", ("payments.payment", "payments.refund", "payments.dispute")),
    (
        "Sellers",
        ("connect.sellertransfer", "connect.transferreversal", "connect.sellerpayout", "connect.connectedaccount"),
    ),
    (
        "Subscriptions",
        (
            "subscriptions.subscription",
            "subscriptions.subscriptioninvoice",
            "subscriptions.plan",
            "subscriptions.distributionsubmission",
            "subscriptions.unpaidsubscriptionaudit",
        ),
    ),
    ("What happened", ("core.reviewitem", "payments.webhookdelivery", "payments.posting", "core.statuschange")),
    ("Behind the scenes", ("core.providercall", "core.heartbeat", "backoffice.staffaction", "core.platformsetting")),
    ("People", ("core.user", "auth.group")),
)


class Backoffice(MoneySite):
    site_header = "Veza"
    site_title = "Veza back-office"
    index_title = "Where is the money?"
    index_template = "admin/dashboard.html"
    login_form = StaffLogin
    site_url = None
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        models: list[Any] = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        shown = [model for model in models if model._meta.app_label not in NOT_SHOWN]
        super().register(shown, admin_class, **options)

    def timeline_of(self, correlation_id: UUID) -> Sequence[TimelineLine]:
        return timeline_of(correlation_id)

    def next_steps_of(self, correlation_id: UUID) -> Sequence[str]:
        return next_steps_of(correlation_id)

    def proof_of(self, correlation_id: UUID) -> Sequence[ProofLine]:
        return proof_lines(correlation_id)

    def panels_of(self, correlation_id: UUID) -> Sequence[Panel]:
        return order_history.panels_of(correlation_id)

    def panels_of_person(self, person: User) -> Sequence[Panel]:
        return people.panels_of_person(person)

    def timeline_of_person(self, person: User) -> Sequence[TimelineLine]:
        return people.timeline_of_person(person)

    def begin_action(self, act_id: UUID, act: AdminAction, row: Any, *, cause: Cause) -> str:
        return action_log.begin(act_id, act, row, cause=cause)

    def end_action(self, act_id: UUID, *, word: str, sentence: str) -> None:
        action_log.end(act_id, word=word, sentence=sentence)

    def may_export(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(EXPORT)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        found = request.resolver_match
        return {
            **super().each_context(request),
            "environment": settings.VEZA_ENVIRONMENT,
            "maintenance_notice": maintenance(),
            "said": request.GET.get("q", "") if found and found.url_name == "search" else "",
        }

    def get_urls(self) -> list[Any]:
        return [path("search/", self.admin_view(self.search), name="search"), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        at, person = timezone.now(), cast(User, request.user)
        told = {
            "money": dashboard.money_cards(at) if person.has_perm("payments.view_posting") else [],
            "added_up_to": dashboard.as_of(),
            "cards": dashboard.cards(person, at),
        }
        return super().index(request, {**told, **(extra_context or {})})

    def search(self, request: HttpRequest) -> HttpResponse:
        """Whatever somebody was given; a single hit is shown at once."""
        payload = request.GET.get("q", "").strip()[:200]
        panels = search.found(self, request, payload) if payload else []
        hits = [where for each in panels for where, _ in each.lines]
        if len(hits) == 1:
            return HttpResponseRedirect(hits[0])
        context = {**self.each_context(request), "title": "Search", "term": payload, "panels": panels}
        return TemplateResponse(request, "admin/search.html", context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The menu: what this person may look at, in the order in which they think of it."""
        apps = self._build_app_dict(request)
        pages = {
            f"{label}.{page['model']._meta.model_name}": page for label, app in apps.items() for page in app["models"]
        }
        if app_label is not None:
            return super().get_app_list(request, app_label)
        menu = []
        for name, labels in MENU:
            shown = [pages[label] for label in labels if label in pages]
            if shown:
                menu.append({"name": name, "app_label": "", "app_url": "", "has_module_perms": True, "models": shown})
        return menu
