"""The front page: money moved, rows that wait, failures, each with its list; and sums that are added up once."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from connect.models import SellerTransfer
from tests.backoffice.conftest import browser, staff
from tests.buying import deliver, deliver_refund, envelope, paid, payment_of, refund_of, two_sellers_order
from tests.connect.factories import BY_TEST, completed, to_reverse
from veza.backoffice import dashboard, flows
from veza.backoffice.charts import Step, bars
from veza.backoffice.models import FlowHour
from veza.core.models import Heartbeat
from veza.core.reviews import open_review
from veza.core.states import move

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch):
    monkeypatch.setattr(flows, "SETTLED_AFTER", timedelta(seconds=-1))


def give_up(transfer: SellerTransfer) -> None:
    move(transfer, "permanently_failed", cause=BY_TEST, at=timezone.now(), next_retry_at=None)


def front_page() -> str:
    return browser(staff("ops")).get(reverse("admin:index")).content.decode()


def card(title: str) -> dict[str, str]:
    cards = dashboard.cards(staff("ops"), timezone.now())
    return {number.label: number.text for each in cards if each.title == title for number in each.numbers}


def test_money_received_refunded_and_fee_are_added_up(sandbox):
    order = paid(two_sellers_order())
    paid(two_sellers_order())
    deliver_refund(refund_of(order))
    flows.add_up()

    (flow,) = flows.recent_flows(timezone.now())

    assert (flow.day.received_minor, flow.day.refunded_minor, flow.day.fee_minor) == (36_00, 18_00, 1_50)
    assert flow.month == flow.day


def test_no_posting_is_added_up_twice(sandbox):
    paid(two_sellers_order())
    assert flows.add_up() > 0
    before = list(FlowHour.objects.values_list("amount_minor", "postings"))

    assert flows.add_up() == 0

    assert list(FlowHour.objects.values_list("amount_minor", "postings")) == before


def test_what_may_still_be_committed_is_left_for_later(sandbox, monkeypatch):
    monkeypatch.setattr(flows, "SETTLED_AFTER", timedelta(minutes=2))
    paid(two_sellers_order())

    assert flows.add_up() == 0


def test_a_month_has_thirty_days_and_a_day_twenty_four_hours(sandbox):
    paid(two_sellers_order())
    flows.add_up()

    (flow,) = flows.recent_flows(timezone.now())

    assert (len(flow.days), len(flow.hours)) == (30, 24)


def test_the_page_costs_the_same_number_of_queries_beside_more_rows(sandbox):
    client = browser(staff("ops"))
    paid(two_sellers_order())
    client.get(reverse("admin:index"))
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("admin:index"))
    for _ in range(3):
        paid(two_sellers_order())

    with CaptureQueriesContext(connection) as more:
        client.get(reverse("admin:index"))

    assert len(more) == len(few)


def test_every_number_leads_to_a_list_that_opens(sandbox):
    open_review("look", paid(two_sellers_order()), why="a", what_to_do="b", amount_minor=5_00, currency="EUR")
    deliver(envelope("payment_succeeded", {}), signature="00")
    Heartbeat.objects.create(name="payments.resend", beat_at=timezone.now())
    flows.add_up()
    client = browser(staff("ops"))
    page = client.get(reverse("admin:index")).content.decode()
    flow = re.findall(r'(?:class="card tile"|class="tone[^"]*") href="([^"]+)"', page)

    assert len(flow) > 20
    assert {client.get(each.replace("&amp;", "&")).status_code for each in flow} == {200}


def test_refunds_that_wait_are_counted(sandbox):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    refund_of(order)

    assert card("Refunds and payments")["refunds pending"] == "1"


def test_sellers_debts_are_shown_by_whether_they_are_still_retried():
    to_reverse(amount_minor=9_00, waiting_for="debt")
    to_reverse(amount_minor=5_00)
    give_up(to_reverse(amount_minor=7_00, target=4_00, reversed_minor=1_00))

    debts = card("Transfers and debts")

    assert (debts["sellers' debts"], debts["sellers' debts, needs review"]) == ("9.00 EUR", "3.00 EUR")


def test_a_transfer_that_needs_review_is_counted():
    give_up(to_reverse())

    assert card("Transfers and debts")["failed, needs review"] == "1"


def test_an_invalid_signature_is_counted():
    deliver(envelope("payment_succeeded", {}), signature="00")

    assert card("Webhooks, 24 hours")["invalid signatures"] == "1"


def test_review_items_are_counted_by_kind_with_the_amount_in_doubt():
    transfer = completed()
    open_review("lost_reversal", transfer, why="a", what_to_do="b", amount_minor=5_00, currency="EUR")

    assert card("Needs review") == {"lost reversal": "1", "amount in doubt": "5.00 EUR"}


def test_a_count_stops_at_its_limit(monkeypatch):
    monkeypatch.setattr(dashboard, "COUNT_LIMIT", 2)
    for _ in range(3):
        completed()

    number = dashboard._count("x", type(completed()).objects.all(), "connect_sellertransfer")

    assert number.text == "2+"


def test_a_silent_worker_is_red_and_one_never_seen_is_named():
    Heartbeat.objects.create(name="payments.resend", beat_at=timezone.now() - timedelta(hours=2))

    numbers = {number.label: number for number in dashboard._workers(timezone.now()).numbers}

    assert numbers["payments.resend"].tone == "bad"
    assert numbers["payments.close_unpaid"].text == "never"


def test_charts_are_drawn_by_the_server_and_say_their_amounts(sandbox):
    paid(two_sellers_order())
    flows.add_up()

    assert re.search(r"<rect class=\"bar-in\"[^>]*><title>[^<]*18\.00 EUR received</title>", front_page())


def test_bars_stay_inside_their_picture():
    chart = bars("x", [Step("a", [("in", 5, "5"), ("out", -3, "-3")]), Step("b", [("in", 0, "0")])], label_every=1)

    assert all(0 <= bar.y <= chart.base and 0 <= bar.height <= chart.base for bar in chart.bars)
    assert all(bar.x >= 0 and bar.x + bar.width <= chart.width for bar in chart.bars)
