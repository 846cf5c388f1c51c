"""Stripe's transfers are compared with ours: a lost answer is booked, and what changed later is found."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.comparison import TRANSFER_AGES, compare
from connect.models import SellerPayout, SellerTransfer
from payments.models import Posting
from tests.connect.builders import fresh, movements, send
from tests.connect.factories import planned
from tests.connect.stripe_deliveries import SECRET, deliver, event, transfer_payload
from tests.connect.stripe_double import accepts_transfer, call, remote_transfer, times_out
from veza.core.ids import new_id
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]


@pytest.fixture
def given_up(sandbox, seller, settings) -> SellerTransfer:
    """A transfer that Stripe made, and whose every answer was lost."""
    sandbox.fault("drop", "^/v1/transfers$", method="POST", when="after")
    transfer = send(planned(seller, retry_count=settings.TRANSFER_RETRY_MAX_RETRIES))
    assert (transfer.status, movements(sandbox, "transfer")) == ("permanently_failed", [9_00])
    return transfer


def made_at_stripe(transfer: SellerTransfer, stripe_transfer_id: str = "tr_late", **fields) -> dict:
    payload = transfer_payload(transfer, reversed_minor=0)
    return payload | {"id": stripe_transfer_id, "destination": transfer.destination} | fields


def test_a_transfer_that_was_given_up_is_booked_when_stripe_lists_it(given_up):
    assert compare().imports == 1

    transfer = fresh(given_up)
    assert (transfer.status, transfer.stripe_transfer_id[:3]) == ("completed", "tr_")
    assert Posting.objects.filter(kind="transfer").count() == 1
    assert not ReviewItem.objects.filter(closed_at__isnull=True).exists()


def test_comparing_again_books_nothing(given_up):
    compare()

    assert (compare().imports, Posting.objects.filter(kind="transfer").count()) == (0, 1)


@pytest.mark.parametrize("times", [1, 2])
def test_the_event_of_a_transfer_books_it_when_the_answer_was_lost(stripe, times):
    stripe.will("create_transfer", times_out())
    transfer = send(planned())

    results = [deliver(event("transfer.created", made_at_stripe(transfer))).json()["result"] for _ in range(times)]

    assert results == ["ok", "skipped: stale"][:times]
    assert (fresh(transfer).status, fresh(transfer).stripe_transfer_id) == ("completed", "tr_late")


def test_the_event_after_the_answer_changes_nothing(stripe):
    stripe.will("create_transfer", accepts_transfer("tr_1"))
    transfer = send(planned())

    answer = deliver(event("transfer.created", made_at_stripe(transfer, "tr_1")))

    assert (answer.json()["result"], Posting.objects.filter(kind="transfer").count()) == ("skipped: stale", 1)


@pytest.mark.parametrize("other", [{"amount": 8_00}, {"currency": "usd"}, {"destination": "acct_of_another"}])
def test_a_transfer_of_other_terms_is_not_taken_for_ours(stripe, other):
    stripe.will("create_transfer", times_out())
    transfer = send(planned())

    deliver(event("transfer.created", made_at_stripe(transfer, **other)))

    assert (fresh(transfer).status, fresh(transfer).stripe_transfer_id) == ("pending", None)
    assert ReviewItem.objects.get().kind == "transfer_sent_twice"


def test_a_second_transfer_of_one_row_needs_review(stripe):
    stripe.will("create_transfer", accepts_transfer("tr_1"))
    transfer = send(planned())

    deliver(event("transfer.created", made_at_stripe(transfer, "tr_2")))

    assert fresh(transfer).stripe_transfer_id == "tr_1"
    assert ReviewItem.objects.get().kind == "transfer_sent_twice"


def test_the_third_attempt_looks_at_stripe_before_it_sends_again(stripe):
    stripe.will("create_transfer", times_out(), times_out())
    transfer = planned(amount_minor=9_00)
    at_stripe = remote_transfer("tr_1", amount_minor=9_00, our_id=str(transfer.pk))
    stripe.will("list_transfers", Accepted([at_stripe], call()))

    for _ in range(3):
        send(transfer)

    assert stripe.names() == ["create_transfer", "create_transfer", "list_transfers"]
    assert transfer.status == "completed"


@pytest.mark.parametrize("days", TRANSFER_AGES)
def test_a_reversal_at_stripe_whose_webhook_was_lost_is_found(sandbox, seller, days):
    transfer = send(planned(seller))
    sandbox.control(f"transfers/{transfer.stripe_transfer_id}/reverse", amount=4_00)

    findings = compare(now=timezone.now() + timedelta(days=days))

    assert (findings.refreshed, fresh(transfer).reversed_minor) == (1, 4_00)


def test_a_transfer_made_outside_veza_is_reported(sandbox, seller):
    destination = seller.connected_account.stripe_account_id
    sandbox.stripe("POST", "/v1/transfers", data={"amount": 5_00, "currency": "eur", "destination": destination})

    findings = compare()

    assert (findings.failures, "was made outside Veza" in findings.last_error) == (1, True)


def test_a_list_that_could_not_be_read_is_compared_the_next_time(sandbox, given_up):
    sandbox.fault("status", "^/v1/transfers$", method="GET", status=500)

    assert not compare().complete
    assert compare().imports == 1


@pytest.mark.parametrize("days", [30, 90, 180])
def test_a_payout_is_read_again_in_case_the_bank_returned_it(sandbox, seller, days):
    terms = {"amount_minor": 5_00, "currency": "EUR", "stripe_account_id": "acct_1", "external_payout_id": "po_1"}
    payout = SellerPayout.objects.create(pk=new_id(), seller=seller, status="paid", next_attempt_at=None, **terms)

    compare(now=timezone.now() + timedelta(days=days))

    payout.refresh_from_db()
    assert payout.next_attempt_at is not None
