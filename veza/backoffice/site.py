"""The admin site: the pages of all floors, with the order history beside each row."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from veza.backoffice import action_log, dashboard, flows, money_cards, order_history, people, search
from veza.backoffice.proof import proof_lines
from veza.backoffice.timeline import next_steps_of, timeline_of
from veza.core.admin_actions import AdminAction
from veza.core.admin_base import MoneySite
from veza.core.admin_columns import Panel
from veza.core.api.lockout import TooManyTries, count_try
from veza.core.api.requests import source_address
from veza.core.causes import Cause
from veza.core.models import User
from veza.core.platform import maintenance
from veza.core.timeline import ProofLine, TimelineLine

EXPORT = "backoffice.export_rows"
# Tables of libraries, of no use to support.
# The menu, in the terms of support.
MENU = (
    ("Orders", ("marketplace.order", "marketplace.refundapplication", "marketplace.license", "marketplace.product")),
    ("Payments", ("payments.payment", "payments.refund", "payments.dispute")),
    (
        "Sellers",
        (
            "connect.sellertransfer",
            "connect.transferreversal",
            "connect.sellerpayout",
            "connect.connectedaccount",
            "marketplace.sellerrestriction",
        ),
    ),
    (
        "Subscriptions",
        (
            "subscriptions.subscription",
            "subscriptions.subscriptioninvoice",
            "subscriptions.plan",
            "subscriptions.pricechange",
            "subscriptions.distributionsubmission",
            "subscriptions.unpaidsubscriptionaudit",
        ),
    ),
    (
        "Review and history",
        ("core.reviewitem", "core.email", "payments.webhookdelivery", "payments.posting", "core.statuschange"),
    ),
    ("Operations", ("core.providercall", "core.heartbeat", "backoffice.staffaction", "core.platformsetting")),
    ("Users", ("core.user", "auth.group")),
)


class StaffLogin(AdminAuthenticationForm):
    """Django's log-in form, with too many tries locked out. Each try is counted before the password is checked."""

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username", "")
        address = source_address(self.request) if self.request is not None else None
        try:
            counted = count_try(email, address)
        except TooManyTries as error:
            raise ValidationError(error.text, code=error.code) from error
        data = super().clean()
        counted.succeeded(self.get_user())
        return data


class Backoffice(MoneySite):
    site_header = "Veza"
    site_title = "Veza back-office"
    index_title = "Overview"
    index_template = "admin/dashboard.html"
    login_form = StaffLogin
    site_url = None
    enable_nav_sidebar = True

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Log in, until STAFF_SESSION from now: whatever is done meanwhile moves that no further."""
        response = super().login(request, extra_context)
        if request.method == "POST" and request.user.is_authenticated:
            request.session.set_expiry(timezone.now() + settings.STAFF_SESSION)
        return response

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

    def begin_action(self, action_id: UUID, action: AdminAction[Any], row: Any, *, cause: Cause) -> str:
        return action_log.begin(action_id, action, row, cause=cause)

    def end_action(self, action_id: UUID, *, outcome: str, sentence: str) -> None:
        action_log.end(action_id, outcome=outcome, sentence=sentence)

    def may_export(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(EXPORT)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        match = request.resolver_match
        return {
            **super().each_context(request),
            "environment": settings.VEZA_ENVIRONMENT,
            "maintenance_notice": maintenance(),
            "search_term": request.GET.get("q", "") if match and match.url_name == "search" else "",
        }

    def get_urls(self) -> list[Any]:
        return [path("search/", self.admin_view(self.search), name="search"), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        at, user = timezone.now(), cast(User, request.user)
        context = {
            "money": money_cards.money_cards(at) if user.has_perm("payments.view_posting") else [],
            "added_up_to": flows.added_up_to(),
            "cards": dashboard.cards(user, at),
        }
        return super().index(request, {**context, **(extra_context or {})})

    def search(self, request: HttpRequest) -> HttpResponse:
        """Search by id, provider id or e-mail; a single hit opens at once."""
        payload = request.GET.get("q", "").strip()[:200]
        panels = search.find_panels(self, request, payload) if payload else []
        hits = [where for each in panels for where, _ in each.lines]
        if len(hits) == 1:
            return HttpResponseRedirect(hits[0])
        context = {**self.each_context(request), "title": "Search", "term": payload, "panels": panels}
        return TemplateResponse(request, "admin/search.html", context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The menu: the pages that this user may open."""
        apps = self._build_app_dict(request)
        pages = {
            f"{label}.{page['model']._meta.model_name}": page for label, app in apps.items() for page in app["models"]
        }
        if app_label is not None:
            return super().get_app_list(request, app_label)
        menu = []
        for name, labels in MENU:
            allowed_pages = [pages[label] for label in labels if label in pages]
            if allowed_pages:
                menu.append(
                    {"name": name, "app_label": "", "app_url": "", "has_module_perms": True, "models": allowed_pages}
                )
        return menu
