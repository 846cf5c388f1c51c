"""Refunds and disputes in another currency than their payment holds: finance enters the amount in the payment's.

Until then they are booked in their own currency, no seller's share carries them, and the payment is in doubt.
"""

from datetime import datetime
from typing import TypeVar

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from payments.disputes.dispute_postings import book_disputes
from payments.emptied_payments import follow_emptied
from payments.ledger.losses import lost_minor, recover_losses
from payments.models import Dispute, Payment, Refund
from payments.ports import purchase_of
from payments.refunds.refund_postings import post_converted
from payments.refunds.refund_updates import follow_success
from payments.review_items import AMOUNT_IN_DOUBT, open_review_of_doubt
from payments.states import RefundStatus
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.money import MAX_MINOR

Row = TypeVar("Row", Refund, Dispute)


class AmountNotInDoubt(NotAllowed):
    code = "amount_not_in_doubt"
    http_status = 409


def is_convertible(row: Refund | Dispute) -> bool:
    """Whether a refund or dispute takes money in a currency that its payment never received, or was converted."""
    if isinstance(row, Refund):
        takes_money = row.status == RefundStatus.SUCCEEDED
    else:
        takes_money = row.funds_location != Dispute.FundsLocation.NOWHERE
    return takes_money and (row.converted_minor is not None or not row.payment.has_received(row.currency))


def open_missing_reviews() -> None:
    """Open the review item of each amount in doubt that has none: from before Veza knew doubts, or closed by hand."""
    for refund in _unreviewed(Refund.objects.in_doubt()):
        open_review_of_doubt(refund)
    for dispute in _unreviewed(Dispute.objects.in_doubt()):
        open_review_of_doubt(dispute)


def _unreviewed(rows: QuerySet[Row]) -> QuerySet[Row]:
    items = ReviewItem.objects.filter(kind=AMOUNT_IN_DOUBT, subject_id=OuterRef("pk"), closed_at__isnull=True)
    return rows.exclude(Exists(items)).select_related("payment")


@writes.atomic()
def enter_converted_amount(row: Refund | Dispute, *, amount_minor: int, cause: Cause) -> None:
    """Book a refund or dispute of another currency with its amount in the payment's, with everything that follows.

    `amount_minor` is in the currency that the payment holds. Entering another amount replaces the first. Raises
    OwnAccount, AmountNotInDoubt.
    """
    assert 0 < amount_minor <= MAX_MINOR, "what a refund or dispute takes is a positive amount"
    payment = Payment.objects.locked().get(pk=row.payment_id)
    refuse_own(payment.payer_id, cause)
    current = type(row).objects.get(pk=row.pk)
    current.payment = payment
    if not is_convertible(current):
        raise AmountNotInDoubt("This takes nothing in another currency than its payment holds.")
    at = timezone.now()
    if isinstance(current, Refund):
        _convert_refund(current, amount_minor, cause=cause, at=at)
    else:
        _convert_dispute(current, amount_minor, cause=cause, at=at)


def _convert_refund(refund: Refund, amount_minor: int, *, cause: Cause, at: datetime) -> None:
    post_converted(refund, converted_minor=amount_minor, at=at)
    follow_success(refund, cause=cause, at=at)


def _convert_dispute(dispute: Dispute, amount_minor: int, *, cause: Cause, at: datetime) -> None:
    # What was written off was in the currency in which it is posted no more.
    recover_losses(dispute, up_to_minor=lost_minor(dispute), at=at)
    writes.update(dispute, converted_minor=amount_minor)
    book_disputes(dispute.payment, at=at)
    follow_emptied(dispute.payment, cause=cause, at=at)
    dispute.refresh_from_db(fields=["converted_minor", "allocation", "allocation_currency", "posting_batches"])
    purchase_of(dispute.payment).dispute_changed(dispute, cause=cause, at=at)
