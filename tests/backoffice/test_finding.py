"""Support finds a thing by whatever it was given; lists narrow by what support asks for."""

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


def searched(client, payload: str):
    return client.get(reverse("admin:search"), {"q": payload})


def page_of(row) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def rows_of(client, label: str, **wanted: str) -> set:
    page = client.get(reverse(f"admin:{label}_changelist"), wanted)
    return {row.pk for row in page.context["cl"].result_list}


def test_one_hit_is_shown_at_once_an_email_shows_everything_of_theirs(support, sandbox):
    order = paid(two_sellers_order())

    everything = searched(support, order.buyer.email.upper()).content.decode()

    assert searched(support, str(order.pk)).status_code == 200  # The order, and all whose story it is.
    assert page_of(order) in everything
    assert page_of(payment_of(order)) in everything


@pytest.mark.parametrize("given", ["payment id", "refund id", "last characters", "event id"])
def test_whatever_was_given_leads_to_the_row(support, sandbox, given):
    order = paid(two_sellers_order())
    payment, refund = payment_of(order), refund_of(order)
    event = WebhookDelivery.objects.get(event_type="payment_succeeded")
    payload, row = {
        "payment id": (payment.provider_key, payment),
        "refund id": (refund.provider_key, refund),
        "last characters": (str(order.pk)[-6:], order),
        "event id": (event.event_id, event),
    }[given]

    answer = searched(support, payload)

    assert page_of(row) in (answer.get("Location") or answer.content.decode())


@pytest.mark.parametrize("field", ["stripe_transfer_id", "stripe_reversal_id"])
def test_stripes_ids_lead_to_the_transfer(support, field):
    transfer = completed(**{field: f"id_{new_id().hex}"})

    assert searched(support, getattr(transfer, field))["Location"] == page_of(transfer)


def test_a_search_that_finds_nothing_says_what_it_understands(support):
    assert "Search understands" in searched(support, "zzz").content.decode()


def test_a_search_looks_only_where_the_person_may_look(sandbox):
    order = paid(two_sellers_order())

    page = searched(browser(staff()), order.buyer.email).content.decode()

    assert "Nothing is known by that name." in page


@pytest.mark.parametrize("payload", ["", "'; --", "%", "0000", "pay_" + "U" * 26, "x" * 200, "a@"])
def test_nothing_that_is_typed_breaks_the_search(support, payload):
    assert searched(support, payload).status_code == 200


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


def test_stuck_is_what_should_have_gone_on_by_now(support):
    old = first_id_since(timedelta(days=1))
    waiting = planned(waiting_for="account")
    planned()

    assert rows_of(support, "connect_sellertransfer", stuck="yes") == {waiting.pk}
    assert old < first_id_since(timedelta(hours=1))


def test_an_empty_list_says_what_it_means(support):
    page = support.get(reverse("admin:payments_dispute_changelist"))

    assert "No bank asks for money back." in page.content.decode()


def test_last_characters_are_looked_up_only_where_an_index_stands_behind_them():
    assert not find(Payment.objects.all(), ("id",), "beef").query.alias_map.keys() - {"payments_payment"}
    assert "REVERSE" in str(find(Order.objects.all(), ("id", "id__endswith"), "beef").query)
