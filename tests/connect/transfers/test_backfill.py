"""Ids of transfers matched at Stripe: shown first, stored on request, and never picked out of several."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from connect.models import SellerTransfer
from connect.transfers.backfill import MatchCount, find_matches
from tests.connect.factories import completed
from tests.connect.stripe_double import call, remote_transfer, times_out
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db


def without_id(**fields):
    """A transfer that was sent and whose id we do not have."""
    return completed(stripe_transfer_id=None, destination="acct_1", **fields)


def at_stripe(transfer, name="tr_1", **snapshot):
    return remote_transfer(
        name, **{"order_id": str(transfer.order_id), "amount_minor": transfer.sent_minor, **snapshot}
    )


def page(*snapshot):
    return Accepted(list(snapshot), call())


def backfill(*options):
    out = io.StringIO()
    call_command("backfill_stripe_transfer_ids", *options, stdout=out)
    return out.getvalue()


def id_of(transfer):
    return SellerTransfer.objects.get(pk=transfer.pk).stripe_transfer_id


def test_it_shows_what_it_would_store_and_changes_nothing(stripe):
    transfer = without_id()
    stripe.will("list_transfers", page(at_stripe(transfer)))

    output = backfill()

    assert "tr_1 would be stored" in output
    assert id_of(transfer) is None


def test_it_stores_what_it_finds_when_asked(stripe):
    transfer = without_id()
    stripe.will("list_transfers", page(at_stripe(transfer)))

    backfill("--store")

    assert id_of(transfer) == "tr_1"


def test_a_transfer_whose_id_was_stored_is_refreshed(stripe):
    transfer = without_id()
    stripe.will("list_transfers", page(at_stripe(transfer)))

    backfill("--store")

    assert SellerTransfer.objects.get(stripe_transfer_id__isnull=False).refresh_due_at is not None


def test_it_lists_the_account_around_the_time_of_our_booking(stripe):
    transfer = without_id()
    stripe.will("list_transfers", page())

    backfill("--around", "1d")

    params = stripe.params[0][1]
    assert params["destination"] == "acct_1"
    assert params["made_from"] < transfer.completed_at < params["made_until"]
    assert (params["made_until"] - params["made_from"]).days == 2


OTHERS = {
    "another order": {"order_id": "another"},
    "no metadata": {"order_id": ""},
    "another amount": {"amount_minor": 8_99},
    "another currency": {"currency": "USD"},
    "another row of ours": {"our_id": "another"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_does_not_fit_is_not_taken(stripe, what):
    transfer = without_id()
    stripe.will("list_transfers", page(at_stripe(transfer, **OTHERS[what])))

    assert [match.count for match in find_matches(store=True)] == [MatchCount.NONE]
    assert id_of(transfer) is None


def test_one_that_belongs_to_another_row_is_not_taken(stripe):
    transfer = without_id()
    completed(stripe_transfer_id="tr_1")
    stripe.will("list_transfers", page(at_stripe(transfer)))

    assert [match.count for match in find_matches(store=True)] == [MatchCount.NONE]


def test_of_several_matches_none_is_picked_and_they_need_review(stripe):
    transfer = without_id()
    stripe.will("list_transfers", page(at_stripe(transfer), at_stripe(transfer, "tr_2")))

    with pytest.raises(CommandError):
        backfill("--store")

    assert id_of(transfer) is None
    assert ReviewItem.objects.get(kind="transfer_sent_twice").amount_minor == 9_00


def test_stopping_and_starting_again_goes_on_where_it_stopped(stripe):
    first, second = without_id(), without_id()
    stripe.will("list_transfers", page(at_stripe(first)), page(at_stripe(second, "tr_2")))

    next(find_matches(store=True))
    counts = json.loads(backfill("--store", "--json"))

    assert (id_of(first), id_of(second)) == ("tr_1", "tr_2")
    assert (counts["transfers"], counts["one"]) == (1, 1)


def test_an_answer_that_does_not_come_changes_nothing_and_ends_with_1(stripe):
    without_id()
    stripe.will("list_transfers", times_out())

    with pytest.raises(CommandError) as error:
        backfill("--store")

    assert error.value.returncode == 1


def test_a_transfer_that_only_paid_a_debt_has_no_id_to_find(stripe):
    without_id(withheld_minor=9_00)

    assert list(find_matches(store=False)) == []


def test_over_a_hundred_transfers_are_walked_through(sandbox):
    account = sandbox.create_account()
    transfer = completed(stripe_transfer_id=None, destination=account, amount_minor=1_00)
    order = {"metadata[order_id]": str(transfer.order_id)}
    for number in range(120):
        data = {"amount": 100, "currency": "eur", "destination": account, **(order if number == 5 else {})}
        sandbox.stripe("POST", "/v1/transfers", key=f"k{number}", data=data)

    (match,) = find_matches(store=True)

    assert match.count is MatchCount.ONE
    assert id_of(transfer) == match.stripe_transfer_ids[0]
