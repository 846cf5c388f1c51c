"""Support decides about a buyer's application for a refund: it is granted, and the refund opened, or declined."""

from uuid import UUID

from django.utils import timezone

from marketplace.messages.refund_applications import REFUND_APPLICATION_DECLINED
from marketplace.models import RefundApplication
from marketplace.refund_applications import close_reviews_of_application, lock_application, refuse_if_decided
from marketplace.refunds import place_granted_refund, refuse_own_order
from marketplace.states import RefundApplicationStatus
from payments.models import Refund
from payments.refunds.refund_requests import send_now
from veza.core import writes
from veza.core.causes import Cause
from veza.core.email.outbox import write_email
from veza.core.models import User
from veza.core.states import move


def grant_refund(*, application_id: UUID, granted_by: User, cause: Cause) -> Refund:
    """Open the refund of all that is left of an application's items, and send it to Hyperswitch.

    It is checked as it stands now, except for the window: the request was made in it. Granting again returns the first
    refund. Raises ApplicationAlreadyDecided, RefundForbidden, OrderNotRefundable, PaymentMissing, PaymentInDoubt,
    RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    refund = _place(application_id, granted_by, cause=cause)
    if refund.first_sent_at is None:
        send_now(refund.pk, cause=cause)
    return refund


@writes.atomic()
def _place(application_id: UUID, granted_by: User, *, cause: Cause) -> Refund:
    application = _locked(application_id)
    if earlier := Refund.objects.filter(pk=application_id).first():
        return earlier
    refuse_if_decided(application)
    refund = place_granted_refund(application, granted_by=granted_by, cause=cause)
    _decide(application, RefundApplicationStatus.GRANTED, cause=cause)
    return refund


@writes.atomic()
def decline_refund(*, application_id: UUID, declined_by: User, cause: Cause) -> RefundApplication:
    """Decline an application; the buyer is written the cause's reason.

    Raises ApplicationAlreadyDecided, and RefundForbidden for staff who bought or sold in the order.
    """
    application = _locked(application_id)
    refuse_if_decided(application)
    refuse_own_order(declined_by, application.order_id)
    assert cause.reason, "the buyer reads why a refund was declined"
    _decide(application, RefundApplicationStatus.DECLINED, cause=cause)
    write_email(REFUND_APPLICATION_DECLINED, application, to=application.order.buyer_id)
    return application


def _locked(application_id: UUID) -> RefundApplication:
    application = lock_application(application_id)
    assert application is not None, "staff decide about an application that they have before them"
    return application


def _decide(application: RefundApplication, status: RefundApplicationStatus, *, cause: Cause) -> None:
    at = timezone.now()
    fields = {"decided_by": cause.actor, "decision_reason": cause.reason[:500], "decided_at": at}
    move(application, status, cause=cause, at=at, **fields)
    close_reviews_of_application(application, note=f"Support {status} the refund.")
