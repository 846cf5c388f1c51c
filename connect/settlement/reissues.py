"""Paying a seller again what was reversed in Stripe's dashboard by mistake, or after a later transfer had paid it.

Veza never does so on its own: support finds out first who made the reversal, and why.
"""

from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from connect.models import SellerTransfer, SetOff
from connect.reversals.reversal_outcomes import EXTERNAL_REVERSAL
from connect.settlement.locked_transfers import LockedTransfers, lock_transfers
from connect.settlement.reconcile_seller import Plan, settle_plan, unwind
from marketplace.models import Order
from payments.models import Payment
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand


class NothingToReissue(NotAllowed):
    code = "nothing_to_pay_again"


def reissue_transfer(*, transfer_id: UUID, cause: Cause) -> int:
    """Pay the seller again what was reversed in Stripe's dashboard and neither a refund nor a dispute asked for.

    It lowers what they owe for the order first; the rest is a new transfer. Where it was reversed after a later
    transfer had paid the same debt, that one's order pays the seller again. Returns the minor units, in the transfer's
    currency. Raises OwnAccount, NothingToReissue.
    """
    refuse_own(SellerTransfer.objects.get(pk=transfer_id).seller_id, cause)
    amount = _reissue_mistake(transfer_id, cause=cause)
    # Each in a commit of its own: it locks another order. Stopping loses nothing, the rest can be reissued later.
    for set_off_id in list(_set_offs_in_force(transfer_id).order_by("-pk").values_list("pk", flat=True)):
        amount += _reissue_paid_twice(set_off_id, cause=cause)
    if not amount:
        raise NothingToReissue("Nothing of this transfer was reversed in Stripe's dashboard by mistake.")
    _close_review(transfer_id, cause=cause)
    return amount


@writes.atomic()
def _reissue_mistake(transfer_id: UUID, *, cause: Cause) -> int:
    """Plan again what was reversed of a share that the seller keeps. Returns the minor units."""
    order_id = SellerTransfer.objects.values_list("order_id", flat=True).get(pk=transfer_id)
    order, current = _lock(order_id)
    transfer = current.rows[transfer_id]
    amount = max(0, transfer.reissuable_minor)
    if amount:
        assert amount <= transfer.reversed_minor, "never more reissued than was reversed"
        transfer.external_reversed_minor -= amount
        plan = Plan(transfers={transfer_id: transfer})
        settle_plan(order, current, plan, cause=cause, at=timezone.now())
    return amount


@writes.atomic()
def _reissue_paid_twice(set_off_id: UUID, *, cause: Cause) -> int:
    """Undo a set-off as far as its debt was reversed as well: the reversal pays the debt. Returns the minor units."""
    order, current = _lock(SetOff.objects.values_list("transfer__order", flat=True).get(pk=set_off_id))
    item = next((one for one in current.set_offs if one.pk == set_off_id), None)
    if item is None:
        return 0
    debt, plan = current.rows[item.debt_id], Plan()
    amount = min(item.net_minor, debt.paid_twice_minor)
    if amount:
        unwind(amount, item, current.rows[item.transfer_id], debt, plan)
        settle_plan(order, current, plan, cause=cause, at=timezone.now())
    return amount


def _set_offs_in_force(debt_id: UUID) -> QuerySet[SetOff]:
    return SetOff.objects.filter(debt=debt_id, unwound_minor__lt=F("amount_minor"))


def _lock(order_id: UUID) -> tuple[Order, LockedTransfers]:
    """Lock as for any other event about the order's money: payment, order, transfers."""
    list(Payment.objects.of(Payment.Purpose.ORDER, order_id).locked())
    order = Order.objects.locked().get(pk=order_id)
    return order, lock_transfers(order)


@writes.atomic()
def _close_review(transfer_id: UUID, *, cause: Cause) -> None:
    for item in ReviewItem.objects.filter(kind=EXTERNAL_REVERSAL, subject_id=transfer_id, closed_at__isnull=True):
        close_review_by_hand(case_id=item.pk, cause=cause)
