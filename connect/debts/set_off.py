"""What a seller owes us for one order is kept back from what they earn with the next.

It happens when a transfer is claimed, while nothing of it has been sent: the same commit lowers what is sent and
what is taken back. The ledger is not touched, because the seller's account is one signed number.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from connect.models import SellerTransfer, SetOff, TransferReversal, WaitingFor
from connect.reversals.reversal_outcomes import go_on
from connect.states import ReversalStatus, TransferStatus
from connect.worker.waiting import REVERSAL_FAILED, TRANSFER_FAILED, change, update_failed_review
from veza.core.causes import Cause
from veza.core.reviews import close_review
from veza.core.states import move

# More debts than one transfer is ever set off against at once; the rest wait for the next.
MOST_DEBTS = 50


def lock_with_debts(transfer_id: UUID) -> tuple[SellerTransfer, list[SellerTransfer]]:
    """Lock a transfer and what its seller owes, in order of id. The caller holds the seller's account.

    Only debts that nobody is asking Stripe for: a reversal under way may succeed after all.
    """
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    owed = SellerTransfer.objects.owed_by(transfer.seller_id, transfer.currency)
    candidates = set(owed.values_list("pk", flat=True)[:MOST_DEBTS])
    locked = {row.pk: row for row in SellerTransfer.objects.locked().filter(pk__in={transfer_id, *candidates})}
    if not candidates:
        return locked[transfer_id], []
    under_way = TransferReversal.objects.filter(transfer__in=candidates, status=ReversalStatus.SENDING)
    still_owed = owed.filter(pk__in=candidates).exclude(pk__in=under_way.values("transfer"))
    debts = [locked[pk] for pk in still_owed.values_list("pk", flat=True)]
    return locked[transfer_id], debts


def set_off(transfer: SellerTransfer, debts: list[SellerTransfer], *, cause: Cause, at: datetime) -> None:
    """Keep back what the seller owes, the oldest debt first, from a locked transfer of which nothing was sent."""
    for debt in debts:
        amount = min(transfer.sent_minor, debt.owed_minor)
        if amount <= 0:
            continue
        SetOff.objects.create(transfer=transfer, debt=debt, amount_minor=amount, currency=transfer.currency)
        change(transfer, set_off_minor=transfer.set_off_minor + amount)
        change(
            debt,
            reversal_target_minor=debt.reversal_target_minor - amount,
            covered_minor=debt.covered_minor + amount,
        )
        if debt.owed_minor == 0:
            close_review(REVERSAL_FAILED, debt, note="Set off against a later transfer.")
            go_on(debt, cause=cause, at=at)
        else:
            update_failed_review(debt)


def pay_by_set_off(transfer: SellerTransfer, *, cause: Cause, at: datetime, **cleared: Any) -> None:
    """All of a locked transfer paid a debt: it is complete without anything being sent."""
    done: dict[str, Any] = {"completed_at": at, "next_retry_at": None, "waiting_for": WaitingFor.NOTHING}
    move(transfer, TransferStatus.COMPLETED, cause=cause, at=at, **done, last_error="", **cleared)
    close_review(TRANSFER_FAILED, transfer, note="All of it paid a debt.")
