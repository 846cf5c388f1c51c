"""Each verb waits for the transaction that is changing its row, and decides by what that left.

Every test fails without the lock that it is about.
"""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from connect import accounts, payouts
from connect.accounts import AccountNotDisconnected, apply_account, disconnect_account, revoke_access
from connect.debts.write_offs import NothingToWriteOff, write_off
from connect.funds import AccountBalance, PayoutExceedsBalance
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer, SetOff, TransferReversal
from connect.reversals import reversal_requests
from connect.reversals.reversal_outcomes import record_reversal
from connect.reversals.reversal_refresh import decide_unanswered
from connect.reversals.reversal_requests import ReversalNotRetryable, open_reversal
from connect.settlement.reissues import reissue_transfer
from connect.stripe.objects import RemoteAccount, RemotePayout
from connect.transfers import backfill, transfer_refresh, transfer_requests
from connect.transfers.released import wake_released
from connect.transfers.transfer_outcomes import record_transfer
from connect.transfers.transfer_refresh import apply_transfer
from connect.transfers.transfer_requests import TransferNotRetryable, claim_transfer
from marketplace.models import Order, SellerRestriction
from payments.models import Payment, Posting
from tests.connect.builders import PLENTY, debt_of, fresh, reversed_at_stripe, send
from tests.connect.factories import BY_TEST, completed, planned, refund, to_reverse
from tests.connect.stripe_deliveries import SECRET, deliver, event
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses, shows, times_out
from tests.crowd import Rival, before_commit
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db(transaction=True)


def made(attempt: Any, stripe_reversal_id: str = "trr_1") -> Any:
    """Stripe's answer that it made the reversal of an attempt."""
    params = {
        "stripe_transfer_id": attempt.transfer.stripe_transfer_id,
        "amount_minor": attempt.intent.amount_minor,
        "reversal_id": attempt.intent.pk,
    }
    return accepts_reversal(stripe_reversal_id)(params)


def transferred(attempt: Any) -> Any:
    """Stripe's answer that it made the transfer of an attempt."""
    params = {"amount_minor": attempt.amount_minor, "currency": "EUR", "destination": attempt.destination}
    return accepts_transfer("tr_9")(params)


def unanswered(stripe, settings) -> SellerTransfer:
    """A reversal that failed without an answer, long ago."""
    settings.REVERSAL_MAX_RETRIES = 0
    row = to_reverse()
    stripe.will("create_reversal", times_out())
    reversal_requests.reverse_transfer(row.pk, cause=BY_TEST)
    TransferReversal.objects.update(last_sent_at=timezone.now() - timedelta(hours=1))
    return fresh(row)


# --- Transfers


def test_a_claim_waits_for_an_account_that_becomes_active(seller):
    ConnectedAccount.objects.update(transfers_active=False)
    row = planned(seller)
    snapshot = RemoteAccount(seller.connected_account.stripe_account_id, True, True, True, "DE")

    _, rival = before_commit(
        lambda: apply_account(seller_id=seller.pk, snapshot=snapshot, at=timezone.now()),
        lambda: claim_transfer(row.pk, cause=BY_TEST),
    )

    assert rival.result().amount_minor == 9_00
    assert fresh(row).waiting_for == ""


def test_a_release_waits_for_a_claim_and_wakes_what_it_told_to_wait(seller):
    now = timezone.now()
    hold = SellerRestriction.objects.create(seller=seller, kind="hold", reason="R.", imposed_by="s", review_at=now)
    row = planned(seller)

    @transaction.atomic
    def release() -> None:
        SellerRestriction.objects.filter(pk=hold.pk).update(ended_at=now)
        wake_released(seller.pk)

    before_commit(lambda: claim_transfer(row.pk, cause=BY_TEST), release)

    assert (fresh(row).waiting_for, fresh(row).next_retry_at <= timezone.now()) == ("release", True)


def test_a_refund_waits_for_a_claim_and_finds_the_transfer_in_doubt(seller):
    row = planned(seller)

    before_commit(
        lambda: claim_transfer(row.pk, cause=BY_TEST),
        lambda: refund(row.order, seller, 4_00),
    )

    row = fresh(row)
    assert (row.status, row.amount_minor, row.reversal_target_minor) == ("pending", 9_00, 4_00)


def test_a_transfers_answer_waits_for_a_refund_and_begins_its_reversal(seller):
    row = planned(seller)
    attempt = claim_transfer(row.pk, cause=BY_TEST)

    before_commit(
        lambda: refund(row.order, seller, 4_00),
        lambda: record_transfer(attempt, transferred(attempt), cause=BY_TEST),
    )

    row = fresh(row)
    assert (row.status, row.outstanding_minor) == ("reversal_pending", 4_00)


def test_an_error_counts_no_retry_on_a_transfer_that_was_sent_meanwhile(seller):
    row = planned(seller)
    attempt = claim_transfer(row.pk, cause=BY_TEST)

    before_commit(
        lambda: record_transfer(attempt, transferred(attempt), cause=BY_TEST),
        lambda: transfer_requests.count_error(row.pk, "an error of our own", cause=BY_TEST),
    )

    row = fresh(row)
    assert (row.status, row.next_retry_at, row.retry_count) == ("completed", None, 0)


def test_a_transfer_is_retried_by_one_of_two(stripe, seller):
    row = planned(seller)
    stripe.will("create_transfer", refuses("resource_missing"))
    send(row)

    def retry() -> Any:
        return transfer_requests.retry(transfer_id=row.pk, cause=BY_TEST)

    _, rival = before_commit(retry, retry)

    assert isinstance(rival.result(), TransferNotRetryable)


def test_an_id_found_later_does_not_replace_the_first(seller):
    row = completed()
    SellerTransfer.objects.update(stripe_transfer_id=None)

    before_commit(lambda: backfill._store(row.pk, "tr_first"), lambda: backfill._store(row.pk, "tr_second"))

    assert fresh(row).stripe_transfer_id == "tr_first"


# --- Reversals


def test_two_workers_open_one_attempt_to_reverse():
    row = to_reverse()

    first, rival = before_commit(
        lambda: open_reversal(row.pk, cause=BY_TEST), lambda: open_reversal(row.pk, cause=BY_TEST)
    )

    second = rival.result()
    assert (second.intent.pk, second.number, second.is_first) == (first.intent.pk, 2, False)


def test_a_reversals_answer_waits_for_a_refund_that_raises_the_target():
    row = completed()
    refund(row.order, row.seller, 4_00)
    attempt = open_reversal(row.pk, cause=BY_TEST)

    before_commit(
        lambda: refund(row.order, row.seller, 3_00),
        lambda: record_reversal(attempt, made(attempt), cause=BY_TEST),
    )

    row = fresh(row)
    assert (row.reversed_minor, row.reversal_target_minor, row.status) == (4_00, 7_00, "reversal_pending")


def test_an_error_counts_no_retry_on_a_reversal_that_was_made_meanwhile():
    row = to_reverse()
    attempt = open_reversal(row.pk, cause=BY_TEST)

    before_commit(
        lambda: record_reversal(attempt, made(attempt), cause=BY_TEST),
        lambda: reversal_requests.count_error(row.pk, "an error of our own", cause=BY_TEST),
    )

    row = fresh(row)
    assert (row.status, row.next_retry_at, row.retry_count) == ("reversed", None, 0)


def test_a_reversal_is_retried_by_one_of_two(stripe):
    row = to_reverse()
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reversal_requests.reverse_transfer(row.pk, cause=BY_TEST)

    def retry() -> Any:
        return reversal_requests.retry(transfer_id=row.pk, cause=BY_TEST)

    _, rival = before_commit(retry, retry)

    assert isinstance(rival.result(), ReversalNotRetryable)


def test_one_reversal_read_by_two_is_booked_once():
    row = completed()

    def book() -> None:
        snapshot = reversed_at_stripe(row, 4_00)
        apply_transfer(row.pk, snapshot, due_at=None, read_at=timezone.now(), cause=BY_TEST)

    _, rival = before_commit(book, book)

    assert rival.result() is None
    assert (fresh(row).reversed_minor, Posting.objects.filter(kind="reversal").count()) == (4_00, 1)


def test_an_unanswered_reversal_is_decided_by_one_of_two(stripe, settings):
    row = unanswered(stripe, settings)
    our_id = str(TransferReversal.objects.get().pk)
    stripe.will("read_transfer", *[shows(reversed_at_stripe(row, 9_00, our_id=our_id))] * 2)

    def decide() -> None:
        decide_unanswered(row.pk, cause=BY_TEST)

    _, rival = before_commit(decide, decide)

    assert rival.result() is None
    assert (fresh(row).status, Posting.objects.filter(kind="reversal").count()) == ("reversed", 1)


def test_a_refresh_without_an_answer_does_not_put_back_what_was_decided(stripe, settings):
    row = unanswered(stripe, settings)
    snapshot, due_at = reversed_at_stripe(row), row.refresh_due_at

    before_commit(
        lambda: apply_transfer(row.pk, snapshot, due_at=due_at, read_at=timezone.now(), cause=BY_TEST),
        lambda: transfer_refresh._postpone(row.pk),
    )

    assert (fresh(row).refresh_due_at, TransferReversal.objects.get().status) == (None, "refused")


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_change_reported_during_a_refresh_makes_another_one_due(is_refused):
    row = completed()

    def refresh() -> None:
        if is_refused:
            transfer_refresh._report_unreadable(row.pk, refuses("resource_missing"), due_at=None)
        else:
            snapshot = reversed_at_stripe(row)
            apply_transfer(row.pk, snapshot, due_at=None, read_at=timezone.now(), cause=BY_TEST)

    def report() -> None:
        with transaction.atomic():
            SellerTransfer.objects.filter(pk=row.pk).update(refresh_due_at=Now())

    _, rival = before_commit(report, refresh)

    assert rival.waited
    assert fresh(row).refresh_due_at is not None


# --- Debts and settlement


def test_a_claim_waits_for_a_write_off_and_withholds_nothing(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    row = planned(seller)

    _, rival = before_commit(
        lambda: write_off(transfer_id=debt.pk, cause=BY_TEST),
        lambda: claim_transfer(row.pk, cause=BY_TEST),
    )

    assert (rival.result().amount_minor, SetOff.objects.count()) == (9_00, 0)
    assert (fresh(debt).offset_minor, fresh(debt).written_off_minor) == (4_00, 4_00)


def test_a_write_off_waits_for_a_claim_that_offsets_the_debt(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    row = planned(seller)

    _, rival = before_commit(
        lambda: claim_transfer(row.pk, cause=BY_TEST),
        lambda: write_off(transfer_id=debt.pk, cause=BY_TEST),
    )

    assert isinstance(rival.result(), NothingToWriteOff)
    assert (fresh(debt).offset_minor, fresh(debt).written_off_minor) == (4_00, 0)


def test_a_debt_whose_reversal_is_retried_is_not_withheld_as_well(stripe, seller):
    debt = debt_of(stripe, seller, 4_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reversal_requests.reverse_transfer(debt.pk, cause=BY_TEST)
    row = planned(seller)

    _, rival = before_commit(
        lambda: reversal_requests.retry(transfer_id=debt.pk, cause=BY_TEST),
        lambda: claim_transfer(row.pk, cause=BY_TEST),
    )

    assert (rival.result().amount_minor, SetOff.objects.count()) == (9_00, 0)


@pytest.mark.parametrize("model", [Payment, Order])
def test_a_reissue_waits_for_any_event_about_the_orders_money(stripe, model):
    row = completed()
    apply_transfer(row.pk, reversed_at_stripe(row, 4_00), due_at=None, read_at=timezone.now(), cause=BY_TEST)
    rival = Rival(lambda: reissue_transfer(transfer_id=row.pk, cause=BY_TEST))

    with transaction.atomic():
        list(model.objects.locked())
        rival.begin()

    assert rival.waited
    assert rival.result() == 4_00


@pytest.mark.parametrize("wake_up", [accounts.wake_transfers, wake_released])
def test_transfers_are_woken_in_order_of_id_whatever_their_place(seller, wake_up):
    low, high = sorted((planned(seller), planned(seller)), key=lambda row: row.pk)
    # An UPDATE of both would reach the higher id first: it lies first in the table.
    SellerTransfer.objects.filter(pk=low.pk).update(waiting_for="account")
    SellerTransfer.objects.filter(pk=high.pk).update(waiting_for="account")
    move_to_the_end(low)
    rival = Rival(lambda: wake(seller, wake_up))

    with transaction.atomic():
        SellerTransfer.objects.locked().get(pk=low.pk)
        rival.begin()
        SellerTransfer.objects.locked().get(pk=high.pk)

    assert (rival.waited, rival.result()) == (True, None)


def wake(seller, wake_up) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            # The planner may prefer this in a large table.
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
        wake_up(seller.pk)


def move_to_the_end(row: SellerTransfer) -> None:
    """Let a row's newest version lie behind every other in the table."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE seller_transfers SET last_error = 'moved' WHERE id = %s", [row.pk])


# --- Accounts and payouts


def snapshot_of(seller, *, active: bool) -> RemoteAccount:
    return RemoteAccount(seller.connected_account.stripe_account_id, active, active, True, "DE")


def test_an_older_snapshot_of_an_account_waits_for_the_newer_one(seller):
    now = timezone.now()

    before_commit(
        lambda: apply_account(seller_id=seller.pk, snapshot=snapshot_of(seller, active=False), at=now),
        lambda: apply_account(
            seller_id=seller.pk, snapshot=snapshot_of(seller, active=True), at=now - timedelta(hours=1)
        ),
    )

    assert ConnectedAccount.objects.get().transfers_active is False


def test_an_account_that_is_back_is_not_disconnected(seller):
    account = seller.connected_account
    revoke_access(account, at=timezone.now())
    snapshot = snapshot_of(seller, active=True)

    _, rival = before_commit(
        lambda: apply_account(seller_id=seller.pk, snapshot=snapshot, at=timezone.now()),
        lambda: disconnect_account(account_id=account.pk, cause=BY_TEST),
    )

    assert isinstance(rival.result(), AccountNotDisconnected)
    assert ReviewItem.objects.get(kind="account_gone").closed_by == "veza"


def test_an_older_event_about_an_account_waits_for_the_newer_snapshot(seller, settings):
    settings.STRIPE_WEBHOOK_SECRETS, settings.STRIPE_SECRET_KEY = [SECRET], "sk_test_sandbox"
    account = seller.connected_account
    capability = {"id": "transfers", "object": "capability", "account": account.stripe_account_id, "status": "active"}
    older = event("capability.updated", capability, created=int(time.time()) - 60)

    before_commit(
        lambda: apply_account(seller_id=seller.pk, snapshot=snapshot_of(seller, active=False), at=timezone.now()),
        lambda: deliver(older),
    )

    assert ConnectedAccount.objects.get().transfers_active is False


def test_the_country_of_an_account_is_that_of_the_first_of_two_requests(seller):
    ConnectedAccount.objects.update(stripe_account_id=None, country="")

    def request(country: str) -> str:
        return accounts.open_account(seller_id=seller.pk, country=country).country

    _, rival = before_commit(lambda: request("FR"), lambda: request("DE"))

    assert (rival.result(), ConnectedAccount.objects.get().country) == ("FR", "FR")


def open_payout(seller, payout_id, *, balance=PLENTY) -> SellerPayout:
    ConnectedAccount.objects.filter(payouts_enabled=False).update(payouts_enabled=True)
    return payouts.open_payout(
        payout_id=payout_id, seller_id=seller.pk, amount_minor=5_00, currency="EUR", balance=balance
    )


def claim_payout(payout) -> SellerPayout | None:
    return payouts.claim_payout(payout.pk, cause=BY_TEST, balance=PLENTY)


@pytest.fixture
def payout(seller) -> SellerPayout:
    return open_payout(seller, new_id())


def test_two_requests_for_one_payout_open_one(seller):
    payout_id = new_id()

    first, rival = before_commit(lambda: open_payout(seller, payout_id), lambda: open_payout(seller, payout_id))

    assert rival.result() == first == SellerPayout.objects.get()


def test_two_payouts_at_once_share_no_cent_of_the_balance(seller):
    balance = AccountBalance({"EUR": 9_00}, timezone.now())

    _, rival = before_commit(
        lambda: open_payout(seller, new_id(), balance=balance), lambda: open_payout(seller, new_id(), balance=balance)
    )

    assert isinstance(rival.result(), PayoutExceedsBalance)
    assert SellerPayout.objects.count() == 1


def remote_payout(payout, status: str) -> RemotePayout:
    return RemotePayout("po_1", 5_00, "EUR", status, str(payout.pk), "", "")


def report(payout, status: str) -> Any:
    """Stripe's webhook about a payout."""
    with transaction.atomic():
        account_id, now = payout.stripe_account_id, timezone.now()
        return payouts.apply_payout(remote_payout(payout, status), stripe_account_id=account_id, cause=BY_TEST, at=now)


def test_the_second_to_claim_a_payout_knows_that_it_may_be_at_stripe(payout):
    first, rival = before_commit(lambda: claim_payout(payout), lambda: claim_payout(payout))

    assert (first.in_doubt, rival.result().in_doubt) == (False, True)


def test_a_refusal_after_the_bank_has_the_payout_changes_nothing(payout):
    _, rival = before_commit(
        lambda: report(payout, "in_transit"),
        lambda: payouts.record_payout(payout.pk, refuses("balance_insufficient"), cause=BY_TEST),
    )

    payout.refresh_from_db()
    assert (rival.result(), payout.status) == (None, "in_transit")


def test_the_later_of_two_updates_of_a_payout_follows_the_first(payout):
    report(payout, "pending")

    _, rival = before_commit(lambda: report(payout, "paid"), lambda: report(payout, "failed"))

    payout.refresh_from_db()
    assert (rival.result().text, payout.status) == ("ok", "failed")
