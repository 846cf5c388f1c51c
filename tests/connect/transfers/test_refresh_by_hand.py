"""“Refresh from Stripe” on a transfer's page, and the review items that only Stripe's own answer resolves."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerPayout
from connect.refresh_actions import RefreshAccount, RefreshPayout, RefreshReversal, RefreshTransfer
from connect.stripe.objects import RemotePayout
from connect.transfers.transfer_refresh import refresh_transfer
from tests.connect.builders import reversed_at_stripe, send
from tests.connect.factories import BY_TEST, completed, planned
from tests.connect.stripe_double import call, refuses, remote_transfer, shows, shows_account
from tests.factories import PersonFactory
from veza.core.admin_actions import ActionRequest
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted
from veza.core.reviews import open_review

pytestmark = pytest.mark.django_db


def open_item(kind, transfer):
    open_review(kind, transfer, why="Stripe shows something else.", what_to_do="Refresh it.")


def press(transfer):
    return RefreshTransfer().perform(transfer, cause=BY_TEST, params=ActionRequest(PersonFactory()))


@pytest.mark.parametrize("kind", ["transfer_not_readable", "reversals_cannot_be_listed", "transfer_reversed_twice"])
def test_an_answer_that_agrees_closes_what_was_in_doubt(stripe, kind):
    transfer = completed(amount_minor=9_00)
    open_item(kind, transfer)
    stripe.will("read_transfer", shows(reversed_at_stripe(transfer, 4_00)))

    assert press(transfer) == "Refreshed 1 item. 4.00 EUR of 9.00 EUR is reversed."

    assert ReviewItem.objects.get(kind=kind).closed_by == "veza"


def test_no_answer_changes_nothing(stripe):
    transfer = completed(amount_minor=9_00)
    stripe.will("read_transfer", refuses("resource_missing", status=404))

    assert press(transfer) == "Stripe does not show the transfer now. Nothing has changed."

    assert ReviewItem.objects.get(kind="transfer_not_readable").status == "open"


@pytest.mark.parametrize(("reversed_minor", "status"), [(9_00, "closed"), (8_99, "open")])
def test_a_surplus_transfer_is_resolved_once_it_is_reversed_in_full(stripe, reversed_minor, status):
    transfer = completed(amount_minor=9_00)
    open_item("transfer_sent_twice", transfer)
    own = remote_transfer(transfer.stripe_transfer_id, our_id=str(transfer.pk))
    surplus = remote_transfer("tr_surplus", our_id=str(transfer.pk), reversed_minor=reversed_minor)
    stripe.will("read_transfer", shows(own))
    stripe.will("list_transfers", Accepted([own, surplus], call()))

    refresh_transfer(transfer.pk, cause=BY_TEST)

    assert ReviewItem.objects.get(kind="transfer_sent_twice").status == status


def test_of_several_transfers_the_one_that_was_not_reversed_is_picked(stripe):
    long_ago = timezone.now() - timedelta(days=2)
    transfer = planned(in_doubt_since=long_ago, destination="acct_1", send_attempts=1)
    open_item("transfer_sent_twice", transfer)
    surplus = remote_transfer("tr_1", our_id=str(transfer.pk), reversed_minor=9_00)
    stripe.will("list_transfers", Accepted([surplus, remote_transfer("tr_2", our_id=str(transfer.pk))], call()))

    send(transfer)

    assert (transfer.status, transfer.stripe_transfer_id) == ("completed", "tr_2")
    assert ReviewItem.objects.get(kind="transfer_sent_twice").status == "closed"


def test_a_transfer_whose_answer_was_lost_is_looked_for_and_booked(sandbox, seller):
    sandbox.fault("drop", "^/v1/transfers$", method="POST", when="after")
    transfer = send(planned(seller))
    assert RefreshTransfer().is_available(transfer)

    assert press(transfer) == "Refreshed 1 item. 0.00 EUR of 9.00 EUR is reversed."

    assert transfer.status == "completed"


def test_a_reversal_is_refreshed_with_its_transfer(stripe):
    transfer = completed(amount_minor=9_00)
    stripe.will("read_transfer", *[shows(reversed_at_stripe(transfer, 4_00))] * 2)
    press(transfer)

    action, row = RefreshReversal(), transfer.reversals.get()

    assert action.is_available(row)
    assert action.perform(row, cause=BY_TEST, params=ActionRequest(PersonFactory())).endswith("is still made.")


def test_a_payout_that_ended_is_refreshed_by_hand(stripe, seller):
    terms = {"amount_minor": 5_00, "currency": "EUR", "stripe_account_id": "acct_1", "external_payout_id": "po_1"}
    payout = SellerPayout.objects.create(seller=seller, status="paid", **terms)
    stripe.will("read_payout", Accepted(RemotePayout("po_1", 5_00, "EUR", "failed", str(payout.pk), "", ""), call()))

    answer = RefreshPayout().perform(payout, cause=BY_TEST, params=ActionRequest(PersonFactory()))

    assert answer == "Refreshed 1 item. The seller payout went from paid to failed."


@pytest.mark.parametrize(("active", "can"), [(True, "can"), (False, "cannot")])
def test_an_account_is_refreshed_by_hand(stripe, seller, active, can):
    stripe.will("read_account", shows_account(active=active))

    answer = RefreshAccount().perform(seller.connected_account, cause=BY_TEST, params=ActionRequest(PersonFactory()))

    assert answer == f"Refreshed 1 item. The account {can} receive transfers."
