"""While Stripe is down no row counts a retry, and the workers only send probes."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from connect.models import SellerTransfer
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due, send_transfer
from tests.connect.factories import BY_TEST, planned, to_reverse
from tests.connect.stripe_double import call, refuses, times_out
from veza.core import calls
from veza.core.outcomes import Accepted, NotSent, Unknown
from veza.core.provider_health import ANSWERS, is_provider_down

pytestmark = pytest.mark.django_db


def record(*outcomes, row=None):
    """Stripe's answers so far, each about a row of its own unless one is given."""
    for outcome in outcomes:
        calls.record(outcome, subject=row or planned(), our_id="a key")


def silent(status=0):
    return Unknown("no answer", call(status))


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
def test_stripe_fails_when_its_last_answers_about_several_rows_were_none(status):
    record(*[silent(status)] * ANSWERS)

    assert is_provider_down("stripe")


def test_a_stripe_that_cannot_be_reached_fails():
    record(*[NotSent("Stripe could not be reached", call(0))] * ANSWERS)

    assert is_provider_down("stripe")


@pytest.mark.parametrize(
    "last",
    [Accepted(None, call()), refuses("resource_missing"), NotSent("authentication rejected", call(401)), silent(400)],
)
def test_one_answer_is_enough_to_end_it(last):
    record(*[silent()] * ANSWERS, last)

    assert not is_provider_down("stripe")


def test_a_row_that_fails_alone_is_no_failure_of_stripes():
    record(*[silent()] * ANSWERS, row=planned())

    assert not is_provider_down("stripe")


def test_too_few_answers_prove_nothing():
    record(*[silent()] * (ANSWERS - 1))

    assert not is_provider_down("stripe")


def test_no_retry_is_counted_while_stripe_is_down(stripe):
    record(*[silent()] * ANSWERS)
    transfer = planned(retry_count=5)
    stripe.will("create_transfer", times_out())

    send_transfer(transfer.pk, cause=BY_TEST)

    transfer.refresh_from_db()
    assert (transfer.status, transfer.retry_count) == ("pending", 5)
    assert transfer.next_retry_at > timezone.now()


def test_a_long_outage_fails_no_transfer(stripe, settings):
    for _ in range(6):
        planned()
    stripe.will("create_transfer", *[times_out()] * 200)
    stripe.will("list_transfers", *[times_out()] * 200)

    for _ in range(30):
        SellerTransfer.objects.update(next_retry_at=F("next_retry_at") - timedelta(hours=1))
        send_due()

    assert set(SellerTransfer.objects.values_list("status", flat=True)) == {"pending"}


@pytest.mark.parametrize(
    ("make", "drain", "name"),
    [
        (planned, send_due, "create_transfer"),
        (to_reverse, process_due, "create_reversal"),
    ],
)
def test_a_tick_probes_once_while_stripe_is_down(stripe, make, drain, name):
    record(*[silent()] * ANSWERS)
    SellerTransfer.objects.update(next_retry_at=timezone.now() + timedelta(hours=1))
    for _ in range(4):
        make()
    stripe.will(name, times_out())

    drain()

    assert stripe.names() == [name]
