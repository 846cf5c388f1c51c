"""While Stripe fails for everybody no row is blamed for it, and the workers only knock."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from connect.models import SellerTransfer
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due, send_transfer
from tests.connect.conftest import call, refused, unknown
from tests.connect.factories import BY_TEST, planned, to_reverse
from veza.core import calls
from veza.core.outcomes import Accepted, NotSent, Unknown
from veza.core.provider_health import ANSWERS, is_provider_down

pytestmark = pytest.mark.django_db


def answered(*outcomes, row=None):
    """Stripe's answers so far, each about a row of its own unless one is given."""
    for outcome in outcomes:
        calls.record(outcome, subject=row or planned(), our_id="a key")


def silent(status=0):
    return Unknown("no answer", call(status))


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
def test_stripe_fails_when_its_last_answers_about_several_rows_were_none(status):
    answered(*[silent(status)] * ANSWERS)

    assert is_provider_down("stripe")


def test_a_stripe_that_cannot_be_reached_fails():
    answered(*[NotSent("Stripe could not be reached", call(0))] * ANSWERS)

    assert is_provider_down("stripe")


@pytest.mark.parametrize(
    "last", [Accepted(None, call()), refused("resource_missing"), NotSent("turned away", call(401)), silent(400)]
)
def test_one_answer_is_enough_to_end_it(last):
    answered(*[silent()] * ANSWERS, last)

    assert not is_provider_down("stripe")


def test_a_row_that_fails_alone_is_no_failure_of_stripes():
    answered(*[silent()] * ANSWERS, row=planned())

    assert not is_provider_down("stripe")


def test_too_few_answers_prove_nothing():
    answered(*[silent()] * (ANSWERS - 1))

    assert not is_provider_down("stripe")


def test_no_retry_is_counted_while_stripe_fails_for_everybody(stripe):
    answered(*[silent()] * ANSWERS)
    transfer = planned(retry_count=5)
    stripe.will("create_transfer", unknown())

    send_transfer(transfer.pk, cause=BY_TEST)

    transfer.refresh_from_db()
    assert (transfer.status, transfer.retry_count) == ("pending", 5)
    assert transfer.next_retry_at > timezone.now()


def test_a_long_outage_gives_no_transfer_up(stripe, settings):
    for _ in range(6):
        planned()
    stripe.will("create_transfer", *[unknown()] * 200)

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
def test_a_tick_knocks_once_while_stripe_fails(stripe, make, drain, name):
    answered(*[silent()] * ANSWERS)
    SellerTransfer.objects.update(next_retry_at=timezone.now() + timedelta(hours=1))
    for _ in range(4):
        make()
    stripe.will(name, unknown())

    drain()

    assert stripe.names() == [name]
