"""Sellers are paid: one transfer for each seller of an order, sent exactly once whatever fails on the way.

Before the call a commit marks the row as in doubt and freezes amount, account and key; only a definite answer
clears the mark. So a row that was never sent is never taken for one that Stripe did not answer.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from connect.debts.set_off import complete_by_set_off, lock_with_debts, set_off
from connect.models import LOCKED_TRANSFER, ConnectedAccount, SellerTransfer, WaitingFor
from connect.states import TRANSFER_UNSENT, TransferStatus
from connect.stripe import client
from connect.stripe.client import BALANCE_TOO_LOW, DOES_NOT_EXIST
from connect.stripe.objects import RemoteTransfer
from connect.transfers.transfer_outcomes import (
    NOT_ALLOWED_TO_RECEIVE,
    TransferAttempt,
    open_ambiguous_review,
    record_transfer,
)
from connect.worker.retry_policy import (
    ATTEMPTS_BEFORE_SEARCH,
    KEY_IS_SAFE_FOR,
    drain,
    due_from,
    schedule_retry,
    transfer_policy,
    update_fields,
    wait_for,
)
from marketplace.allocation import is_disputed, is_on_hold, seller_shares_at_sale
from marketplace.models import Order
from marketplace.standing import is_money_held
from veza.core import calls, writes
from veza.core.causes import Cause, by_sweep
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, Outcome, Refused, Unknown
from veza.core.states import move
from veza.core.sweeps import Tally

SWEEP = "connect.send_transfers"


class TransferNotRetryable(NotAllowed):
    code = "transfer_not_retryable"


def plan_transfers(order: Order, /, *, cause: Cause, at: datetime) -> None:
    """Plan a transfer for each seller of a completed order, due after TRANSFER_DELAY.

    Runs in the webhook's commit: two statements.
    """
    assert connection.in_atomic_block, "transfers are planned in the commit that completes their order"
    assert order.completed_at is not None, "only a completed order pays its sellers"
    shares = seller_shares_at_sale(order.pk)
    assert all(share >= 0 for share in shares.values()), "no seller's share is below zero"
    assert sum(shares.values()) <= order.total_minor, "sellers never get more than the buyer was charged"
    writes.insert(
        SellerTransfer(
            order=order,
            seller_id=seller_id,
            amount_minor=share,
            currency=order.currency,
            next_retry_at=due_from(order),
        )
        for seller_id, share in shares.items()
        if share > 0
    )


def send_due(*, call_for_help: Callable[[], object] | None = None) -> Tally:
    """Send every transfer that is due."""
    cause = by_sweep(SWEEP)
    return drain(
        SWEEP,
        rows=SellerTransfer.objects.unsent(),
        perform=lambda transfer_id: send_transfer(transfer_id, cause=cause),
        on_error=lambda transfer_id, why: count_error(transfer_id, why, cause=cause),
        call_for_help=call_for_help,
    )


def send_transfer(transfer_id: UUID, *, cause: Cause) -> Outcome[RemoteTransfer] | None:
    """Send one transfer and book the answer. None when it is not to be sent now."""
    attempt = claim_transfer(transfer_id, cause=cause)
    if attempt is None:
        return None
    outcome = _find(attempt) if attempt.search_first else None
    if outcome is None:
        outcome = _explain(attempt, _send(attempt))
    record_transfer(attempt, outcome, cause=cause)
    return outcome


@writes.atomic()
def claim_transfer(transfer_id: UUID, *, cause: Cause) -> TransferAttempt | None:
    """Commit that a transfer is about to be sent: from here on it is in doubt, and what is sent is frozen.

    The seller's debts are offset first. A row that is in doubt already keeps its amount, account and key. None when it
    is not to be sent now.
    """
    # Locked, so that an account that becomes active now finds this row waiting and wakes it.
    account = ConnectedAccount.objects.locked().filter(seller__transfers=transfer_id).first()
    transfer, debts = lock_with_debts(transfer_id)
    if transfer.status not in TRANSFER_UNSENT:
        return None
    doubted_at, now = transfer.in_doubt_since, timezone.now()
    is_repeated = doubted_at is not None and transfer.send_attempts >= ATTEMPTS_BEFORE_SEARCH
    doubt = _freeze(transfer, account, debts, cause=cause, at=now) if doubted_at is None else {}
    if doubt is None:
        return None
    update_fields(transfer, send_attempts=transfer.send_attempts + 1, waiting_for=WaitingFor.NOTHING, **doubt)
    assert transfer.in_doubt_since is not None, "a transfer is in doubt before the call"
    return TransferAttempt(
        transfer=transfer,
        key=transfer.key,
        destination=transfer.destination,
        amount_minor=transfer.sent_minor,
        number=transfer.send_attempts,
        is_first=doubted_at is None,
        search_first=is_repeated or (doubted_at is not None and now - doubted_at > KEY_IS_SAFE_FOR),
    )


def _freeze(
    transfer: SellerTransfer,
    account: ConnectedAccount | None,
    debts: list[SellerTransfer],
    *,
    cause: Cause,
    at: datetime,
) -> dict[str, Any] | None:
    """Settle what is sent and to which account: the fields that freeze it. None when it waits or is complete."""
    if is_on_hold(transfer.order_id):
        # The end of the dispute, or of the doubt, makes the row due at once.
        if is_disputed(transfer.order_id):
            _wait(transfer, WaitingFor.DISPUTE, "The buyer's bank disputes the payment.")
        else:
            _wait(transfer, WaitingFor.PAYMENT, "It is not certain that the buyer's money is there.")
        return None
    if is_money_held(transfer.seller_id):
        # The end of the restriction makes the row due at once; the restriction itself is due for review.
        _wait(transfer, WaitingFor.RELEASE, "Our staff hold the seller's money.")
        return None
    if account is None or not account.can_receive():
        _wait(transfer, WaitingFor.ACCOUNT, "The seller has no Stripe account that can receive transfers.")
        if account is not None and account.stripe_account_id is not None:
            # Becoming active makes the row due at once. In case that webhook was lost, the account is refreshed too.
            idle = ConnectedAccount.objects.filter(pk=account.pk, refresh_due_at__isnull=True)
            idle.update(refresh_due_at=Now())
        return None
    assert account.seller_id == transfer.seller_id, "a transfer goes to its own seller's account"
    set_off(transfer, debts, cause=cause, at=at)
    if transfer.sent_minor == 0:
        complete_by_set_off(transfer, cause=cause, at=at)
        return None
    return {"in_doubt_since": Now(), "destination": account.stripe_account_id}


def _wait(transfer: SellerTransfer, waiting_for: WaitingFor, why: str) -> None:
    wait_for(transfer, waiting_for, recheck_after=transfer_policy().cap, why=why)


def _send(attempt: TransferAttempt) -> Outcome[RemoteTransfer]:
    transfer = attempt.transfer
    assert 0 < attempt.amount_minor <= transfer.amount_minor, "never more sent than the seller's share"
    assert attempt.destination, "money is sent to an account that was frozen with the row"
    outcome = client.create_transfer(
        transfer_id=transfer.pk,
        order_id=transfer.order_id,
        amount_minor=attempt.amount_minor,
        currency=transfer.currency,
        destination=attempt.destination,
        idempotency_key=attempt.key,
    )
    calls.record(outcome, subject=transfer, our_id=attempt.key)
    return outcome


def _find(attempt: TransferAttempt) -> Outcome[RemoteTransfer] | None:
    """Look at Stripe for a transfer whose answers were lost. None when Stripe has none: it is sent again."""
    transfer = attempt.transfer
    page = client.list_transfers(transfer_group=str(transfer.order_id))
    calls.record(page, subject=transfer, our_id=attempt.key)
    if not isinstance(page, Accepted):
        return page if not isinstance(page, Refused) else Unknown(page.message, page.call)
    matches = [snapshot for snapshot in page.value if snapshot.our_id == str(transfer.pk)]
    if len(matches) > 1:  # One that was reversed in full pays the seller nothing.
        matches = [snapshot for snapshot in matches if snapshot.reversed_minor < snapshot.amount_minor] or matches[:1]
    if len(matches) > 1:
        open_ambiguous_review(transfer, [snapshot.transfer_id for snapshot in matches])
        return Unknown(f"{len(matches)} transfers carry this row's id: none is picked", page.call)
    request = (attempt.amount_minor, transfer.currency)
    if matches and (matches[0].amount_minor, matches[0].currency) != request:
        return Unknown(f"{matches[0].transfer_id} carries this row's id with another amount", page.call)
    return Accepted(matches[0], page.call) if matches else None


def _explain(attempt: TransferAttempt, outcome: Outcome[RemoteTransfer]) -> Outcome[RemoteTransfer]:
    """Name the reason of a refusal without a code by reading the account: whether it can receive transfers."""
    if not isinstance(outcome, Refused) or outcome.code in BALANCE_TOO_LOW | {DOES_NOT_EXIST}:
        return outcome
    account = client.read_account(attempt.destination)
    calls.record(account, subject=attempt.transfer, our_id=attempt.key)
    if isinstance(account, Accepted) and not account.value.transfers_active:
        return Refused(NOT_ALLOWED_TO_RECEIVE, outcome.message, outcome.call)
    return outcome


@writes.atomic()
def count_error(transfer_id: UUID, why: str, *, cause: Cause) -> None:
    """Count a retry for a row that raised an error of our own, so that it fails in the end."""
    transfer = LOCKED_TRANSFER.get(transfer_id)
    if transfer.status in TRANSFER_UNSENT:
        schedule_retry(transfer, why, transfer_policy(), cause=cause, at=timezone.now())


@writes.atomic()
def retry(*, transfer_id: UUID, cause: Cause) -> SellerTransfer:
    """Make a failed transfer due again, for the worker's next sweep. Raises TransferNotRetryable."""
    transfer = LOCKED_TRANSFER.get(transfer_id)
    if transfer.status != TransferStatus.PERMANENTLY_FAILED or transfer.completed_at is not None:
        raise TransferNotRetryable("Only a transfer that failed before Stripe had it can be sent again.")
    move(transfer, TransferStatus.FAILED, cause=cause, next_retry_at=Now(), retry_count=0, last_error="")
    return transfer
