"""Giving money back, in three phases: open the refund, ask the provider, and book what the provider reports.

Whatever the provider answers to our call, the refund stays pending: only a webhook, or reading the refund back, says
that it succeeded. A refusal that is certain fails it; an answer we did not understand changes nothing, because a refund
marked failed on a timeout and sent again under another id would pay the buyer twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from payments.collection.payment_requests import retry_after
from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.hyperswitch.objects import RemoteRefund
from payments.models import Payment, Refund
from payments.refunds.refund_updates import acknowledge_refund, apply_refund, book_failure, fail_refund
from payments.states import RefundStatus
from veza.core import calls
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.money import format_amount
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected


class RefundAlreadyRequested(NotAllowed):
    code = "refund_already_requested"


class RefundExceedsPayment(NotAllowed):
    code = "refund_exceeds_payment"


class PaymentMissing(NotAllowed):
    code = "payment_missing"


class RefundLimitReached(NotAllowed):
    code = "refund_limit_reached"


# Hyperswitch refuses a further refund beyond these (its checks 5 and 7 of a refund).
MOST_REFUNDS = 10
LAST_REFUND_AFTER = timedelta(days=365)


def open_refund(
    *,
    refund_id: UUID,
    payment: Payment,
    amount_minor: int,
    allocation: Mapping[str, int],
    source: Refund.Source,
    reason: str,
    requested_by_id: UUID | None,
    send_after: datetime | None = None,
) -> Refund:
    """Record a refund that nobody has told the provider about yet, in the caller's transaction.

    `payment` is locked by the caller; `amount_minor` is in the currency that came and `legs` says from whom it comes,
    account by account. A refund that no person sends has `send_after`: the sweep does, from then on. Asking again with
    the same id returns the first refund. Raises RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    assert connection.in_atomic_block, "a refund is opened in the commit that marks its order"
    assert sum(allocation.values()) == amount_minor, "the legs of a refund add up to it"
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    if payment.refunds.filter(status=RefundStatus.PENDING).exists():
        raise RefundAlreadyRequested("A refund of this payment is already in progress.")
    _refuse_beyond_the_limits(payment)
    left = payment.refundable_minor()
    if amount_minor > left:
        raise RefundExceedsPayment(f"Only {format_amount(left, payment.currency)} is left to refund.")
    return payment.refunds.create(
        pk=refund_id,
        correlation_id=payment.correlation_id,
        amount_minor=amount_minor,
        currency=payment.held_currency,
        allocation=dict(allocation),
        source=source,
        reason=reason,
        requested_by_id=requested_by_id,
        send_after=send_after,
        next_attempt_at=send_after or timezone.now() + retry_after(0),
    )


def _refuse_beyond_the_limits(payment: Payment) -> None:
    if payment.refunds.count() >= MOST_REFUNDS:
        raise RefundLimitReached(f"A payment can be refunded {MOST_REFUNDS} times. Pay the buyer back another way.")
    if payment.created_at < timezone.now() - LAST_REFUND_AFTER:
        raise RefundLimitReached("A payment older than a year cannot be refunded. Pay the buyer back another way.")


def send_now(refund_id: UUID, *, cause: Cause) -> None:
    """Send it for a person who waits. While the provider fails for everybody the sweep does it later."""
    if not HEALTH.is_down():
        send_refund(refund_id, cause=cause)


def send_refund(refund_id: UUID, *, cause: Cause) -> Outcome[RemoteRefund] | None:
    """Ask the provider to give the money back and record its answer. Safe to repeat: the id stays the same.

    One that is settled meanwhile is not sent, and None returned: whoever was slow must not give back what was given up.
    """
    refund = _mark_sent(refund_id)
    if refund is None:
        return None
    outcome = client.create_refund(_fields(refund), idempotency_key=str(refund.pk))
    _record_sent(refund_id, outcome, first=refund.first_sent_at is None, cause=cause)
    return outcome


def check_refund(refund_id: UUID, *, cause: Cause) -> Outcome[RemoteRefund] | None:
    """Move on a due refund that is still pending: send what was never sent, ask about what was never answered.

    An unanswered one is sent again under its id if a sweep sends it anyway. One that a person asked for is only asked
    about, and left to the reconciler when it becomes an orphan. What the provider has already, one made at its
    dashboard above all, is never sent. Returns the outcome of the call, if there was one.
    """
    refund = Refund.objects.get(pk=refund_id)
    if refund.status != RefundStatus.PENDING:
        Refund.objects.filter(pk=refund_id).update(next_attempt_at=None)
        return None
    theirs = refund.source == Refund.Source.EXTERNAL or refund.hyperswitch_refund_id is not None
    if not theirs and (refund.first_sent_at is None or refund.send_after is not None):
        sent = send_refund(refund_id, cause=cause)  # Under the same id: no second refund comes of it.
        with transaction.atomic(durable=True):
            HEALTH.open_review_if_rejected(sent, refund)
        return sent
    if is_orphan(refund):
        Refund.objects.filter(pk=refund_id).update(next_attempt_at=None)
        return None
    outcome = client.read_refund(refund.provider_key, force_sync=True)
    with transaction.atomic(durable=True):
        if isinstance(outcome, Accepted):
            apply_refund(
                outcome.value, cause=cause, at=timezone.now()
            )  # Locks the payment, before we touch the refund.
        unanswered = Refund.objects.filter(pk=refund_id, status=RefundStatus.PENDING, hyperswitch_refund_id=None)
        params = refund.attempts + (not auth_rejected(outcome))
        unanswered.update(next_attempt_at=Now() + retry_after(refund.attempts), attempts=params)
        calls.record(outcome, subject=refund, our_id=refund.provider_key)
        HEALTH.open_review_if_rejected(outcome, refund)
    return outcome


def orphan_after() -> timedelta:
    """How long after it was sent an unanswered refund is an orphan: no request of ours can still be under way."""
    return max(settings.RECONCILE_REFUND_ORPHAN_AFTER, timedelta(seconds=2 * settings.HYPERSWITCH_DEADLINE_SECONDS))


def is_orphan(refund: Refund) -> bool:
    """Whether a refund was sent, never answered, and left alone long enough for the reconciler to decide.

    By the database's clock, which wrote when it was sent: ours may be ahead, and a request still under way.
    """
    unanswered = Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None)
    return unanswered.filter(first_sent_at__lte=Now() - orphan_after()).exists()


@transaction.atomic(durable=True)
def give_up_refund(refund_id: UUID, *, cause: Cause, at: datetime) -> bool:
    """Fail a refund that the provider does not know, so that it can be asked for again. False if it has moved on."""
    payment = Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.locked().get(pk=refund_id)
    refund.payment = payment
    if refund.status != RefundStatus.PENDING or refund.hyperswitch_refund_id is not None:
        return False
    why = {"error_code": "never_arrived", "error_message": "The provider does not know this refund."}
    book_failure(refund, cause=cause, at=at, next_attempt_at=None, **why)
    return True


@transaction.atomic(durable=True)
def _mark_sent(refund_id: UUID) -> Refund | None:
    """Commit that it is about to be sent; None if there is nothing to send any more."""
    payment = Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.locked().get(pk=refund_id)
    refund.payment = payment
    if refund.status != RefundStatus.PENDING:
        return None
    Refund.objects.filter(pk=refund_id).update(
        first_sent_at=Coalesce("first_sent_at", Now()),
        next_attempt_at=Now() + retry_after(refund.attempts),
        attempts=refund.attempts + 1,
    )
    return refund


def _fields(refund: Refund) -> Mapping[str, Any]:
    return {
        "refund_id": refund.provider_key,
        "payment_id": refund.payment.provider_key,
        "amount": refund.amount_minor,
        "reason": "requested_by_customer",
        "refund_type": "instant",
        "metadata": {"refund": str(refund.pk)},
    }


@transaction.atomic(durable=True)
def _record_sent(refund_id: UUID, outcome: Outcome[RemoteRefund], *, first: bool, cause: Cause) -> None:
    """Keep what came of sending. `first`: nothing can have reached the provider before this try."""
    payment = Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.locked().get(pk=refund_id)
    refund.payment = payment
    calls.record(outcome, subject=refund, our_id=refund.provider_key)
    at = timezone.now()
    match outcome:
        case Accepted(value=snapshot) if snapshot.status == "failed" and refund.status == RefundStatus.PENDING:
            fail_refund(refund, snapshot, cause=cause, at=at)
        case Accepted(value=snapshot):
            acknowledge_refund(refund, snapshot)
        case Refused(code=code, message=message) if refund.status == RefundStatus.PENDING:
            why: dict[str, Any] = {"error_code": code, "error_message": message, "next_attempt_at": None}
            book_failure(refund, cause=cause, at=at, **why)
        case NotSent() if first and refund.hyperswitch_refund_id is None:
            # It was never sent, and so is no orphan: the sweep sends it.
            Refund.objects.filter(pk=refund_id).update(first_sent_at=None)
        case Refused() | Unknown() | NotSent():
            pass  # The row stays pending and its next check is set already.
