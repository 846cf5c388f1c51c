"""Refunds made in Hyperswitch's dashboard that no webhook reported: support enters the id, and Veza imports it."""

from uuid import UUID

from django.utils import timezone

from payments.hyperswitch import client
from payments.models import Payment, Refund
from payments.refunds.refund_updates import apply_refund
from payments.review_items import EXTERNAL_REFUND, PAYMENT_VOIDED, REFUND_DIFFERS
from veza.core import calls, writes
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
    """Read a refund at Hyperswitch and apply it as its webhook would be; returns the result's text.

    Raises ExternalRefundNotFound when Hyperswitch does not return it, or returns it for another payment.
    """
    payment = Payment.objects.get(pk=payment_id)
    outcome = client.read_refund(hyperswitch_refund_id, force_sync=True)
    calls.record(outcome, subject=payment, our_id=hyperswitch_refund_id)
    match outcome:
        case Accepted(value=snapshot) if row_id("pay", snapshot.payment_id) == payment.pk:
            with writes.atomic():
                return apply_refund(snapshot, cause=cause, at=timezone.now()).text
        case Accepted():
            raise ExternalRefundNotFound("That refund belongs to another payment.")
        case Refused() | NotSent() | Unknown():
            raise ExternalRefundNotFound("Hyperswitch does not return a refund with that id now.")


def mark_refund_expected(*, refund_id: UUID, cause: Cause) -> None:
    """Confirm that a refund is right as it is: made externally, a void, or of another amount.

    The books follow it already. Raises NoRefundToConfirm.
    """
    items = open_reviews_to_confirm(Refund.objects.get(pk=refund_id))
    if not items:
        raise NoRefundToConfirm("No review item about this refund is open.")
    for item in items:
        close_review_by_hand(case_id=item.pk, cause=cause)


def open_reviews_to_confirm(refund: Refund) -> list[ReviewItem]:
    """The open review items of a refund that end when it is marked as expected."""
    kinds = (EXTERNAL_REFUND, PAYMENT_VOIDED, REFUND_DIFFERS)
    return list(ReviewItem.objects.filter(kind__in=kinds, subject_id=refund.pk, closed_at__isnull=True))
