"""Wanted against have: after every refund, what each seller was sent is brought in line with their share.

Planned in memory from locked rows first, written afterwards in as many statements as there are kinds of
change.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models.functions import Now

from connect.models import SellerTransfer, TransferReversal, WaitingFor
from connect.states import ReversalStatus, TransferStatus
from marketplace.models import Order
from marketplace.shares import seller_shares
from veza.core.causes import Cause
from veza.core.states import move

# Nothing left to take back from these makes them completed again.
_OWING = (TransferStatus.PERMANENTLY_FAILED, TransferStatus.REVERSAL_PENDING)


@dataclass
class Plan:
    """What is going to be written. `changed` holds rows whose amount or target is new."""

    changed: dict[UUID, SellerTransfer] = field(default_factory=dict)
    to_cancel: list[SellerTransfer] = field(default_factory=list)
    to_reverse: list[SellerTransfer] = field(default_factory=list)
    to_complete: list[SellerTransfer] = field(default_factory=list)
    new: list[SellerTransfer] = field(default_factory=list)


def settle_order(order: Order, /, *, cause: Cause, at: datetime) -> None:
    """Plan payments and reversals until every seller of `order` ends with exactly their share.

    Calls nobody: the workers find the rows. An order that was never fulfilled pays no seller.
    """
    if order.completed_at is None:
        return
    transfers = list(SellerTransfer.objects.locked().filter(order=order.pk))
    floors = _floors(transfers)
    plan = Plan()
    for seller_id, wanted in seller_shares(order.pk).items():
        rows = sorted((row for row in transfers if row.seller_id == seller_id), key=lambda row: row.seq)
        surplus = sum(have(row) for row in rows) - wanted
        if surplus > 0:
            _take_away(surplus, rows, plan)
        elif surplus < 0:
            _give_more(-surplus, rows, floors, plan, order=order, seller_id=seller_id)
    _write(plan, cause=cause, at=at)


def have(row: SellerTransfer) -> int:
    """What the seller keeps of a row when everything planned for it has happened.

    A row that was given up before it was sent still counts: a person may send it again.
    """
    if row.status == TransferStatus.CANCELLED:
        return 0
    return row.amount_minor - row.reversal_target_minor


def _floors(transfers: Iterable[SellerTransfer]) -> dict[UUID, int]:
    """Below what no target may fall: what is back already, or is being asked back right now."""
    asked = TransferReversal.objects.filter(transfer__in=transfers, status=ReversalStatus.SENDING)
    floors = {row.pk: row.reversed_minor for row in transfers}
    floors.update(asked.values_list("transfer_id", "to_minor"))
    return floors


def _take_away(surplus: int, rows: list[SellerTransfer], plan: Plan) -> None:
    """Cancel or shrink what was never sent, then take back, the newest first."""
    newest_first = list(reversed(rows))
    for row in (row for row in newest_first if not row.may_be_at_stripe()):
        cut = min(surplus, have(row))
        surplus -= cut
        if cut and cut == row.amount_minor:
            plan.to_cancel.append(row)
        elif cut:
            row.amount_minor -= cut
            plan.changed[row.pk] = row
    for row in (row for row in newest_first if row.may_be_at_stripe()):
        more = min(surplus, row.sent_minor - row.reversal_target_minor)
        surplus -= more
        if more:
            row.reversal_target_minor += more
            plan.changed[row.pk] = row
            if row.status == TransferStatus.COMPLETED:
                plan.to_reverse.append(row)


def _give_more(
    missing: int,
    rows: list[SellerTransfer],
    floors: dict[UUID, int],
    plan: Plan,
    *,
    order: Order,
    seller_id: UUID,
) -> None:
    """Take back less where that is still possible, then send the rest as a new transfer."""
    for row in rows:
        floor = floors[row.pk]
        less = min(missing, row.reversal_target_minor - floor)
        if less <= 0:
            continue
        missing -= less
        row.reversal_target_minor -= less
        plan.changed[row.pk] = row
        if row.completed_at is not None and row.owed_minor == 0 and row.status in _OWING:
            plan.to_complete.append(row)
    if missing:
        seq = max((row.seq for row in rows), default=0) + 1
        plan.new.append(
            SellerTransfer(
                order=order,
                seller_id=seller_id,
                seq=seq,
                amount_minor=missing,
                currency=order.currency,
                next_retry_at=Now(),
            )
        )


def _write(plan: Plan, *, cause: Cause, at: datetime) -> None:
    if plan.changed:
        SellerTransfer.objects.bulk_update(plan.changed.values(), ["amount_minor", "reversal_target_minor"])
    nothing = {"next_retry_at": None, "waiting_for": WaitingFor.NOTHING, "retry_count": 0}
    if plan.to_cancel:
        move(plan.to_cancel, TransferStatus.CANCELLED, cause=cause, at=at, **nothing)
    if plan.to_complete:
        move(plan.to_complete, TransferStatus.COMPLETED, cause=cause, at=at, **nothing)
    if plan.to_reverse:
        now = {**nothing, "next_retry_at": Now()}
        move(plan.to_reverse, TransferStatus.REVERSAL_PENDING, cause=cause, at=at, **now)
    if plan.new:
        SellerTransfer.objects.bulk_create(plan.new)
