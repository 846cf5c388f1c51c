"""No script and no style stands inside a page, and the browser is told so; secrets are masked."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from payments.models import WebhookDelivery
from tests.backoffice.conftest import browser, staff
from tests.buying import deliver, payment_of
from veza.core.models import User

pytestmark = pytest.mark.django_db
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
LISTS = [
    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
]


@pytest.mark.parametrize("address", ["/admin/login/", "/paid", "/api/v1/health"])
def test_every_answer_carries_the_policy(client, address):
    assert client.get(address)["Content-Security-Policy"] == POLICY


def test_the_api_page_may_style_itself_and_still_runs_no_inline_script(client):
    page = client.get(reverse("docs"))

    assert "script-src" not in page["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in page["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.content.decode())


@pytest.mark.parametrize("address", ["/admin/", "/admin/search/?q=x", *LISTS])
def test_no_page_of_the_back_office_needs_an_exception(boss, address):
    page = boss.get(address).content.decode()

    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", page)


def test_a_delivery_is_shown_with_its_secrets_masked():
    deliver(
        b'{"client_secret": "pay_1_secret_abc", "card": {"number": "4242 4242 4242 4242"}, "status": "x"}',
        signature="0",
    )
    delivery = WebhookDelivery.objects.get()

    page = browser(staff("support")).get(reverse("admin:payments_webhookdelivery_change", args=[delivery.pk]))

    assert "secret_abc" not in page.content.decode()
    assert "4242" not in page.content.decode()


@pytest.mark.parametrize("address", ["/admin/core/apisession/", "/admin/core/signin/"])
def test_sessions_have_no_page(boss, address):
    assert boss.get(address).status_code == 404


def test_what_an_attacker_sends_is_shown_as_text():
    deliver(b"<script>alert(1)</script>", signature="0", **{"user-agent": "<script>alert(2)</script>"})
    delivery = WebhookDelivery.objects.get()

    page = browser(staff("support")).get(reverse("admin:payments_webhookdelivery_change", args=[delivery.pk]))

    assert "<script>alert" not in page.content.decode()


def test_staff_log_in_again_after_their_session_whatever_they_did(settings):
    settings.STAFF_SESSION = timedelta(hours=8)
    member = staff("support")
    member.set_password("a long enough password")
    member.save(update_fields=["password"])
    client = Client()
    client.post("/admin/login/", {"username": member.email, "password": "a long enough password"})

    statuses = []
    for hours in (1, 7, 9):
        with time_machine.travel(timedelta(hours=hours), tick=False):
            statuses.append(client.get("/admin/").status_code)

    assert statuses == [200, 200, 302]


@pytest.mark.parametrize("page", [address for address in LISTS if not address.endswith("/user/")])
def test_not_even_a_superuser_makes_a_row_by_hand(boss, page):
    assert boss.get(f"{page}add/").status_code in {200, 403}
    assert b"submit-row" not in boss.get(f"{page}add/").content


def test_not_even_a_superuser_deletes_a_row(boss, order):
    rows = [order, payment_of(order), order.buyer]

    for row in rows:
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=[row.pk])
        assert boss.post(address, {"post": "yes"}).status_code == 403


def test_staff_are_created_on_the_users_page(boss):
    password = {"password1": "a-long-enough-one", "password2": "a-long-enough-one"}

    boss.post("/admin/core/user/add/", {"email": "new@staff.example", "name": "New", "is_staff": "on", **password})

    assert User.objects.get(email="new@staff.example").is_staff
