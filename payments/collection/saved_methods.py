"""Saved payment methods whose mandate has ended: the payer does not want to be charged by them any more.

A mandate has no clock at Hyperswitch, and its end may reach us before the payment that saved the method. So the end is
remembered: a method counts as saved again only by a payment that was opened afterwards, with the payer's new consent.
"""

from datetime import datetime

from django.db import connection

from payments.hyperswitch.objects import RemoteMandate, Unreadable
from payments.inbox.intake import HandlingResult, Result
from payments.models import MethodSetup, Payment, RevokedMandate
from payments.ports import saved_methods
from veza.core.causes import Cause

# Hyperswitch's status of a mandate, and whether the method may be charged without the payer.
MAY_BE_CHARGED = {"active": True, "pending": True, "inactive": False, "revoked": False}


def apply_mandate(snapshot: RemoteMandate, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Stop charging the method of a mandate that has ended, in this transaction. Raises Unreadable.

    A mandate ends once: the same end again is stale.
    """
    assert connection.in_atomic_block, "a mandate's end and everything that follows from it are one commit"
    may_be_charged = MAY_BE_CHARGED.get(snapshot.status)
    if may_be_charged is None:
        raise Unreadable(f"status is one of a mandate that Veza does not know: {snapshot.status!a}")
    if may_be_charged:
        return HandlingResult(Result.IGNORED)  # The payment that saved the method has its id: nothing is to be added.
    _, is_new = RevokedMandate.objects.get_or_create(
        mandate_id=snapshot.mandate_id, defaults={"payment_method_id": snapshot.payment_method_id}
    )
    if not is_new:
        return HandlingResult(Result.STALE)
    correlation_id = saved_methods().method_revoked(snapshot.payment_method_id, cause=cause, at=at)
    return HandlingResult(Result.OK, correlation_id)


def saves_method(payment: Payment) -> bool:
    """Whether `payment` left a method that may be charged without the payer from now on."""
    ended = RevokedMandate.objects.filter(payment_method_id=payment.payment_method_id)
    return bool(payment.payment_method_id) and not ended.filter(revoked_at__gte=payment.created_at).exists()


def may_charge(payment: Payment) -> bool:
    """Whether the saved method that `payment` charges may be charged now: it is not revoked, or was saved again since.

    The payer may have revoked it after the charge was opened.
    """
    last = RevokedMandate.objects.filter(payment_method_id=payment.payment_method_id).order_by("revoked_at").last()
    if last is None:
        return True
    pages = Payment.objects.filter(payer=payment.payer_id, payment_method_id=payment.payment_method_id)
    if pages.filter(off_session=False, succeeded_at__isnull=False, created_at__gt=last.revoked_at).exists():
        return True
    setups = MethodSetup.objects.filter(correlation_id=payment.correlation_id, requested_at__gt=last.revoked_at)
    return setups.filter(payment_method_id=payment.payment_method_id).exists()
