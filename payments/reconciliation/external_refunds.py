"""Refunds made at the provider's dashboard of which no webhook told us: a person names one, and it is taken in."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from payments.hyperswitch import client
from payments.inbox.intake import Event
from payments.models import Payment, Refund
from payments.review_items import MADE_THERE
from payments.webhooks import ASKED
from veza.core import calls
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id, row_id
from veza.core.models import OperatorCase
from veza.core.outcomes import Accepted, NotSent, Refused, Unknown
from veza.core.reviews import close_by_hand


class RefundUnknownThere(NotAllowed):
    code = "refund_unknown_there"


class NothingToDismiss(NotAllowed):
    code = "nothing_to_dismiss"


def adopt_refund(*, payment_id: UUID, hyperswitch_refund_id: str, cause: Cause) -> str:
    """Read a refund at the provider and book it as its webhook would have been; returns what came of it.

    Raises RefundUnknownThere when the provider does not show it, or shows it for another payment.
    """
    payment = Payment.objects.get(pk=payment_id)
    outcome = client.read_refund(hyperswitch_refund_id, force_sync=True)
    calls.record(outcome, subject=payment, our_id=hyperswitch_refund_id)
    match outcome:
        case Accepted(value=seen) if row_id("pay", seen.payment_id) == payment.pk:
            event = Event(f"adopt_{new_id().hex}", "refund_read", seen.said, origin="reconcile")
            with transaction.atomic(durable=True):
                return str(ASKED["refund"](event, cause=cause, at=timezone.now()).result)
        case Accepted():
            raise RefundUnknownThere("That refund belongs to another payment.")
        case Refused() | NotSent() | Unknown():
            raise RefundUnknownThere("Hyperswitch does not show a refund by that id now.")


def dismiss_refund(*, refund_id: UUID, cause: Cause) -> None:
    """Say that a refund made at the dashboard was meant; the books follow it already. Raises NothingToDismiss."""
    refund = Refund.objects.get(pk=refund_id)
    case = OperatorCase.objects.filter(kind=MADE_THERE, subject_id=refund.pk, closed_at__isnull=True).first()
    if case is None:
        raise NothingToDismiss("No case waits about this refund.")
    close_by_hand(case_id=case.pk, cause=cause)
