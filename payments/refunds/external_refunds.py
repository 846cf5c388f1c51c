"""Refunds made at the provider's dashboard of which no webhook told us: a person names one, and it is taken in."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from payments.hyperswitch import client
from payments.models import Payment, Refund
from payments.refunds.refund_updates import apply_refund
from payments.review_items import EXTERNAL_REFUND
from veza.core import calls
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import row_id
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted, NotSent, Refused, Unknown
from veza.core.reviews import close_review_by_hand


class ExternalRefundNotFound(NotAllowed):
    code = "refund_unknown_there"


class NoRefundToConfirm(NotAllowed):
    code = "nothing_to_dismiss"


def import_external_refund(*, payment_id: UUID, hyperswitch_refund_id: str, cause: Cause) -> str:
    """Read a refund at the provider and book it as its webhook would have been; returns what came of it.

    Raises RefundUnknownThere when the provider does not show it, or shows it for another payment.
    """
    payment = Payment.objects.get(pk=payment_id)
    outcome = client.read_refund(hyperswitch_refund_id, force_sync=True)
    calls.record(outcome, subject=payment, our_id=hyperswitch_refund_id)
    match outcome:
        case Accepted(value=snapshot) if row_id("pay", snapshot.payment_id) == payment.pk:
            with transaction.atomic(durable=True):
                return apply_refund(snapshot, cause=cause, at=timezone.now()).text
        case Accepted():
            raise ExternalRefundNotFound("That refund belongs to another payment.")
        case Refused() | NotSent() | Unknown():
            raise ExternalRefundNotFound("Hyperswitch does not show a refund by that id now.")


def mark_refund_expected(*, refund_id: UUID, cause: Cause) -> None:
    """Say that a refund made at the dashboard was meant; the books follow it already. Raises NothingToDismiss."""
    refund = Refund.objects.get(pk=refund_id)
    case = ReviewItem.objects.filter(kind=EXTERNAL_REFUND, subject_id=refund.pk, closed_at__isnull=True).first()
    if case is None:
        raise NoRefundToConfirm("No case waits about this refund.")
    close_review_by_hand(case_id=case.pk, cause=cause)
