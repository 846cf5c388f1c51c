"""The rows a settlement may change, all locked: an order's transfers and the debts they were offset against."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from connect.models import SellerTransfer, SetOff, TransferReversal
from connect.states import ReversalStatus
from marketplace.models import Order
from veza.core import reads

_IN_FORCE = Q(unwound_minor__lt=F("amount_minor"))


def _under_way(reversals: "QuerySet[TransferReversal]") -> "QuerySet[TransferReversal, tuple[UUID, int]]":
    """The transfer of each reversal that was not answered yet, and how much it takes."""
    sending = reversals.filter(status=ReversalStatus.SENDING)
    return sending.values_list("transfer_id", F("to_minor") - F("from_minor"))


_DEBTS_OF = reads.Read(
    lambda order_id: SetOff.objects.filter(_IN_FORCE, transfer__order=order_id).values_list("debt_id"), UUID
)
_LOCKED_TRANSFERS_OF = reads.Read(lambda order_id: SellerTransfer.objects.locked().filter(order=order_id), UUID)
_UNDER_WAY_OF = reads.Read(lambda order_id: _under_way(TransferReversal.objects.filter(transfer__order=order_id)), UUID)


@dataclass
class LockedTransfers:
    """`rows` by id, the set-offs in force of the order's own transfers, and by id below what no target may fall."""

    rows: dict[UUID, SellerTransfer]
    set_offs: list[SetOff]
    floors: dict[UUID, int]

    def of(self, order: Order, seller_id: UUID) -> list[SellerTransfer]:
        """One seller's transfers of `order`, the oldest first."""
        own = [row for row in self.rows.values() if row.order_id == order.pk and row.seller_id == seller_id]
        return sorted(own, key=lambda row: row.seq)


class _MissedDebt(Exception):
    """A claim offset another debt while we waited for its locks: that row has to be locked too."""


def lock_transfers(order: Order) -> LockedTransfers:
    """Lock an order's transfers and, of other orders, the debts they were offset against: all in order of id.

    Which debts those are is only certain under the lock; the savepoint releases a selection that turns out too small.
    """
    assert connection.in_atomic_block, "transfers are locked in the transaction that settles them"
    transfers = None
    while transfers is None:
        debts = {debt_id for (debt_id,) in _DEBTS_OF(order.pk)}
        try:
            with transaction.atomic():
                transfers = _lock(order, debts)
        except _MissedDebt:
            continue
    return transfers


def _lock(order: Order, debts: set[UUID]) -> LockedTransfers:
    under_way: Iterable[tuple[UUID, int]]
    if debts:
        locked = SellerTransfer.objects.locked().filter(Q(order=order.pk) | Q(pk__in=debts))
        rows = {row.pk: row for row in locked}
        under_way = _under_way(TransferReversal.objects.filter(transfer__in=rows))
    else:
        transfers, under_way = reads.together(_LOCKED_TRANSFERS_OF.on(order.pk), _UNDER_WAY_OF.on(order.pk))
        rows = {row.pk: row for row in transfers}
    own = [row for row in rows.values() if row.order_id == order.pk]
    assert all(row.currency == order.currency for row in own), "a seller is paid in the order's currency"
    set_offs: list[SetOff] = []
    if any(row.net_withheld_minor for row in own):
        set_offs = list(SetOff.objects.filter(_IN_FORCE, transfer__in=own).order_by("-pk"))
    if {item.debt_id for item in set_offs} - rows.keys():
        raise _MissedDebt
    return LockedTransfers(rows, set_offs, _floors(rows.values(), under_way))


def _floors(transfers: Iterable[SellerTransfer], under_way: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    """Below what no target may fall: the amount reversed, and the amount of the reversal under way."""
    floors = {row.pk: row.reversed_minor for row in transfers}
    for transfer_id, amount in under_way:
        assert amount > 0, "an intent reverses something"
        floors[transfer_id] += amount
    return floors
