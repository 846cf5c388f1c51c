"""A seller's transfers, balance and debts over the API."""

import pytest

from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import reverse_transfer
from connect.transfers.transfer_requests import send_transfer
from payments.models import Refund
from tests.connect.factories import BY_TEST, completed, make_seller, planned, refund
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses

pytestmark = [pytest.mark.django_db, pytest.mark.urls("connect.api.urls")]


def test_a_seller_sees_a_transfer_as_it_stands(api):
    transfer = completed(amount_minor=9_00)
    api.force_authenticate(transfer.seller)

    (body,) = api.get("/connect/transfers").json()["results"]

    assert body == {
        "id": str(transfer.pk),
        "order_id": str(transfer.order_id),
        "status": "completed",
        "amount_minor": 9_00,
        "kept_back_minor": 0,
        "currency": "EUR",
        "stripe_transfer_id": transfer.stripe_transfer_id,
        "stripe_reversal_id": None,
        "reversed_minor": 0,
        "waiting_for": "",
        "next_try_at": None,
        "created_at": body["created_at"],
    }


def test_a_seller_sees_their_own_transfers_only(api):
    planned()
    api.force_authenticate(make_seller())

    assert api.get("/connect/transfers").json()["results"] == []


def test_transfers_come_newest_first_a_page_at_a_time(api):
    seller = make_seller()
    rows = [planned(seller) for _ in range(3)]
    api.force_authenticate(seller)

    first = api.get("/connect/transfers", {"page_size": 2}).json()
    second = api.get(first["next"]).json()

    ids = [one["id"] for one in first["results"] + second["results"]]
    assert sorted(ids) == sorted(str(row.pk) for row in rows)


def test_the_list_costs_the_same_for_one_row_and_for_many(api, django_assert_num_queries):
    seller = make_seller()
    for _ in range(5):
        planned(seller)
    api.force_authenticate(seller)

    with django_assert_num_queries(1):
        api.get("/connect/transfers")


@pytest.mark.parametrize("address", ["/connect/transfers", "/connect/balance"])
def test_without_authentication_nothing_is_shown(client, address):
    assert client.get(address).status_code == 401


def test_the_balance_says_what_waits_to_be_sent_and_until_when_it_matures(api):
    transfer = planned(amount_minor=9_00)
    api.force_authenticate(transfer.seller)

    (body,) = api.get("/connect/balance").json()

    assert body == {
        "available_minor": 0,
        "maturing_minor": 9_00,
        "matures_at": body["maturing"][0]["matures_at"],
        "maturing": [{"amount_minor": 9_00, "matures_at": body["matures_at"]}],
        "held_minor": 0,
        "unsent_minor": 9_00,
        "debt_minor": 0,
        "currency": "EUR",
        "debts": [],
    }


def test_a_reversal_under_way_is_no_debt(stripe):
    transfer = sent_and_refunded(stripe)

    (balance,) = balances_of(transfer.seller_id)

    assert (balance.unsent_minor, balance.debt_minor) == (0, 0)


def test_a_balance_too_low_to_reverse_is_a_debt(stripe):
    transfer = sent_and_refunded(stripe)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    (balance,) = balances_of(transfer.seller_id)

    assert (balance.unsent_minor, balance.debt_minor) == (0, 9_00)


def test_each_debt_names_the_order_and_the_refund_behind_it(stripe, api):
    transfer = sent_and_refunded(stripe)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse_transfer(transfer.pk, cause=BY_TEST)
    api.force_authenticate(transfer.seller)

    ((debt,),) = (one["debts"] for one in api.get("/connect/balance").json())

    assert (debt["order_id"], debt["owed_minor"], debt["waiting_for"]) == (str(transfer.order_id), 9_00, "debt")
    refund_id = str(Refund.objects.get(correlation_id=transfer.order_id).pk)
    assert debt["because"] == [{"kind": "refund", "id": refund_id, "amount_minor": 9_00}]


def test_a_reversal_leaves_nothing_owed(stripe):
    transfer = sent_and_refunded(stripe)
    stripe.will("create_reversal", accepts_reversal())
    reverse_transfer(transfer.pk, cause=BY_TEST)

    (balance,) = balances_of(transfer.seller_id)

    assert (balance.unsent_minor, balance.debt_minor) == (0, 0)


def sent_and_refunded(stripe):
    """A transfer that Stripe has, of an order that was then refunded: in the ledger as well."""
    transfer = planned(amount_minor=9_00)
    stripe.will("create_transfer", accepts_transfer())
    send_transfer(transfer.pk, cause=BY_TEST)
    refund(transfer.order, transfer.seller, 9_00)
    return transfer
