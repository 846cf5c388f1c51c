"""A seller's statement: every line of their account in a period, with the balance after it, safe in a spreadsheet."""

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from connect.api.statement import safe
from connect.reporting.statement import InvalidPeriod, statement_of
from connect.reversals.reversal_requests import reverse_transfer
from connect.transfers.transfer_requests import send_transfer
from payments.models import Refund
from tests.connect.builders import debt_of
from tests.connect.factories import BY_TEST, make_seller, planned, refund
from tests.connect.stripe_double import accepts_reversal, accepts_transfer

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/connect/statement"


@pytest.fixture
def story(stripe):
    """Sold for 9.00, sent, 4.00 refunded, 4.00 reversed."""
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", accepts_transfer("tr_1"))
    send_transfer(transfer.pk, cause=BY_TEST)
    refund(transfer.order, transfer.seller, 4_00)
    stripe.will("create_reversal", accepts_reversal("trr_1"))
    reverse_transfer(transfer.pk, cause=BY_TEST)
    return transfer


def read(seller, *, since=None, until=None, **headers):
    api = APIClient()
    api.force_authenticate(seller)
    today = timezone.now().date()
    answer = api.get(ADDRESS, {"from": since or today, "to": until or today}, headers=headers)
    assert answer.status_code == 200, answer.content
    return answer, list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_every_line_has_its_cause_its_order_and_the_balance_after_it(story):
    _, rows = read(story.seller)

    assert [(row["kind"], row["amount"], row["balance"], row["stripe_id"]) for row in rows] == [
        ("sale", "9.00", "9.00", ""),
        ("transfer", "-9.00", "0.00", "tr_1"),
        ("refund", "-4.00", "-4.00", ""),
        ("reversal", "4.00", "0.00", "trr_1"),
    ]
    assert {row["order_id"] for row in rows} == {str(story.order_id)}
    assert rows[2]["cause"] == f"refund:{Refund.objects.get().pk}:1"


def test_a_withheld_amount_is_explained_in_the_note(stripe):
    seller = make_seller()
    debt_of(stripe, seller, 4_00)
    stripe.will("create_transfer", accepts_transfer("tr_2"))
    send_transfer(planned(seller, amount_minor=9_00).pk, cause=BY_TEST)

    _, rows = read(seller)

    assert (rows[-1]["amount"], rows[-1]["balance"]) == ("-5.00", "0.00")
    assert rows[-1]["note"] == "4.00 EUR was withheld: it paid what you owed for another order."
    assert [row["note"] for row in rows[:-1]] == ["", "", "", ""]


def test_it_is_streamed_as_a_file(story):
    answer, _ = read(story.seller, Accept="text/csv")

    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="statement-')


def test_the_balance_begins_with_what_was_before(story):
    now = timezone.now()

    lines = list(statement_of(story.seller_id, since=now + timedelta(days=1), until=now + timedelta(days=2)))
    assert lines == []

    planned(story.seller, amount_minor=2_00)
    begins = timezone.now()
    later = planned(story.seller, amount_minor=1_00)
    (line,) = list(statement_of(story.seller_id, since=begins, until=begins + timedelta(days=1)))
    assert (line.order_id, line.amount_minor, line.balance_minor) == (later.order_id, 1_00, 3_00)


def test_a_seller_sees_their_own_lines_only(story):
    assert read(make_seller())[1] == []


@pytest.mark.parametrize(
    "period",
    [{}, {"from": "2026-01-01"}, {"from": "yesterday", "to": "2026-01-01"}, {"from": "2026-02-01", "to": "2026-01-01"}],
)
def test_a_period_has_a_beginning_and_then_an_end(story, period):
    api = APIClient()
    api.force_authenticate(story.seller)

    assert api.get(ADDRESS, period).status_code == 400


def test_a_period_up_to_the_last_day_there_is_is_refused():
    api = APIClient()
    api.force_authenticate(make_seller())

    answer = api.get("/api/v1/connect/statement?from=2026-01-01&to=9999-12-31")

    assert (answer.status_code, answer.json()["code"]) == (400, "period_wrong")


def test_a_period_that_ends_before_it_begins_is_refused():
    now = timezone.now()

    with pytest.raises(InvalidPeriod):
        statement_of(make_seller().pk, since=now, until=now)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(text):
    assert safe(text) == "'" + text


def test_an_ordinary_cell_is_left_as_it_is():
    assert safe("tr_1") == "tr_1"


def test_many_lines_cost_no_query_each(stripe, django_assert_max_num_queries):
    seller = make_seller()
    for _ in range(5):
        planned(seller)
    now = timezone.now()

    with django_assert_max_num_queries(5):
        lines = list(statement_of(seller.pk, since=now - timedelta(days=1), until=now + timedelta(days=1)))

    assert len(lines) == 5
