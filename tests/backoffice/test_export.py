"""A list as a file: the rows as filtered, amounts as numbers, nothing that a spreadsheet would run."""

import csv

import pytest
from django.urls import reverse

from payments.models import WebhookDelivery
from tests.backoffice.conftest import browser, staff
from tests.buying import deliver, envelope, paid, two_sellers_order
from veza.core import admin_export
from veza.core.admin_export import harmless

pytestmark = pytest.mark.django_db


def export(label: str, **filters: str) -> list[dict[str, str]]:
    answer = browser(staff("auditor")).get(reverse(f"admin:{label}_export"), filters)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))


def test_the_file_holds_the_rows_of_the_filtered_list(sandbox):
    order = paid(two_sellers_order())
    two_sellers_order()

    rows = export("marketplace_order", status__exact="completed")

    assert [(row["id"], row["total"], row["currency"]) for row in rows] == [(str(order.pk), "18.00", "EUR")]


def test_every_row_comes_once_however_many_portions_it_takes(monkeypatch):
    monkeypatch.setattr(admin_export, "CHUNK", 2)
    for _ in range(5):
        deliver(envelope("payment_succeeded", {}), signature="00")

    rows = export("payments_webhookdelivery", signature="bad")

    assert sorted(row["id"] for row in rows) == sorted(str(each.pk) for each in WebhookDelivery.objects.all())


def test_a_payload_is_never_exported():
    deliver(b'{"client_secret": "pay_secret_x"}', signature="00")

    assert "payload" not in export("payments_webhookdelivery")[0]


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "-"])  # noqa: RUF001
def test_what_a_spreadsheet_would_run_is_made_text(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "12.50", "-12.50", "a=b", "person@example.com", "2026-11-21"])
def test_what_it_would_not_run_stays(text):
    assert harmless(text) == text


def test_a_delivery_written_by_an_attacker_is_harmless_in_the_file():
    deliver(envelope("payment_succeeded", {}), signature="00", **{"user-agent": "=HYPERLINK(1)"})

    assert export("payments_webhookdelivery")[0]["user_agent"] == "'=HYPERLINK(1)"
