"""Wanted against have: after every refund or dispute, what each seller was sent is brought in line with their share.

Planned in memory from locked rows first, written afterwards in as many statements as there are kinds of
change.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerTransfer, SetOff, TransferReversal, WaitingFor
from connect.reversals.external_reversals import EXTERNAL_REVERSAL
from connect.states import ReversalStatus, TransferStatus
from connect.worker.waiting import REVERSAL_FAILED, TRANSFER_FAILED, update_failed_review
from marketplace.allocation import is_disputed, seller_shares
from marketplace.models import Order
from payments.models import Payment
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.reviews import close_review, close_review_by_hand
from veza.core.states import move

# Nothing left to take back from these makes them completed again.
_OWING = (TransferStatus.PERMANENTLY_FAILED, TransferStatus.REVERSAL_PENDING)
_WRITTEN = ["amount_minor", "reversal_target_minor", "external_reversed_minor", "covered_minor", "undone_minor"]


class NothingToReissue(NotAllowed):
    code = "nothing_to_pay_again"


@dataclass
class Standing:
    """An order's transfers and the debts they were set off against, all locked."""

    rows: dict[UUID, SellerTransfer]
    set_offs: list[SetOff]
    floors: dict[UUID, int]

    def of(self, order: Order, seller_id: UUID) -> list[SellerTransfer]:
        """One seller's transfers of `order`, the oldest first."""
        own = [row for row in self.rows.values() if row.order_id == order.pk and row.seller_id == seller_id]
        return sorted(own, key=lambda row: row.seq)


@dataclass
class Plan:
    """What is going to be written. `changed` holds rows whose amounts are new."""

    changed: dict[UUID, SellerTransfer] = field(default_factory=dict)
    undone: dict[UUID, SetOff] = field(default_factory=dict)
    to_cancel: list[SellerTransfer] = field(default_factory=list)
    to_reverse: dict[UUID, SellerTransfer] = field(default_factory=dict)
    to_complete: list[SellerTransfer] = field(default_factory=list)
    new: list[SellerTransfer] = field(default_factory=list)


def settle_order(order: Order, /, *, cause: Cause, at: datetime) -> None:
    """Plan payments and reversals until every seller of `order` ends with exactly their share.

    Calls nobody: the workers find the rows. An order that was never fulfilled pays no seller.
    """
    if order.completed_at is not None:
        _settle(order, _locked(order), Plan(), cause=cause, at=at)


@transaction.atomic(durable=True)
def reissue_transfer(*, transfer_id: UUID, cause: Cause) -> int:
    """Pay the seller what was reversed in Stripe's dashboard by mistake: it counts as taken back no more.

    It lowers what they owe for the order first; the rest is a new transfer. Returns the minor units, in the transfer's
    currency. Raises NothingToPayAgain.
    """
    order_id = SellerTransfer.objects.values_list("order_id", flat=True).get(pk=transfer_id)
    # Held like by every other fact about the order's money, and up the house.
    list(Payment.objects.of(Payment.Purpose.ORDER, order_id).locked())
    order = Order.objects.locked().get(pk=order_id)
    standing = _locked(order)
    transfer = standing.rows[transfer_id]
    amount = transfer.reissuable_minor
    if amount <= 0:
        raise NothingToReissue("Nothing of this transfer was reversed in Stripe's dashboard unasked.")
    transfer.external_reversed_minor -= amount
    _settle(order, standing, Plan(changed={transfer_id: transfer}), cause=cause, at=timezone.now())
    for case in ReviewItem.objects.filter(kind=EXTERNAL_REVERSAL, subject_id=transfer_id, closed_at__isnull=True):
        close_review_by_hand(case_id=case.pk, cause=cause)
    return amount


def _settle(order: Order, standing: Standing, plan: Plan, *, cause: Cause, at: datetime) -> None:
    for seller_id, wanted in seller_shares(order.pk).items():
        rows = standing.of(order, seller_id)
        surplus = sum(net_paid(row) for row in rows) - wanted
        if surplus > 0:
            _take_away(surplus, rows, standing, plan)
        elif surplus < 0:
            _give_more(-surplus, rows, standing.floors, plan, order=order, seller_id=seller_id)
    _write(plan, cause=cause, at=at)
    _wake_disputed(order, standing.rows.values())


def net_paid(row: SellerTransfer) -> int:
    """What the seller keeps of a row when everything planned for it has happened.

    What was set off counts, since it paid a debt; so does what somebody took back in Stripe's dashboard, which
    is not undone by paying it again. A row that was given up before it was sent still counts: a person may send
    it again.
    """
    if row.status == TransferStatus.CANCELLED:
        return 0
    return (
        row.amount_minor
        - row.reversal_target_minor
        + row.external_reversed_minor
        - row.covered_minor
        - row.undone_minor
    )


_NOT_UNDONE = Q(undone_minor__lt=F("amount_minor"))


class _Overtaken(Exception):
    """A claim set something off while we waited for its locks: another row has to be locked too."""


def _locked(order: Order) -> Standing:
    """Lock an order's transfers and, of other orders, the debts they were set off against: all in order of id.

    Which debts those are is only certain under the lock; the savepoint lets go of what turns out too little.
    """
    standing = None
    while standing is None:
        debts = set(SetOff.objects.filter(_NOT_UNDONE, transfer__order=order.pk).values_list("debt_id", flat=True))
        try:
            with transaction.atomic():
                standing = _locked_with(order, debts)
        except _Overtaken:
            continue
    return standing


def _locked_with(order: Order, debts: set[UUID]) -> Standing:
    rows = {row.pk: row for row in SellerTransfer.objects.locked().filter(Q(order=order.pk) | Q(pk__in=debts))}
    own = [row for row in rows.values() if row.order_id == order.pk]
    set_offs: list[SetOff] = []
    if any(row.kept_back_minor for row in own):
        set_offs = list(SetOff.objects.filter(_NOT_UNDONE, transfer__in=own).order_by("-pk"))
    if {one.debt_id for one in set_offs} - rows.keys():
        raise _Overtaken
    return Standing(rows, set_offs, _floors(rows.values()))


def _floors(transfers: Iterable[SellerTransfer]) -> dict[UUID, int]:
    """Below what no target may fall: what is back already, and what is being asked back right now."""
    floors = {row.pk: row.reversed_minor for row in transfers}
    params = TransferReversal.objects.filter(transfer__in=floors, status=ReversalStatus.SENDING)
    for transfer_id, asked_minor in params.values_list("transfer_id", F("to_minor") - F("from_minor")):
        floors[transfer_id] += asked_minor
    return floors


def _take_away(surplus: int, rows: list[SellerTransfer], standing: Standing, plan: Plan) -> None:
    """Count what was taken back unasked, cancel or shrink what was never sent, then take back, the newest first.

    What Stripe was not sent because it paid a debt is owed again: the set-off is undone.
    """
    newest_first = list(reversed(rows))
    for row in newest_first:
        counted = min(surplus, row.external_reversed_minor, max(0, net_paid(row)))
        surplus -= counted
        row.external_reversed_minor -= counted
        if counted:
            plan.changed[row.pk] = row
    for row in (row for row in newest_first if not row.may_be_at_stripe()):
        cut = min(surplus, net_paid(row), row.sent_minor)
        surplus -= cut
        if cut and cut == row.amount_minor:
            plan.to_cancel.append(row)
        elif cut:
            row.amount_minor -= cut
            plan.changed[row.pk] = row
    for row in (row for row in newest_first if row.may_be_at_stripe()):
        more = min(surplus, row.reversible_minor)
        surplus -= more
        row.reversal_target_minor += more
        if more:
            plan.changed[row.pk] = row
            if row.status == TransferStatus.COMPLETED:
                plan.to_reverse[row.pk] = row
    for row in newest_first:
        surplus -= _undo_set_off(min(surplus, row.kept_back_minor), row, standing, plan)


def _undo_set_off(amount_minor: int, row: SellerTransfer, standing: Standing, plan: Plan) -> int:
    """Owe again what `row` had paid of debts, the newest set-off first. Returns `amount_minor`."""
    left = amount_minor
    for one in (one for one in standing.set_offs if one.transfer_id == row.pk):
        undone = min(left, one.standing_minor)
        if not undone:
            continue
        left -= undone
        debt = standing.rows[one.debt_id]
        one.undone_minor += undone
        row.undone_minor += undone
        # What somebody took back of the debt in Stripe's dashboard meanwhile pays it: it is not asked for twice.
        counted = min(undone, debt.external_reversed_minor)
        debt.covered_minor -= undone
        debt.external_reversed_minor -= counted
        debt.reversal_target_minor += undone - counted
        plan.undone[one.pk] = one
        plan.changed |= {row.pk: row, debt.pk: debt}
        if debt.status == TransferStatus.COMPLETED and debt.owed_minor:
            plan.to_reverse[debt.pk] = debt
    assert left == 0, "what was set off is the sum of its set-offs"
    if amount_minor and not row.may_be_at_stripe() and net_paid(row) == 0:
        plan.to_cancel.append(row)
    return amount_minor


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
        less = min(missing, row.reversal_target_minor - floors[row.pk])
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
        SellerTransfer.objects.bulk_update(plan.changed.values(), _WRITTEN)
    for row in plan.changed.values():
        if row.status == TransferStatus.PERMANENTLY_FAILED:
            update_failed_review(row)
    if plan.undone:
        SetOff.objects.bulk_update(plan.undone.values(), ["undone_minor"])
    nothing = {"next_retry_at": None, "waiting_for": WaitingFor.NOTHING, "retry_count": 0}
    if plan.to_cancel:
        move(plan.to_cancel, TransferStatus.CANCELLED, cause=cause, at=at, **nothing)
        close_review(TRANSFER_FAILED, *plan.to_cancel, note="There is nothing to send any more.")
    if plan.to_complete:
        move(plan.to_complete, TransferStatus.COMPLETED, cause=cause, at=at, **nothing)
        close_review(REVERSAL_FAILED, *plan.to_complete, note="There is nothing to take back any more.")
    if plan.to_reverse:
        now = {**nothing, "next_retry_at": Now()}
        move(list(plan.to_reverse.values()), TransferStatus.REVERSAL_PENDING, cause=cause, at=at, **now)
    if plan.new:
        SellerTransfer.objects.bulk_create(plan.new)


def _wake_disputed(order: Order, rows: Iterable[SellerTransfer]) -> None:
    """Send now what waited for a dispute, once no dispute is open any more."""
    waiting = [row.pk for row in rows if row.order_id == order.pk and row.waiting_for == WaitingFor.DISPUTE]
    if waiting and not is_disputed(order.pk):
        still = SellerTransfer.objects.unsent().filter(pk__in=waiting, waiting_for=WaitingFor.DISPUTE)
        still.update(next_retry_at=Now(), waiting_for=WaitingFor.NOTHING)
