"""Writing off a shortfall: what was refunded or lost beyond a payment, and cannot be recovered, becomes our loss.

It stays in the books as `recoverable` until it is recovered, or finance writes it off with a reason. What a bank
returns later of what was written off is posted back by the update that reports it.
"""

from django.utils import timezone

from payments.ledger.chart_of_accounts import RECOVERABLE
from payments.ledger.losses import lost_minor, write_off_loss
from payments.ledger.postings import balances
from payments.models import Dispute, Payment, Refund
from payments.review_items import DISPUTE_EXCESS, REFUND_EXCESS
from veza.core import writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand


class NothingToWriteOff(NotAllowed):
    code = "nothing_to_write_off"


def open_shortfall(row: Refund | Dispute) -> ReviewItem | None:
    """The open review item about what a refund or a lost dispute took beyond its payment. None while a bank may still
    return it, or its amount is in doubt.
    """
    if type(row).objects.in_doubt().filter(pk=row.pk).exists():
        return None
    if isinstance(row, Dispute) and row.funds_location != Dispute.FundsLocation.BANK:
        return None
    kind = DISPUTE_EXCESS if isinstance(row, Dispute) else REFUND_EXCESS
    return ReviewItem.objects.filter(kind=kind, subject_id=row.pk, closed_at__isnull=True).first()


@writes.atomic()
def write_off_shortfall(row: Refund | Dispute, *, cause: Cause) -> int:
    """Book what cannot be recovered of a refund or dispute as our loss and close its review item.

    Returns the minor units written off, in the currency in which the row is booked. Raises OwnAccount,
    NothingToWriteOff.
    """
    payment = Payment.objects.locked().get(pk=row.payment_id)
    refuse_own(payment.payer_id, cause)
    row = type(row).objects.get(pk=row.pk)
    item = open_shortfall(row)
    amount = shortfall_minor(row)
    if item is None or not amount:
        raise NothingToWriteOff("Nothing of this can be recovered any more.")
    assert 0 < amount <= row.booked_minor, "no more is written off than was refunded or lost"
    write_off_loss(
        row,
        account=RECOVERABLE,
        amount_minor=amount,
        currency=row.booked_currency,
        payment=payment,
        review_item_id=item.pk,
        cause=cause,
        at=timezone.now(),
    )
    close_review_by_hand(case_id=item.pk, cause=cause)
    return amount


def shortfall_minor(row: Refund | Dispute) -> int:
    """What a refund or dispute took beyond its payment, as far as it is neither recovered nor written off."""
    currency = row.booked_currency
    recoverable_minor = -balances(payment=row.payment_id, currency=currency).get((RECOVERABLE, currency), 0)
    own_minor: int = row.allocation.get(RECOVERABLE, 0) - lost_minor(row)
    return max(0, min(own_minor, recoverable_minor))
