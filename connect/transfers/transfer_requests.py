"""Sellers are paid: one transfer a seller and order, sent exactly once whatever fails on the way.

Before the call a commit marks the row as in doubt and freezes amount, account and key; only a definite answer
clears the mark. So a row that was never sent and one that nobody answered are told apart for ever.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connect.debts.set_off import lock_with_debts, pay_by_set_off, set_off
from connect.models import ConnectedAccount, SellerTransfer, WaitingFor
from connect.states import TRANSFER_UNSENT, TransferStatus
from connect.stripe import client
from connect.stripe.client import BALANCE_TOO_LOW, DOES_NOT_EXIST
from connect.stripe.objects import RemoteTransfer
from connect.transfers.transfer_outcomes import NOT_ALLOWED_TO_RECEIVE, TransferAttempt, record_transfer, several_found
from connect.worker.draining import drain
from connect.worker.retries import KEY_IS_SAFE_FOR
from connect.worker.waiting import change, try_later, wait, with_transfers
from marketplace.allocation import is_disputed, seller_shares_at_sale
from marketplace.models import Order
from veza.core import calls
from veza.core.causes import Cause, by_sweep
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, Outcome, Refused, Unknown
from veza.core.states import move
from veza.core.sweeps import Tally

SWEEP = "connect.send_transfers"


class TransferNotRetryable(NotAllowed):
    code = "transfer_not_retryable"


def plan_transfers(order: Order, /, *, cause: Cause, at: datetime) -> None:
    """Plan what each seller of a completed order is sent. Runs in the webhook's commit: two statements."""
    SellerTransfer.objects.bulk_create(
        SellerTransfer(
            order=order,
            seller_id=seller_id,
            amount_minor=share,
            currency=order.currency,
            next_retry_at=Now(),
        )
        for seller_id, share in seller_shares_at_sale(order.pk).items()
        if share > 0
    )


def send_due(*, call_for_help: Callable[[], object] | None = None) -> Tally:
    """Send every transfer that is due."""
    cause = by_sweep(SWEEP)
    return drain(
        SWEEP,
        rows=SellerTransfer.objects.unsent(),
        perform=lambda transfer_id: send_transfer(transfer_id, cause=cause),
        park=lambda transfer_id, why: count_error(transfer_id, why, cause=cause),
        call_for_help=call_for_help,
    )


def send_transfer(transfer_id: UUID, *, cause: Cause) -> Outcome[RemoteTransfer] | None:
    """Send one transfer and book the answer. None when it is not to be sent now."""
    sending = claim_transfer(transfer_id, cause=cause)
    if sending is None:
        return None
    outcome = _find(sending) if sending.key_may_be_forgotten else None
    if outcome is None:
        outcome = _explained(sending, _send(sending))
    record_transfer(sending, outcome, cause=cause)
    return outcome


@transaction.atomic(durable=True)
def claim_transfer(transfer_id: UUID, *, cause: Cause) -> TransferAttempt | None:
    """Commit that a transfer is about to be sent: from here on it is in doubt, and what is sent is frozen.

    What the seller owes us is set off first. A row that is in doubt already keeps its amount, account and key.
    None when it is not to be sent now.
    """
    # Locked, so that an account that becomes active now finds this row waiting and wakes it.
    account = ConnectedAccount.objects.locked().filter(seller__transfers=transfer_id).first()
    transfer, debts = lock_with_debts(transfer_id)
    if transfer.status not in TRANSFER_UNSENT:
        return None
    first, doubted_at, now = transfer.in_doubt_since is None, transfer.in_doubt_since, timezone.now()
    fields: dict[str, Any] = {"sendings": transfer.sendings + 1, "waiting_for": WaitingFor.NOTHING}
    if doubted_at is None:
        if is_disputed(transfer.order_id):
            _wait_for_dispute(transfer)
            return None
        if account is None or not account.can_receive():
            _wait_for_account(transfer, account)
            return None
        set_off(transfer, debts, cause=cause, at=now)
        if transfer.sent_minor == 0:
            pay_by_set_off(transfer, cause=cause, at=now)
            return None
        fields |= {"in_doubt_since": Now(), "destination": account.stripe_account_id}
    change(transfer, **fields)
    return TransferAttempt(
        transfer=transfer,
        key=transfer.key,
        destination=transfer.destination,
        amount_minor=transfer.sent_minor,
        number=transfer.sendings,
        first=first,
        key_may_be_forgotten=doubted_at is not None and now - doubted_at > KEY_IS_SAFE_FOR,
    )


def _wait_for_account(transfer: SellerTransfer, account: ConnectedAccount | None) -> None:
    why = "The seller has no Stripe account that can receive transfers."
    wait(transfer, WaitingFor.ACCOUNT, look_again=with_transfers().longest, why=why)
    if account is not None and account.stripe_account_id is not None:
        # Becoming active makes the row due at once. In case that news was lost, Stripe is asked as often as we look.
        unasked = ConnectedAccount.objects.filter(pk=account.pk, refresh_due_at__isnull=True)
        unasked.update(refresh_due_at=Now())


def _wait_for_dispute(transfer: SellerTransfer) -> None:
    # Its end makes the row due at once.
    wait(
        transfer, WaitingFor.DISPUTE, look_again=with_transfers().longest, why="The buyer's bank disputes the payment."
    )


def _send(sending: TransferAttempt) -> Outcome[RemoteTransfer]:
    transfer = sending.transfer
    outcome = client.create_transfer(
        transfer_id=transfer.pk,
        order_id=transfer.order_id,
        amount_minor=sending.amount_minor,
        currency=transfer.currency,
        destination=sending.destination,
        idempotency_key=sending.key,
    )
    calls.record(outcome, subject=transfer, our_id=sending.key)
    return outcome


def _find(sending: TransferAttempt) -> Outcome[RemoteTransfer] | None:
    """Look for a transfer whose answer was lost too long ago for its key. None when Stripe has none."""
    transfer = sending.transfer
    listed = client.list_transfers(transfer_group=str(transfer.order_id))
    calls.record(listed, subject=transfer, our_id=sending.key)
    if not isinstance(listed, Accepted):
        return listed if not isinstance(listed, Refused) else Unknown(listed.message, listed.call)
    found = [snapshot for snapshot in listed.value if snapshot.our_id == str(transfer.pk)]
    if len(found) > 1:
        several_found(transfer, [snapshot.transfer_id for snapshot in found])
        return Unknown(f"{len(found)} transfers carry this row's id: none is picked", listed.call)
    if found and found[0].amount_minor != sending.amount_minor:
        return Unknown(f"{found[0].transfer_id} carries this row's id with another amount", listed.call)
    return Accepted(found[0], listed.call) if found else None


def _explained(sending: TransferAttempt, outcome: Outcome[RemoteTransfer]) -> Outcome[RemoteTransfer]:
    """A refusal that has no code of its own when the account cannot receive: the account itself tells."""
    if not isinstance(outcome, Refused) or outcome.code in BALANCE_TOO_LOW | {DOES_NOT_EXIST}:
        return outcome
    account = client.read_account(sending.destination)
    calls.record(account, subject=sending.transfer, our_id=sending.key)
    if isinstance(account, Accepted) and not account.value.transfers_active:
        return Refused(NOT_ALLOWED_TO_RECEIVE, outcome.message, outcome.call)
    return outcome


@transaction.atomic(durable=True)
def count_error(transfer_id: UUID, why: str, *, cause: Cause) -> None:
    """Count a retry for a row that our own code stumbles over, so that it is given up in the end."""
    transfer = SellerTransfer.objects.locked().get(pk=transfer_id)
    if transfer.status in TRANSFER_UNSENT:
        try_later(transfer, why, with_transfers(), cause=cause, at=timezone.now())


@transaction.atomic(durable=True)
def retry(*, transfer_id: UUID, cause: Cause) -> SellerTransfer:
    """Send a transfer again that was given up, when the worker comes by. Raises TransferNotRetryable."""
    transfer = SellerTransfer.objects.locked().get(pk=transfer_id)
    if transfer.status != TransferStatus.PERMANENTLY_FAILED or transfer.completed_at is not None:
        raise TransferNotRetryable("Only a transfer that was given up before Stripe had it can be sent again.")
    move(transfer, TransferStatus.FAILED, cause=cause, next_retry_at=Now(), retry_count=0, last_error="")
    return transfer
