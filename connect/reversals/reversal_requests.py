"""Money is taken back from sellers: exactly what is owed, once, whatever fails on the way.

Each try is an intent of its own, from so much reversed to so much, committed before the call. Stripe has no
code for "already reversed", so a refusal is never judged by its words: the transfer is read and its amounts
are compared.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_outcomes import ReversalAttempt, begin_reversal, go_on, record_look, record_reversal
from connect.states import ReversalStatus, TransferStatus
from connect.stripe import client
from connect.stripe.client import BALANCE_TOO_LOW, DOES_NOT_EXIST
from connect.stripe.objects import RemoteTransfer
from connect.worker.draining import drain
from connect.worker.retries import KEY_IS_SAFE_FOR
from connect.worker.waiting import change, give_up, try_later, with_reversals
from veza.core import calls
from veza.core.causes import Cause, by_sweep
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, Outcome, Refused
from veza.core.sweeps import Tally

SWEEP = "connect.process_reversals"


class ReversalNotRetryable(NotAllowed):
    code = "reversal_not_retryable"


def process_due(*, call_for_help: Callable[[], object] | None = None) -> Tally:
    """Take back from every transfer that is due."""
    cause = by_sweep(SWEEP)
    return drain(
        SWEEP,
        rows=SellerTransfer.objects.to_reverse(),
        perform=lambda transfer_id: reverse_transfer(transfer_id, cause=cause),
        park=lambda transfer_id, why: count_error(transfer_id, why, cause=cause),
        call_for_help=call_for_help,
    )


def reverse_transfer(transfer_id: UUID, *, cause: Cause) -> Outcome[Any] | None:
    """Take back what one transfer owes and book the answer. None when nothing is to be taken back now."""
    taking = open_reversal(transfer_id, cause=cause)
    if taking is None:
        return None
    if taking.key_may_be_forgotten:
        looked = _look(taking)
        if not isinstance(looked, Accepted) or looked.value.reversed_minor > taking.intent.from_minor:
            # Booked by us or not: it was taken back past us, and the intent is about an amount that is out of date.
            record_look(taking, looked, refused=None, cause=cause)
            return looked
    outcome = _take_back(taking)
    if isinstance(outcome, Refused) and not _plain(outcome):
        record_look(taking, _look(taking), refused=outcome, cause=cause)
    else:
        record_reversal(taking, outcome, cause=cause)
    return outcome


def _plain(refused: Refused) -> bool:
    """Whether a refusal speaks for itself. Of the others, any may mean that the money is back already."""
    return refused.code in BALANCE_TOO_LOW or (refused.call.status == 404 and refused.code == DOES_NOT_EXIST)


@transaction.atomic(durable=True)
def open_reversal(transfer_id: UUID, *, cause: Cause) -> ReversalAttempt | None:
    """Commit what is about to be taken back. An intent that nobody has answered is taken up again as it is.

    A transfer that has no id at Stripe is given up without a call. None when there is nothing to take back.
    """
    transfer, at = SellerTransfer.objects.locked().get(pk=transfer_id), timezone.now()
    if transfer.status != TransferStatus.REVERSAL_PENDING:
        return None
    if not transfer.stripe_transfer_id:
        give_up(transfer, "The transfer has no id at Stripe, so nothing can be reversed.", cause=cause, at=at)
        return None
    intent = transfer.reversals.filter(status=ReversalStatus.SENDING).first()
    if intent is None and transfer.owed_minor == 0:
        go_on(transfer, cause=cause, at=at)
        return None
    first_sent_at = intent.first_sent_at if intent else None
    intent = intent or _new_intent(transfer, at=at)
    change(transfer, sendings=transfer.sendings + 1)
    return ReversalAttempt(
        transfer=transfer,
        intent=intent,
        number=transfer.sendings,
        first=first_sent_at is None,
        key_may_be_forgotten=first_sent_at is not None and at - first_sent_at > KEY_IS_SAFE_FOR,
    )


def _new_intent(transfer: SellerTransfer, *, at: datetime) -> TransferReversal:
    start, end = transfer.reversed_minor, transfer.reversal_target_minor
    return transfer.reversals.create(
        correlation_id=transfer.correlation_id,
        from_minor=start,
        to_minor=end,
        currency=transfer.currency,
        key=f"{transfer.pk}:reversal:{start}-{end}:{transfer.key_epoch}",
        first_sent_at=at,
    )


def _take_back(taking: ReversalAttempt) -> Outcome[Any]:
    intent = taking.intent
    outcome = client.create_reversal(
        stripe_transfer_id=taking.stripe_transfer_id,
        amount_minor=intent.amount_minor,
        reversal_id=intent.pk,
        order_id=intent.correlation_id,
        idempotency_key=intent.key,
    )
    calls.record(outcome, subject=taking.transfer, our_id=intent.key)
    return outcome


def _look(taking: ReversalAttempt) -> Outcome[RemoteTransfer]:
    outcome = client.read_transfer(taking.stripe_transfer_id)
    calls.record(outcome, subject=taking.transfer, our_id=taking.intent.key)
    return outcome


@transaction.atomic(durable=True)
def count_error(transfer_id: UUID, why: str, *, cause: Cause) -> None:
    """Count a retry for a row that our own code stumbles over, so that it is given up in the end."""
    transfer = SellerTransfer.objects.locked().get(pk=transfer_id)
    if transfer.status == TransferStatus.REVERSAL_PENDING:
        try_later(transfer, why, with_reversals(), cause=cause, at=timezone.now())


@transaction.atomic(durable=True)
def retry(*, transfer_id: UUID, cause: Cause) -> SellerTransfer:
    """Take back again what was given up, as soon as the worker comes by. Raises ReversalNotRetryable."""
    transfer = SellerTransfer.objects.locked().get(pk=transfer_id)
    if transfer.status != TransferStatus.PERMANENTLY_FAILED or not transfer.stripe_transfer_id:
        raise ReversalNotRetryable("Only the reversal of a transfer that was given up can be tried again.")
    begin_reversal(transfer, cause=cause, at=timezone.now())
    return transfer
