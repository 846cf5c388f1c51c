"""Transfers and reversals against the sandbox over HTTP: its truth is the oracle."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connect.accounts import refresh_account, request_account
from connect.models import ConnectedAccount, SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import process_due, reverse_transfer
from connect.transfers import transfer_requests as transfers
from connect.transfers.transfer_requests import claim_transfer, send_due, send_transfer
from tests.connect.builders import movements
from tests.connect.factories import BY_TEST, make_due, planned, refund
from tests.connect.proving import faults_of
from tests.factories import SellerFactory
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """What a worker that is die leaves undone."""


@pytest.fixture
def transfer(seller):
    return planned(seller, amount_minor=9_00)


def keys(sandbox, path: str) -> list[str]:
    return [call["idempotency_key"] for call in sandbox.calls() if path in call["path"] and call["method"] == "POST"]


def again(transfer: SellerTransfer) -> SellerTransfer:
    make_due(transfer.pk)
    transfer.refresh_from_db()
    return transfer


def test_a_seller_is_paid_and_the_transfer_reversed_after_a_refund(sandbox, transfer):
    send_due()
    refund(transfer.order, transfer.seller, 9_00)
    process_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "transfer"), movements(sandbox, "reversal")) == (
        "reversed",
        [9_00],
        [9_00],
    )
    assert faults_of(transfer.order_id) == []


def test_ids_of_both_are_stored(sandbox, transfer):
    send_due()
    refund(transfer.order, transfer.seller, 9_00)
    process_due()

    transfer.refresh_from_db()
    ids = [one["id"] for one in sandbox.truth()["movements"] if one["kind"] in ("transfer", "reversal")]
    assert [transfer.stripe_transfer_id, transfer.stripe_reversal_id] == ids


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["drop", "half_body", "html", "status"])
def test_a_lost_answer_moves_the_money_once(sandbox, transfer, fault, when):
    sandbox.fault(fault, "^/v1/transfers$", method="POST", when=when)

    send_due()
    again(transfer)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "transfer")) == ("completed", [9_00])
    assert len(set(keys(sandbox, "/v1/transfers"))) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["drop", "half_body", "html", "status"])
def test_a_lost_answer_reverses_the_transfer_once(sandbox, transfer, fault, when):
    send_due()
    refund(transfer.order, transfer.seller, 9_00)
    sandbox.fault(fault, "/reversals$", method="POST", when=when)

    process_due()
    again(transfer)
    process_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "reversal")) == ("reversed", [9_00])


def test_a_worker_die_before_it_books_the_answer_costs_nothing(sandbox, transfer, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(transfers, "record_transfer", die)
        with pytest.raises(Killed):
            send_transfer(transfer.pk, cause=BY_TEST)

    again(transfer)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "transfer")) == ("completed", [9_00])


def test_a_day_later_the_transfer_is_found_instead_of_sent_again(sandbox, transfer):
    sandbox.fault("drop", "^/v1/transfers$", method="POST", when="after")
    send_due()
    sandbox.control("forget_idempotency_keys")
    SellerTransfer.objects.update(in_doubt_since=timezone.now() - timedelta(days=2))

    again(transfer)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "transfer")) == ("completed", [9_00])


def test_a_day_later_the_reversal_is_found_instead_of_made_again(sandbox, transfer):
    send_due()
    refund(transfer.order, transfer.seller, 4_00)
    sandbox.fault("drop", "/reversals$", method="POST", when="after")
    process_due()
    sandbox.control("forget_idempotency_keys")
    TransferReversal.objects.update(first_sent_at=timezone.now() - timedelta(days=2))

    again(transfer)
    process_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "reversal")) == ("completed", [4_00])
    assert not ReviewItem.objects.exists()


def test_an_external_reversal_is_imported(sandbox, transfer):
    send_due()
    transfer.refresh_from_db()
    sandbox.control(f"transfers/{transfer.stripe_transfer_id}/reverse", amount=9_00)
    refund(transfer.order, transfer.seller, 9_00)

    process_due()

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "reversal")) == ("reversed", [9_00])
    assert ReviewItem.objects.get().kind == "external_reversal"


def test_an_account_without_the_capability_waits_and_goes_when_it_has_it(sandbox, seller, transfer):
    account_id = seller.connected_account.stripe_account_id
    sandbox.control(f"accounts/{account_id}", transfers="inactive")
    send_due()
    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("pending", "account")

    sandbox.control(f"accounts/{account_id}", transfers="active")
    refresh_account(seller_id=seller.pk)
    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"


def test_an_account_is_opened_once_and_read_back(sandbox):
    seller = SellerFactory()

    request_account(seller_id=seller.pk, country="DE")
    request_account(seller_id=seller.pk, country="DE")

    account: Any = ConnectedAccount.objects.get(seller=seller)
    assert account.stripe_account_id.startswith("acct_")
    assert len(keys(sandbox, "/v1/accounts")) == 1


def test_an_account_whose_answer_was_lost_is_the_same_account(sandbox):
    seller = SellerFactory()
    sandbox.fault("drop", "^/v1/accounts$", method="POST", when="after")

    request_account(seller_id=seller.pk, country="DE")
    request_account(seller_id=seller.pk, country="DE")

    assert len(set(keys(sandbox, "/v1/accounts"))) == 1
    assert ConnectedAccount.objects.get(seller=seller).stripe_account_id


def test_the_wrong_key_stops_the_worker_and_loses_nothing(sandbox, transfer, settings):
    key, settings.STRIPE_SECRET_KEY = settings.STRIPE_SECRET_KEY, "sk_test_wrong"
    send_due()
    settings.STRIPE_SECRET_KEY = key

    again(transfer)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, transfer.retry_count, movements(sandbox, "transfer")) == ("completed", 0, [9_00])


def test_a_attempt_worker_that_wakes_up_late_sends_under_the_same_key(sandbox, transfer):
    attempt = claim_transfer(transfer.pk, cause=BY_TEST)
    send_transfer(transfer.pk, cause=BY_TEST)

    outcome = transfers._send(attempt)
    transfers.record_transfer(attempt, outcome, cause=BY_TEST)

    assert movements(sandbox, "transfer") == [9_00]
    assert not ReviewItem.objects.exists()


def test_a_reversal_that_the_seller_cannot_cover_becomes_a_debt(sandbox, seller, transfer):
    send_due()
    account_id = seller.connected_account.stripe_account_id
    sandbox.control("balances", account=account_id, currency="eur", amount_minor=0)
    refund(transfer.order, seller, 9_00)

    reverse_transfer(transfer.pk, cause=BY_TEST)

    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for) == ("reversal_pending", "debt")


def die(*_args: object, **_given: object) -> None:
    raise Killed
