"""Target against net paid: after every refund or dispute, each seller's transfers are reconciled with their share.

Planned in memory from locked rows first, written afterwards in as many statements as there are kinds of change.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from connect.messages.transfers import write_reduced_emails
from connect.models import SellerTransfer, SetOff, WaitingFor
from connect.postings import post_recovered
from connect.settlement.locked_transfers import LockedTransfers, lock_transfers
from connect.states import TransferStatus
from connect.worker.retry_policy import REVERSAL_FAILED, TRANSFER_FAILED, due_from, update_failed_review
from marketplace.allocation import is_on_hold, seller_shares
from marketplace.models import Order
from veza.core import writes
from veza.core.causes import Cause
from veza.core.reviews import close_review
from veza.core.states import move

# With nothing left to reverse, these are completed again.
_OWING = (TransferStatus.PERMANENTLY_FAILED, TransferStatus.REVERSAL_PENDING)
_ON_HOLD = (WaitingFor.DISPUTE, WaitingFor.PAYMENT)
_AMOUNTS = [
    "amount_minor",
    "reversal_target_minor",
    "external_reversed_minor",
    "offset_minor",
    "written_off_minor",
    "unwound_minor",
]


@dataclass
class Plan:
    """What is going to be written. `transfers` and `set_offs` hold the rows whose amounts change, `recoveries` by
    transfer what is no loss of ours any more, `reduced` how much less is sent of those that were never sent.
    """

    transfers: dict[UUID, SellerTransfer] = field(default_factory=dict)
    set_offs: dict[UUID, SetOff] = field(default_factory=dict)
    recoveries: dict[UUID, int] = field(default_factory=dict)
    reduced: dict[SellerTransfer, int] = field(default_factory=dict)
    to_cancel: list[SellerTransfer] = field(default_factory=list)
    to_reverse: dict[UUID, SellerTransfer] = field(default_factory=dict)
    to_complete: list[SellerTransfer] = field(default_factory=list)
    new: list[SellerTransfer] = field(default_factory=list)


def settle_order(order: Order, /, *, cause: Cause, at: datetime) -> None:
    """Plan transfers and reversals until every seller of `order` ends with exactly their share.

    It makes no call: the workers find the rows. An order that was never fulfilled pays no seller.
    """
    if order.completed_at is not None:
        settle_plan(order, lock_transfers(order), Plan(), cause=cause, at=at)


def settle_plan(order: Order, current: LockedTransfers, plan: Plan, *, cause: Cause, at: datetime) -> None:
    """Complete a plan that may have begun, so that each seller of a locked order has their share, and write it."""
    assert connection.in_atomic_block, "an order is settled in the commit of the refund or dispute that asks for it"
    targets = seller_shares(order.pk)
    for seller_id, target in targets.items():
        assert target >= 0, "no seller's share is below zero"
        rows = current.of(order, seller_id)
        surplus = sum(net_paid(row) for row in rows) - target
        if surplus > 0:
            _pay_less(surplus, rows, current, plan)
        elif surplus < 0:
            _pay_more(-surplus, rows, current.floors, plan, order=order, seller_id=seller_id)
    _write(plan, cause=cause, at=at)
    _wake_held(order, current.rows.values())
    for seller_id, target in targets.items():
        own = [*current.of(order, seller_id), *(row for row in plan.new if row.seller_id == seller_id)]
        assert sum(net_paid(row) for row in own) == target, "target == net paid + to be sent - to be reversed"


def net_paid(row: SellerTransfer) -> int:
    """What the seller keeps of a row once everything planned for it has happened.

    What was withheld counts, since it paid a debt; so does an external reversal, which another transfer does not undo.
    A row that failed before it was sent still counts: support may retry it.
    """
    if row.status == TransferStatus.CANCELLED:
        return 0
    return (
        row.amount_minor
        - row.reversal_target_minor
        + row.external_reversed_minor
        - row.offset_minor
        - row.unwound_minor
    )


def _pay_less(surplus: int, rows: list[SellerTransfer], current: LockedTransfers, plan: Plan) -> None:
    """Count external reversals, send less of what was never sent, then reverse; the newest transfer first.

    What was withheld because it paid a debt is owed again: the set-off is unwound.
    """
    newest_first = list(reversed(rows))
    for row in newest_first:
        surplus -= _count_external(surplus, row, plan)
    for row in newest_first:
        surplus -= _send_less(surplus, row, plan)
    for row in newest_first:
        surplus -= _reverse_more(surplus, row, plan)
    for row in newest_first:
        surplus -= _unwind_set_offs(min(surplus, row.net_withheld_minor), row, current, plan)
    assert surplus == 0, "a seller's transfers can always be brought down to their share"


def _count_external(surplus: int, row: SellerTransfer, plan: Plan) -> int:
    # Less what paid a debt a second time: that is the seller's already.
    amount = min(surplus, max(0, row.reissuable_minor))
    row.external_reversed_minor -= amount
    if amount:
        plan.transfers[row.pk] = row
    return amount


def _send_less(surplus: int, row: SellerTransfer, plan: Plan) -> int:
    if row.may_be_at_stripe():
        return 0
    amount = min(surplus, net_paid(row), row.sent_minor)
    assert amount >= 0, "a transfer that was never sent pays no less than nothing"
    if amount:
        plan.reduced[row] = amount
    if amount and amount == row.amount_minor:
        plan.to_cancel.append(row)
    elif amount:
        row.amount_minor -= amount
        plan.transfers[row.pk] = row
    return amount


def _reverse_more(surplus: int, row: SellerTransfer, plan: Plan) -> int:
    if not row.may_be_at_stripe():
        return 0
    amount = min(surplus, row.reversible_minor)
    row.reversal_target_minor += amount
    assert row.reversal_target_minor <= row.sent_minor, "never more reversed than sent"
    if amount:
        plan.transfers[row.pk] = row
        if row.status == TransferStatus.COMPLETED:
            plan.to_reverse[row.pk] = row
    return amount


def _unwind_set_offs(amount_minor: int, row: SellerTransfer, current: LockedTransfers, plan: Plan) -> int:
    """Make debts owed again that `row` had paid, the newest set-off first. Returns `amount_minor`."""
    remaining = amount_minor
    for item in (item for item in current.set_offs if item.transfer_id == row.pk):
        amount = min(remaining, item.net_minor)
        if amount:
            remaining -= amount
            unwind(amount, item, row, current.rows[item.debt_id], plan)
    assert remaining == 0, "the withheld amount is the sum of its set-offs"
    if amount_minor and not row.may_be_at_stripe() and net_paid(row) == 0:
        plan.to_cancel.append(row)
    return amount_minor


def unwind(amount: int, item: SetOff, row: SellerTransfer, debt: SellerTransfer, plan: Plan) -> None:
    """Undo `amount` of a set-off: `row` has not paid it, and the debt is owed again, unless Stripe has reversed it."""
    assert item.currency == row.currency == debt.currency, "a set-off is between transfers of one currency"
    assert row.seller_id == debt.seller_id, "a set-off is between transfers of one seller"
    before = net_paid(debt)
    item.unwound_minor += amount
    row.unwound_minor += amount
    # An external reversal of the debt meanwhile pays it: it is not reversed twice.
    external = min(amount, debt.external_reversed_minor)
    debt.offset_minor -= amount
    debt.external_reversed_minor -= external
    debt.reversal_target_minor += amount - external
    assert net_paid(debt) == before, "unwinding a set-off leaves the debt's own order as it is"
    plan.set_offs[item.pk] = item
    plan.transfers |= {row.pk: row, debt.pk: debt}
    if debt.status == TransferStatus.COMPLETED and debt.outstanding_minor:
        plan.to_reverse[debt.pk] = debt


def _pay_more(
    missing: int,
    rows: list[SellerTransfer],
    floors: dict[UUID, int],
    plan: Plan,
    *,
    order: Order,
    seller_id: UUID,
) -> None:
    """Count what the seller has and we wrote off, reverse less where that is still possible, then send the rest."""
    for row in rows:
        missing -= _recover_loss(missing, row, plan)
    for row in rows:
        missing -= _reverse_less(missing, row, floors[row.pk], plan)
    if missing:
        seq = max((row.seq for row in rows), default=0) + 1
        plan.new.append(
            SellerTransfer(
                order=order,
                seller_id=seller_id,
                seq=seq,
                amount_minor=missing,
                currency=order.currency,
                next_retry_at=due_from(order),
            )
        )


def _recover_loss(missing: int, row: SellerTransfer, plan: Plan) -> int:
    """The seller kept what was written off: now it is theirs, and no loss of ours."""
    amount = min(missing, row.written_off_minor)
    if amount:
        row.written_off_minor -= amount
        row.offset_minor -= amount
        plan.transfers[row.pk] = row
        plan.recoveries[row.pk] = amount
    return amount


def _reverse_less(missing: int, row: SellerTransfer, floor: int, plan: Plan) -> int:
    amount = max(0, min(missing, row.reversal_target_minor - floor))
    if amount:
        row.reversal_target_minor -= amount
        plan.transfers[row.pk] = row
        if row.completed_at is not None and row.outstanding_minor == 0 and row.status in _OWING:
            plan.to_complete.append(row)
    return amount


def _write(plan: Plan, *, cause: Cause, at: datetime) -> None:
    _write_amounts(plan, at=at)
    rest = {"next_retry_at": None, "waiting_for": WaitingFor.NOTHING, "retry_count": 0}
    if plan.to_cancel:
        move(plan.to_cancel, TransferStatus.CANCELLED, cause=cause, at=at, **rest)
        close_review(TRANSFER_FAILED, *plan.to_cancel, note="There is nothing to send any more.")
    if plan.to_complete:
        move(plan.to_complete, TransferStatus.COMPLETED, cause=cause, at=at, **rest)
        close_review(REVERSAL_FAILED, *plan.to_complete, note="There is nothing to reverse any more.")
    if plan.to_reverse:
        due = {**rest, "next_retry_at": Now()}
        move(list(plan.to_reverse.values()), TransferStatus.REVERSAL_PENDING, cause=cause, at=at, **due)
    writes.insert(plan.new)
    write_reduced_emails(plan.reduced)


def _write_amounts(plan: Plan, *, at: datetime) -> None:
    for row in plan.transfers.values():
        row.assert_amounts_add_up()
    for row in plan.transfers.values():
        writes.update(row, **{name: getattr(row, name) for name in _AMOUNTS})
    for row in plan.transfers.values():
        if row.status == TransferStatus.PERMANENTLY_FAILED:
            update_failed_review(row)
    for transfer_id, amount in plan.recoveries.items():
        post_recovered(plan.transfers[transfer_id], amount, at=at)
    for item in plan.set_offs.values():
        writes.update(item, unwound_minor=item.unwound_minor)


def _wake_held(order: Order, rows: Iterable[SellerTransfer]) -> None:
    """Make due now what waited for a dispute or a doubt, once the order is not on hold any more."""
    ids = [row.pk for row in rows if row.order_id == order.pk and row.waiting_for in _ON_HOLD]
    if ids and not is_on_hold(order.pk):
        waiting = SellerTransfer.objects.unsent().filter(pk__in=ids, waiting_for__in=_ON_HOLD)
        waiting.update(next_retry_at=Now(), waiting_for=WaitingFor.NOTHING)
