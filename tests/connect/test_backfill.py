"""Ids of transfers found again at Stripe: shown first, stored when asked, and never picked out of several."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from connect.models import SellerTransfer
from connect.transfers.backfill import Found, matches
from tests.connect.conftest import call, transfer_seen, unknown
from tests.connect.factories import completed
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted

pytestmark = pytest.mark.django_db


def nameless(**fields):
    """A transfer that was sent and whose id we do not have."""
    return completed(stripe_transfer_id=None, destination="acct_1", **fields)


def at_stripe(transfer, name="tr_1", **snapshot):
    return transfer_seen(name, **{"order_id": str(transfer.order_id), "amount_minor": transfer.sent_minor, **snapshot})


def listed(*snapshot):
    return Accepted(list(snapshot), call())


def backfill(*options):
    out = io.StringIO()
    call_command("backfill_stripe_transfer_ids", *options, stdout=out)
    return out.getvalue()


def stored(transfer):
    return SellerTransfer.objects.get(pk=transfer.pk).stripe_transfer_id


def test_it_shows_what_it_would_store_and_changes_nothing(stripe):
    transfer = nameless()
    stripe.will("list_transfers", listed(at_stripe(transfer)))

    payload = backfill()

    assert "tr_1 would be stored" in payload
    assert stored(transfer) is None


def test_it_stores_what_it_finds_when_asked(stripe):
    transfer = nameless()
    stripe.will("list_transfers", listed(at_stripe(transfer)))

    backfill("--store")

    assert stored(transfer) == "tr_1"


def test_what_stripe_took_back_while_it_had_no_id_is_looked_for(stripe):
    test_it_stores_what_it_finds_when_asked(stripe)

    assert SellerTransfer.objects.get(stripe_transfer_id__isnull=False).refresh_due_at is not None


def test_it_asks_for_the_account_and_the_time_around_our_booking(stripe):
    transfer = nameless()
    stripe.will("list_transfers", listed())

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
    transfer = nameless()
    stripe.will("list_transfers", listed(at_stripe(transfer, **OTHERS[what])))

    assert [match.found for match in matches(store=True)] == [Found.NONE]
    assert stored(transfer) is None


def test_one_that_belongs_to_another_row_is_not_taken(stripe):
    transfer = nameless()
    completed(stripe_transfer_id="tr_1")
    stripe.will("list_transfers", listed(at_stripe(transfer)))

    assert [match.found for match in matches(store=True)] == [Found.NONE]


def test_of_several_none_is_picked_and_a_person_is_told(stripe):
    transfer = nameless()
    stripe.will("list_transfers", listed(at_stripe(transfer), at_stripe(transfer, "tr_2")))

    with pytest.raises(CommandError):
        backfill("--store")

    assert stored(transfer) is None
    assert ReviewItem.objects.get(kind="transfer_sent_twice").amount_minor == 9_00


def test_stopping_and_starting_again_goes_on_where_it_stopped(stripe):
    first, second = nameless(), nameless()
    stripe.will("list_transfers", listed(at_stripe(first)), listed(at_stripe(second, "tr_2")))

    next(matches(store=True))
    told = json.loads(backfill("--store", "--json"))

    assert (stored(first), stored(second)) == ("tr_1", "tr_2")
    assert (told["transfers"], told["one"]) == (1, 1)


def test_an_answer_that_does_not_come_changes_nothing_and_ends_with_1(stripe):
    nameless()
    stripe.will("list_transfers", unknown())

    with pytest.raises(CommandError) as error:
        backfill("--store")

    assert error.value.returncode == 1


def test_a_transfer_that_only_paid_a_debt_has_no_id_to_find(stripe):
    nameless(set_off_minor=9_00)

    assert list(matches(store=False)) == []


def test_over_a_hundred_transfers_are_walked_through(sandbox):
    account = sandbox.create_account()
    transfer = completed(stripe_transfer_id=None, destination=account, amount_minor=1_00)
    order = {"metadata[order_id]": str(transfer.order_id)}
    for number in range(120):
        data = {"amount": 100, "currency": "eur", "destination": account, **(order if number == 5 else {})}
        sandbox.stripe("POST", "/v1/transfers", key=f"k{number}", data=data)

    (match,) = matches(store=True)

    assert match.found is Found.ONE
    assert stored(transfer) == match.stripe_transfer_ids[0]
