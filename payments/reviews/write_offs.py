"""What went out beyond what anybody had left, and nobody will bring back: a person takes it as our loss.

Money that was never there is not found by waiting. It stays in the books as `recoverable` until somebody recovers it
or says, with a reason, that it is lost.
"""

from django.db import transaction
from django.utils import timezone

from payments import review_items
from payments.disputes import dispute_postings
from payments.ledger.chart_of_accounts import RECOVERABLE
from payments.ledger.losses import write_off_loss
from payments.ledger.postings import balances
from payments.models import Dispute, Payment, Refund
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand


class NothingToWriteOff(NotAllowed):
    code = "nothing_to_write_off"


def open_shortfall(row: Refund | Dispute) -> ReviewItem | None:
    """The open case about what a refund or a lost dispute took beyond what was left. None while a bank may still
    give it back.
    """
    if isinstance(row, Dispute) and row.funds_location != Dispute.FundsLocation.BANK:
        return None
    kind = dispute_postings.EXCEEDS if isinstance(row, Dispute) else review_items.EXCEEDS
    return ReviewItem.objects.filter(kind=kind, subject_id=row.pk, closed_at__isnull=True).first()


@transaction.atomic(durable=True)
def write_off_shortfall(row: Refund | Dispute, *, cause: Cause) -> int:
    """Take what cannot be recovered of a refund or dispute as our loss and close its case, with the cause's reason.

    Returns the minor units written off, in the row's currency. Raises NothingToWriteOff.
    """
    payment = Payment.objects.locked().get(pk=row.payment_id)
    row = type(row).objects.locked().get(pk=row.pk)
    case = open_shortfall(row)
    amount = shortfall_minor(row)
    if case is None or not amount:
        raise NothingToWriteOff("Nothing of this is to be recovered any more.")
    write_off_loss(
        row,
        account=RECOVERABLE,
        amount_minor=amount,
        currency=row.currency,
        payment=payment,
        review_item_id=case.pk,
        cause=cause,
        at=timezone.now(),
    )
    close_review_by_hand(case_id=case.pk, cause=cause)
    return amount


def shortfall_minor(row: Refund | Dispute) -> int:
    """What a refund or dispute took beyond what anybody had left, as far as it is neither recovered nor written off."""
    held = balances(payment=row.payment_id, currency=row.currency)
    own: int = row.allocation.get(RECOVERABLE, 0)
    return max(0, min(own, -held.get((RECOVERABLE, row.currency), 0)))
