"""Search finds a row by any of its ids or by e-mail; lists narrow by filters."""

from datetime import timedelta

import pytest
from django.urls import reverse

from marketplace.models import Order
from payments.models import Payment, WebhookDelivery
from tests.backoffice.conftest import browser, staff
from tests.buying import paid, payment_of, refund_of, two_sellers_order
from tests.connect.factories import completed, planned
from veza.core.admin_lists import find
from veza.core.ids import first_id_since, new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def support():
    return browser(staff("support"))


def search(client, payload: str):
    return client.get(reverse("admin:search"), {"q": payload})


def page_of(row) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def rows_of(client, label: str, **filters: str) -> set:
    page = client.get(reverse(f"admin:{label}_changelist"), filters)
    return {row.pk for row in page.context["cl"].result_list}


def test_one_hit_is_shown_at_once_an_email_shows_everything_of_theirs(support, sandbox):
    order = paid(two_sellers_order())

    everything = search(support, order.buyer.email.upper()).content.decode()

    assert search(support, str(order.pk)).status_code == 200  # The order, and all rows of its history.
    assert page_of(order) in everything
    assert page_of(payment_of(order)) in everything


@pytest.mark.parametrize("key", ["payment id", "refund id", "last characters", "event id"])
def test_every_kind_of_search_term_leads_to_the_row(support, sandbox, key):
    order = paid(two_sellers_order())
    payment, refund = payment_of(order), refund_of(order)
    event = WebhookDelivery.objects.get(event_type="payment_succeeded")
    payload, row = {
        "payment id": (payment.provider_key, payment),
        "refund id": (refund.provider_key, refund),
        "last characters": (str(order.pk)[-6:], order),
        "event id": (event.event_id, event),
    }[key]

    answer = search(support, payload)

    assert page_of(row) in (answer.get("Location") or answer.content.decode())


@pytest.mark.parametrize("field", ["stripe_transfer_id", "stripe_reversal_id"])
def test_stripes_ids_lead_to_the_transfer(support, field):
    transfer = completed(**{field: f"id_{new_id().hex}"})

    assert search(support, getattr(transfer, field))["Location"] == page_of(transfer)


def test_a_search_without_a_match_says_what_it_accepts(support):
    assert "Search by an id" in search(support, "zzz").content.decode()


def test_a_search_covers_only_what_the_user_may_see(sandbox):
    order = paid(two_sellers_order())

    page = search(browser(staff()), order.buyer.email).content.decode()

    assert "No match." in page


@pytest.mark.parametrize("payload", ["", "'; --", "%", "0000", "pay_" + "U" * 26, "x" * 200, "a@"])
def test_nothing_that_is_typed_breaks_the_search(support, payload):
    assert search(support, payload).status_code == 200


def test_orders_are_narrowed_by_status_amount_age_seller_and_currency(support, sandbox):
    order = paid(two_sellers_order())
    seller = order.items.first().seller.email

    assert rows_of(support, "marketplace_order", status__exact="completed") == {order.pk}
    assert rows_of(support, "marketplace_order", amount_from="18", amount_to="18,00") == {order.pk}
    assert rows_of(support, "marketplace_order", amount_from="18.01") == set()
    assert rows_of(support, "marketplace_order", age="1h", seller=seller, currency="EUR") == {order.pk}
    assert rows_of(support, "marketplace_order", age="over30m") == set()


def test_a_typed_filter_keeps_the_others(support):
    page = support.get(reverse("admin:marketplace_order_changelist"), {"age": "1h", "q": "a@example.com"})

    assert '<input type="hidden" name="age" value="1h">' in page.content.decode()
    assert '<input type="hidden" name="q" value="a@example.com">' in page.content.decode()


def test_stuck_rows_are_the_overdue_ones(support):
    old = first_id_since(timedelta(days=1))
    waiting = planned(waiting_for="account")
    planned()

    assert rows_of(support, "connect_sellertransfer", stuck="yes") == {waiting.pk}
    assert old < first_id_since(timedelta(hours=1))


def test_an_empty_list_says_what_it_means(support):
    page = support.get(reverse("admin:payments_dispute_changelist"))

    assert "No dispute matches." in page.content.decode()


def test_last_characters_are_searched_only_where_an_index_serves_them():
    assert not find(Payment.objects.all(), ("id",), "beef").query.alias_map.keys() - {"payments_payment"}
    assert "REVERSE" in str(find(Order.objects.all(), ("id", "id__endswith"), "beef").query)
