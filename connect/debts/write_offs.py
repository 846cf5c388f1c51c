"""A debt that no seller will pay: finance writes it off as our loss, and Veza stops recovering it."""

from uuid import UUID

from django.utils import timezone

from connect.models import LOCKED_TRANSFER, SellerTransfer
from connect.postings import post_written_off
from connect.reversals.reversal_outcomes import resume
from connect.reversals.reversal_refresh import decide_unanswered, find_unanswered
from connect.states import ReversalStatus
from connect.worker.retry_policy import REVERSAL_FAILED, update_fields
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand, open_review

WRITTEN_OFF = "debt_written_off"


class NothingToWriteOff(NotAllowed):
    code = "nothing_to_write_off"


def may_be_written_off(row: SellerTransfer) -> bool:
    """Whether part of it is a debt without a reversal under way at Stripe. An unanswered attempt that failed is read
    there first.
    """
    is_debt = SellerTransfer.objects.debts_of(row.seller_id, row.currency).filter(pk=row.pk).exists()
    return is_debt and (find_unanswered(row) is not None or not _has_attempt(row))


def write_off(*, transfer_id: UUID, cause: Cause) -> int:
    """Book what a seller still owes of one transfer as our loss: neither workers nor later sales recover it.

    It counts as recovered without a reversal. Its review item names who decided it and why. If the last attempt to
    reverse it was never answered, the transfer is read at Stripe first. Returns the minor units written off, in the
    transfer's currency; 0 when Stripe had reversed it after all. Raises OwnAccount, NothingToWriteOff,
    TransferNotReadable.
    """
    before = SellerTransfer.objects.get(pk=transfer_id)
    refuse_own(before.seller_id, cause)
    decide_unanswered(transfer_id, cause=cause)
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    if transfer.reversed_minor > before.reversed_minor and not transfer.outstanding_minor:
        return 0
    return _write_off(transfer_id, cause=cause)


@writes.atomic()
def _write_off(transfer_id: UUID, *, cause: Cause) -> int:
    transfer, at = LOCKED_TRANSFER.get(transfer_id), timezone.now()
    if not may_be_written_off(transfer) or _has_attempt(transfer):
        raise NothingToWriteOff("The seller owes nothing of this transfer, or a reversal is under way at Stripe.")
    amount, item = transfer.outstanding_minor, _review_of(transfer)
    assert amount > 0, "a debt is more than nothing"
    update_fields(
        transfer,
        reversal_target_minor=transfer.reversal_target_minor - amount,
        offset_minor=transfer.offset_minor + amount,
        written_off_minor=transfer.written_off_minor + amount,
    )
    assert transfer.outstanding_minor == 0, "after a write-off nothing is outstanding"
    post_written_off(transfer, review_item_id=item.pk, amount_minor=amount, cause=cause, at=at)
    close_review_by_hand(case_id=item.pk, cause=cause)
    resume(transfer, cause=cause, at=at)
    return amount


def _has_attempt(transfer: SellerTransfer) -> bool:
    return transfer.reversals.filter(status=ReversalStatus.SENDING).exists()


def _review_of(transfer: SellerTransfer) -> ReviewItem:
    """The open review item about the debt; a debt that only waits for a balance gets one of its own."""
    items = ReviewItem.objects.filter(subject_id=transfer.pk, closed_at__isnull=True)
    if item := items.filter(kind=REVERSAL_FAILED).first():
        return item
    open_review(
        WRITTEN_OFF,
        transfer,
        why=f"The seller owes {transfer.outstanding()}, and finance stopped waiting for it.",
        what_to_do="Nothing: it is written off.",
        amount_minor=transfer.outstanding_minor,
        currency=transfer.currency,
    )
    return items.get(kind=WRITTEN_OFF)
