"""Our losses: written off by finance with a reason, and posted back as far as the money is recovered later.

Whatever is recovered later reduces the loss first.
"""

from datetime import datetime
from uuid import UUID

from django.db import connection

from payments.ledger.chart_of_accounts import DISPUTE_LOSS
from payments.ledger.postings import Line, Reference, post
from payments.models import Payment, Posting, WriteOff
from veza.core import writes
from veza.core.causes import Cause
from veza.core.models import KeyedRow, correlation_id_of


def write_off_loss(
    subject: KeyedRow,
    *,
    account: str,
    amount_minor: int,
    currency: str,
    payment: Payment,
    review_item_id: UUID,
    cause: Cause,
    at: datetime,
) -> WriteOff:
    """Take what `account` owes for `subject` as our loss, in the caller's transaction; `cause` names who decided it."""
    assert connection.in_atomic_block, "a loss is posted in the commit that decides it"
    assert amount_minor > 0, "a loss is a positive amount"
    write_off = WriteOff(
        payment=payment,
        correlation_id=correlation_id_of(subject) or payment.correlation_id,
        subject=subject._meta.label_lower,
        subject_id=subject.pk,
        account_id=account,
        amount_minor=amount_minor,
        currency=currency,
        review_item_id=review_item_id,
        decided_by=cause.actor,
        reason=cause.reason,
    )
    writes.insert([write_off])
    _post(write_off, Line(DISPUTE_LOSS, account, amount_minor, account), number=0, at=at)
    return write_off


def recover_losses(subject: KeyedRow, *, up_to_minor: int, at: datetime) -> int:
    """Post back what of the losses about `subject` has come back, the newest first, in the caller's transaction.

    The caller has locked the transfer, or the payment of the refund or dispute, that it is about. Returns how much of
    `up_to_minor` was recovered, in minor units of the losses' currency.
    """
    assert connection.in_atomic_block, "a recovery is posted in the commit of the money that came back"
    assert up_to_minor >= 0, "a recovery is a positive amount"
    rest_minor = up_to_minor
    for write_off in WriteOff.objects.filter(subject_id=subject.pk).order_by("-pk"):
        amount_minor = min(rest_minor, write_off.lost_minor)
        if not amount_minor:
            continue
        rest_minor -= amount_minor
        recovered_minor = write_off.recovered_minor + amount_minor
        writes.update(write_off, recovered_minor=recovered_minor, recoveries=write_off.recoveries + 1)
        line = Line(write_off.account_id, DISPUTE_LOSS, amount_minor, write_off.account_id)
        _post(write_off, line, number=write_off.recoveries, at=at)
    return up_to_minor - rest_minor


def lost_minor(subject: KeyedRow) -> int:
    """What of `subject` is our loss now, in minor units of its currency."""
    return sum(write_off.lost_minor for write_off in WriteOff.objects.filter(subject_id=subject.pk))


def _post(write_off: WriteOff, line: Line, *, number: int, at: datetime) -> None:
    post(
        Reference(Posting.Kind.WRITE_OFF, write_off.pk, number),
        [line],
        payment=write_off.payment,
        currency=write_off.currency,
        correlation_id=write_off.correlation_id,
        at=at,
    )
