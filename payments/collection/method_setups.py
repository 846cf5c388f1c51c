"""Saving another payment method without charging it: a payment page of zero, which its payer asked for.

Hyperswitch has it as a payment, and nothing of the ledger does: no money moves. The row is committed before the call,
under the id that Hyperswitch uses, so asking again finds the same page. A set-up is over when its method is saved, or
when the worker has closed its page after the session.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from payments.collection.method_deletions import delete_soon
from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.hyperswitch.objects import RemotePayment
from payments.inbox.intake import HandlingResult, Result
from payments.models import MethodSetup, RevokedMandate
from payments.ports import saved_methods
from payments.retry_policy import CLOSE_GRACE, UNDECIDED_SETUP_AFTER, retry_after
from veza.core import calls, writes
from veza.core.causes import Cause
from veza.core.ids import new_id, row_id
from veza.core.outcomes import Accepted, Outcome, Refused

# Hyperswitch's statuses in which the payer may still finish, or the bank still answer.
_UNDECIDED = frozenset({"processing", "requires_capture", "requires_merchant_action"})


def is_setup(provider_payment_id: str) -> bool:
    """Whether Hyperswitch's id of a payment is that of a set-up."""
    return row_id("set", provider_payment_id) is not None


def open_setup(*, setup_id: UUID, correlation_id: UUID, payer_id: UUID, currency: str) -> MethodSetup:
    """Record a set-up that was not sent yet, in the caller's transaction; the open one while its page can be used.

    `correlation_id` is of what the method will be charged for, in `currency`. The caller has locked it.
    """
    assert connection.in_atomic_block, "a set-up is opened under the lock of what it is for"
    unfinished = MethodSetup.objects.filter(correlation_id=correlation_id, finished_at=None)
    is_recent = unfinished.filter(requested_at__gt=Now() - settings.ORDER_SESSION)
    if usable := is_recent.first():
        return usable
    unfinished.update(finished_at=Now())  # Its page is closed by the worker; a success is heard all the same.
    is_repeated = MethodSetup.objects.filter(pk=setup_id).exists()  # Under a key whose first set-up is over.
    return MethodSetup.objects.create(
        pk=new_id() if is_repeated else setup_id,
        correlation_id=correlation_id,
        payer_id=payer_id,
        currency=currency,
        next_attempt_at=Now() + settings.ORDER_SESSION + CLOSE_GRACE,
    )


def send_setup(setup: MethodSetup) -> Outcome[RemotePayment]:
    """Make the page at Hyperswitch, or find it. Safe to repeat. A refusal ends the set-up."""
    outcome = client.create_payment(_fields(setup), idempotency_key=str(setup.pk))
    with writes.atomic():
        calls.record(outcome, subject=setup, our_id=setup.provider_key)
        if isinstance(outcome, Refused):
            MethodSetup.objects.filter(pk=setup.pk).update(finished_at=Now(), next_attempt_at=None)
    return outcome


def apply_setup(snapshot: RemotePayment, /, *, cause: Cause, at: datetime) -> HandlingResult:
    """Have the method that a set-up saved charged from now on, once, in this transaction. A late success counts too.

    A method that cannot be used any more is deleted: its mandate has ended, a later set-up has saved another one, or
    what it was for has ended.
    """
    assert connection.in_atomic_block, "a saved method and everything that follows from it are one commit"
    key = row_id("set", snapshot.payment_id)
    setup = MethodSetup.objects.select_for_update(no_key=True).filter(pk=key).first() if key else None
    if setup is None:
        return HandlingResult(Result.UNMATCHED)
    if snapshot.status != "succeeded" or setup.payment_method_id or not snapshot.payment_method_id:
        return HandlingResult(Result.STALE, setup.correlation_id)
    MethodSetup.objects.filter(pk=setup.pk).update(
        payment_method_id=snapshot.payment_method_id, finished_at=Now(), next_attempt_at=None
    )
    is_used = _is_usable(setup, snapshot) and saved_methods().method_saved(
        setup.correlation_id, snapshot.payment_method_id, snapshot.card_expires_on, at=at
    )
    if not is_used:
        delete_soon(snapshot.payment_method_id, correlation_id=setup.correlation_id)
    return HandlingResult(Result.OK, setup.correlation_id)


def _is_usable(setup: MethodSetup, snapshot: RemotePayment) -> bool:
    ended = RevokedMandate.objects.filter(payment_method_id=snapshot.payment_method_id)
    later = MethodSetup.objects.filter(correlation_id=setup.correlation_id, requested_at__gt=setup.requested_at)
    is_ended = ended.filter(revoked_at__gte=setup.requested_at).exists()
    return not is_ended and not later.exclude(payment_method_id="").exists()


def finish_setup(setup_id: UUID, *, cause: Cause) -> str:
    """Close the page of a set-up whose session is over, and hear of what was saved on it. Safe to repeat.

    Without an answer, or while the bank has not answered, it is tried again later. Returns the result.
    """
    setup = MethodSetup.objects.get(pk=setup_id)
    outcome = client.cancel_payment(setup.provider_key, reason="The session is over.", idempotency_key=str(setup.pk))
    if isinstance(outcome, Refused) and outcome.code != client.DOES_NOT_EXIST:
        outcome = client.read_payment(setup.provider_key, force_sync=True)
    with writes.atomic():
        calls.record(outcome, subject=setup, our_id=setup.provider_key)
        if isinstance(outcome, Accepted):
            apply_setup(outcome.value, cause=cause, at=timezone.now())
        _postpone_or_end(setup, outcome)
    return HEALTH.stop_reason(outcome) or "finished"


def _postpone_or_end(setup: MethodSetup, outcome: Outcome[RemotePayment]) -> None:
    rows = MethodSetup.objects.filter(pk=setup.pk)
    is_undecided = isinstance(outcome, Accepted) and outcome.value.status in _UNDECIDED
    is_over = (isinstance(outcome, Accepted) and not is_undecided) or isinstance(outcome, Refused)
    if is_over:
        rows.filter(finished_at=None).update(finished_at=Now())
        rows.update(next_attempt_at=None)
        return
    wait = UNDECIDED_SETUP_AFTER if is_undecided else retry_after(setup.attempts)
    rows.update(attempts=min(setup.attempts + 1, 1_000), next_attempt_at=Now() + wait)


def _fields(setup: MethodSetup) -> Mapping[str, Any]:
    """The request, exactly: nothing is charged, and the method may be charged without the payer afterwards."""
    return {
        "payment_id": setup.provider_key,
        "amount": 0,
        "currency": setup.currency,
        "profile_id": settings.HYPERSWITCH_PROFILE_ID,
        "customer_id": setup.customer_key,
        "description": "Your new payment method",
        "capture_method": "automatic",
        "payment_type": "setup_mandate",
        "setup_future_usage": "off_session",
        "payment_link": True,
        "return_url": f"{settings.PUBLIC_BASE_URL}/paid",
        "session_expiry": int(settings.ORDER_SESSION.total_seconds()),
        "metadata": {"subscription": str(setup.correlation_id)},
        "merchant_order_reference_id": str(setup.correlation_id),
    }
