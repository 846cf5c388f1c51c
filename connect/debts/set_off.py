"""A seller's debt for one order is withheld from what they earn with the next.

It happens when a transfer is claimed, while nothing of it has been sent: the same commit lowers what is sent and
what is reversed. The ledger is not touched, because the seller's account is one signed number.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from connect.messages.transfers import write_withheld_email
from connect.models import SellerTransfer, SetOff, TransferReversal, WaitingFor
from connect.reversals.reversal_outcomes import resume
from connect.states import ReversalStatus, TransferStatus
from connect.worker.retry_policy import REVERSAL_FAILED, TRANSFER_FAILED, update_failed_review, update_fields
from veza.core import writes
from veza.core.causes import Cause
from veza.core.reviews import close_review
from veza.core.states import move

# More debts than one transfer is ever offset against at once; the rest wait for the next transfer.
MOST_DEBTS = 50


def lock_with_debts(transfer_id: UUID) -> tuple[SellerTransfer, list[SellerTransfer]]:
    """Lock a transfer and its seller's debts, in order of id. The caller holds the seller's account.

    Debts with a reversal under way are left out: Stripe may reverse them after all.
    """
    assert connection.in_atomic_block, "debts are locked in the transaction that offsets them"
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    all_debts = SellerTransfer.objects.debts_of(transfer.seller_id, transfer.currency)
    candidates = set(all_debts.values_list("pk", flat=True)[:MOST_DEBTS])
    rows = {row.pk: row for row in SellerTransfer.objects.locked().filter(pk__in={transfer_id, *candidates})}
    if not candidates:
        return rows[transfer_id], []
    under_way = TransferReversal.objects.filter(transfer__in=candidates, status=ReversalStatus.SENDING)
    still_debts = all_debts.filter(pk__in=candidates).exclude(pk__in=under_way.values("transfer"))
    return rows[transfer_id], [rows[pk] for pk in still_debts.values_list("pk", flat=True)]


def set_off(transfer: SellerTransfer, debts: list[SellerTransfer], *, cause: Cause, at: datetime) -> None:
    """Withhold the seller's debts, the oldest first, from a locked transfer of which nothing was sent."""
    assert not transfer.may_be_at_stripe(), "the amount is frozen once Stripe may have the transfer"
    before = _totals(transfer, debts)
    for debt in debts:
        assert debt.pk != transfer.pk, "a transfer does not pay its own debt"
        assert debt.seller_id == transfer.seller_id, "a seller pays their own debts only"
        assert debt.currency == transfer.currency, "a debt is offset in its own currency"
        amount = min(transfer.sent_minor, debt.outstanding_minor)
        if amount <= 0:
            continue
        writes.insert([SetOff(transfer=transfer, debt=debt, amount_minor=amount, currency=transfer.currency)])
        update_fields(transfer, withheld_minor=transfer.withheld_minor + amount)
        update_fields(
            debt,
            reversal_target_minor=debt.reversal_target_minor - amount,
            offset_minor=debt.offset_minor + amount,
        )
        if debt.outstanding_minor == 0:
            close_review(REVERSAL_FAILED, debt, note="Offset against a later transfer.")
            resume(debt, cause=cause, at=at)
        else:
            update_failed_review(debt)
    assert _totals(transfer, debts) == before, "as much less is sent as is owed less"


def complete_by_set_off(transfer: SellerTransfer, *, cause: Cause, at: datetime, **fields: Any) -> None:
    """Complete a locked transfer that paid a debt with all of its amount: nothing is sent."""
    assert transfer.sent_minor == 0, "nothing of it is left to send"
    assert transfer.net_withheld_minor > 0, "all of the transfer pays a debt"
    rest: dict[str, Any] = {"completed_at": at, "next_retry_at": None, "waiting_for": WaitingFor.NOTHING}
    move(transfer, TransferStatus.COMPLETED, cause=cause, at=at, **rest, last_error="", **fields)
    close_review(TRANSFER_FAILED, transfer, note="All of it paid a debt.")
    write_withheld_email(transfer)


def _totals(transfer: SellerTransfer, debts: list[SellerTransfer]) -> int:
    """What goes to the seller less what they owe: a set-off leaves it as it is."""
    return transfer.sent_minor - sum(debt.outstanding_minor for debt in debts)
