"""Every page fits a telephone, in light and dark, and makes the browser complain of nothing."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from tests.browser.conftest import Desk
from tests.buying import order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory
from veza.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def addresses() -> list[str]:
    """The front page, search, every list, one row of each kind, and one confirmation."""
    pages = [reverse("admin:index"), reverse("admin:search") + "?q=person"]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        row = apps.get_model(model._meta.label).objects.order_by("-pk").first()
        if row is not None and model._meta.label != "auth.Group":
            pages.append(reverse(f"{name}_change", args=[row.pk]))
            pages += [
                reverse(f"{name}_action", args=[row.pk, action.name])
                for action in getattr(admin.site._registry[model], "row_actions", ())
            ]
    return pages


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways_or_breaks_the_policy(chromium, live_server, sandbox, width, scheme):
    order = order_of(
        OfferFactory(product__title="A title that is long enough to need more than one line of a telephone")
    )
    sandbox.pay(payment_of(order).provider_key)
    refund_of(paid(order))
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(15_000)
    desk = Desk(context.new_page(), live_server.url)
    desk.log_in(User.objects.create_superuser("boss@staff.example", "a-long-password"))

    wide = []
    for address in addresses():
        desk.page.goto(live_server.url + address)
        if desk.width() > width:
            wide.append(address)

    context.close()
    assert wide == []
    assert desk.complaints == []
