"""A debt that no seller will pay: a person takes it as our loss, and nobody asks for it again."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer
from connect.postings import post_written_off
from connect.reversals.reversal_outcomes import go_on
from connect.states import ReversalStatus
from connect.worker.waiting import REVERSAL_FAILED, change
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand, open_review

WRITTEN_OFF = "debt_written_off"


class NothingToWriteOff(NotAllowed):
    code = "nothing_to_write_off"


def may_be_written_off(row: SellerTransfer) -> bool:
    """Whether the seller owes something of it that nobody is asking Stripe for at the moment."""
    owed = SellerTransfer.objects.owed_by(row.seller_id, row.currency).filter(pk=row.pk)
    return owed.exists() and not row.reversals.filter(status=ReversalStatus.SENDING).exists()


@transaction.atomic(durable=True)
def write_off(*, transfer_id: UUID, cause: Cause) -> int:
    """Take what a seller still owes of one transfer as our loss: the workers and later sales leave it alone.

    It counts as given back, otherwise than through Stripe. Its case says who decided it and why. Returns the minor
    units written off, in the transfer's currency. Raises NothingToWriteOff.
    """
    transfer, at = SellerTransfer.objects.locked().get(pk=transfer_id), timezone.now()
    if not may_be_written_off(transfer):
        raise NothingToWriteOff("Nothing of this transfer is owed, or Stripe is being asked for it right now.")
    amount, case = transfer.owed_minor, _case_of(transfer)
    change(
        transfer,
        reversal_target_minor=transfer.reversal_target_minor - amount,
        covered_minor=transfer.covered_minor + amount,
        written_off_minor=transfer.written_off_minor + amount,
    )
    post_written_off(transfer, review_item_id=case.pk, amount_minor=amount, cause=cause, at=at)
    close_review_by_hand(case_id=case.pk, cause=cause)
    go_on(transfer, cause=cause, at=at)
    return amount


def _case_of(transfer: SellerTransfer) -> ReviewItem:
    """The case that asks what to do about the debt; a debt that only waits for a balance gets one of its own."""
    cases = ReviewItem.objects.filter(subject_id=transfer.pk, closed_at__isnull=True)
    if found := cases.filter(kind=REVERSAL_FAILED).first():
        return found
    open_review(
        WRITTEN_OFF,
        transfer,
        why=f"The seller owes {transfer.owed()}, and a person gave up waiting for it.",
        what_to_do="Nothing: it is written off.",
        amount_minor=transfer.owed_minor,
        currency=transfer.currency,
    )
    return cases.get(kind=WRITTEN_OFF)
