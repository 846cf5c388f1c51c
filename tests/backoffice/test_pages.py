"""Every page of the back-office opens, says things as a person would, and costs the same for many rows."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.buying import paid, payment_of, two_sellers_order

pytestmark = pytest.mark.django_db

LISTS = sorted(model._meta.label_lower for model in admin.site._registry)
WITH_MONEY = ["marketplace.order", "payments.payment", "payments.refund", "connect.sellertransfer"]


def list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def page_of(row) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def open_page(client, address: str, payload: dict[str, str]) -> str:
    page = client.get(address, payload)
    assert page.status_code == 200, address
    return page.content.decode()


@pytest.mark.parametrize("label", LISTS)
def test_every_list_opens_when_it_is_empty(boss, label):
    open_page(boss, list_of(label), {})
    open_page(boss, list_of(label), {"q": "nobody@example.com"})


def test_every_list_opens_with_rows_and_every_row_has_a_page(boss, order):
    for label in LISTS:
        open_page(boss, list_of(label), {})
        for row in apps.get_model(label).objects.all()[:2]:
            assert " object (" not in open_page(boss, page_of(row), {}), label


def test_a_converted_amount_is_shown_in_the_currency_of_its_payment(boss, order):
    refund = payment_of(order).refunds.get()
    payment_of(order).refunds.update(currency="USD", amount_minor=19_50, converted_minor=18_00)

    page = open_page(boss, page_of(refund), {})

    assert {"19.50 USD", "18.00 EUR"} <= set(re.findall(r"\d+\.\d\d [A-Z]{3}", page))


@pytest.mark.parametrize("label", WITH_MONEY)
def test_a_list_costs_no_more_queries_for_more_rows(boss, sandbox, label, order):
    few = queries_of(boss, list_of(label))
    for _ in range(3):
        paid(two_sellers_order())

    assert queries_of(boss, list_of(label)) == few


def queries_of(boss, address: str) -> int:
    """What a page costs once the process knows what it remembers for some seconds."""
    boss.get(address)
    with CaptureQueriesContext(connection) as queries:
        boss.get(address)
    return len(queries)
