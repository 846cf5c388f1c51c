"""Giving money back, in three phases: open the refund, ask the provider, and book what the provider reports.

Whatever the provider answers to our call, the refund stays pending: only a webhook, or reading the refund back, says
that it succeeded. A refusal that is certain fails it; an answer we did not understand changes nothing, because a refund
marked failed on a timeout and sent again under another id would pay the buyer twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from payments import hyperswitch_api, ledger
from payments.accounts import PSP_CLEARING
from payments.hyperswitch_objects import RefundSeen
from payments.inbox import Handled, Result
from payments.intents import ask_again_after
from payments.models import Payment, Refund
from payments.states import RefundStatus
from veza.core import calls
from veza.core.cases import open_case
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.facts import announce
from veza.core.ids import row_id
from veza.core.money import written
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.states import may_move, move


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
    legs: Mapping[str, int],
    source: Refund.Source,
    reason: str,
    requested_by_id: UUID | None,
    send_after: datetime | None = None,
) -> Refund:
    """Record a refund that nobody has told the provider about yet, in the caller's transaction.

    `payment` is locked by the caller; `amount_minor` is in its currency and `legs` says from whom it comes, account by
    account. A refund that no person sends has `send_after`: the sweep does, from then on. Asking again with the same
    id returns the first refund. Raises RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    assert connection.in_atomic_block, "a refund is opened in the commit that marks its order"
    assert sum(legs.values()) == amount_minor, "the legs of a refund add up to it"
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    if payment.refunds.filter(status=RefundStatus.PENDING).exists():
        raise RefundAlreadyRequested("A refund of this payment is already in progress.")
    _refuse_beyond_the_limits(payment)
    left = payment.refundable_minor()
    if amount_minor > left:
        raise RefundExceedsPayment(f"Only {written(left, payment.currency)} is left to refund.")
    return payment.refunds.create(
        pk=refund_id,
        story_id=payment.story_id,
        amount_minor=amount_minor,
        currency=payment.currency,
        legs=dict(legs),
        source=source,
        reason=reason,
        requested_by_id=requested_by_id,
        send_after=send_after,
        next_check_at=send_after or timezone.now() + ask_again_after(0),
    )


def _refuse_beyond_the_limits(payment: Payment) -> None:
    if payment.refunds.count() >= MOST_REFUNDS:
        raise RefundLimitReached(f"A payment can be refunded {MOST_REFUNDS} times. Pay the buyer back another way.")
    if payment.created_at < timezone.now() - LAST_REFUND_AFTER:
        raise RefundLimitReached("A payment older than a year cannot be refunded. Pay the buyer back another way.")


def send_refund(refund_id: UUID, *, cause: Cause) -> Outcome[RefundSeen]:
    """Ask the provider to give the money back and record its answer. Safe to repeat: the id stays the same."""
    refund = _mark_sent(refund_id)
    outcome = hyperswitch_api.create_refund(_fields(refund), idempotency_key=str(refund.pk))
    _record_sent(refund_id, outcome, cause=cause)
    return outcome


def check_refund(refund_id: UUID, *, cause: Cause) -> None:
    """Move on a due refund that is still pending: send it when the provider never acknowledged it, else ask."""
    refund = Refund.objects.get(pk=refund_id)
    if refund.status != RefundStatus.PENDING:
        Refund.objects.filter(pk=refund_id).update(next_check_at=None)
        return
    if refund.hyperswitch_refund_id is None:
        send_refund(refund_id, cause=cause)
        return
    outcome = hyperswitch_api.read_refund(refund.provider_key, force_sync=True)
    with transaction.atomic(durable=True):
        calls.record(outcome, subject=refund, our_id=refund.provider_key)
        if isinstance(outcome, Accepted):
            note_refund(outcome.value, cause=cause, at=timezone.now())


def note_refund(seen: RefundSeen, *, cause: Cause, at: datetime) -> Handled:
    """Bring our refund to where the provider says it is, with everything that follows, in this transaction."""
    assert connection.in_atomic_block, "what a provider said is booked in one commit"
    key = row_id("ref", seen.refund_id)
    payment = Payment.objects.locked().filter(refunds=key).first() if key else None
    if payment is None or key is None:
        return Handled(Result.UNMATCHED)
    refund = Refund.objects.locked().get(pk=key)
    refund.payment = payment
    if _is_older(seen, refund):
        return Handled(_learn_late(refund, seen, cause=cause, at=at), refund.story_id)
    if (seen.amount_minor, seen.currency) != (refund.amount_minor, refund.currency):
        _ask_a_person(refund, f"The provider's refund is of {written(seen.amount_minor, seen.currency)}.")
        return Handled(Result.WAITING, refund.story_id)
    match seen.status:
        case "succeeded":
            return Handled(_succeed(refund, seen, cause=cause, at=at), refund.story_id)
        case "failed":
            return Handled(_fail(refund, seen, cause=cause, at=at), refund.story_id)
        case "pending":
            _acknowledge(refund, seen)
            return Handled(Result.OK, refund.story_id)
    _ask_a_person(refund, f"The provider says {seen.status!r}: a person there has to look at it.")
    return Handled(Result.OK, refund.story_id)


def _is_older(seen: RefundSeen, refund: Refund) -> bool:
    known = refund.provider_updated_at
    return known is not None and seen.updated_at is not None and seen.updated_at < known


def _learn_late(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> Result:
    """Old news. One of it tells something: a success before a known failure means that the money came back."""
    if seen.status != "succeeded" or refund.status != RefundStatus.FAILED:
        return Result.STALE
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at)
    _tell_of_bounce(refund)
    return Result.OK


def _succeed(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> Result:
    if not may_move(refund, RefundStatus.SUCCEEDED):
        return Result.STALE
    if refund.payment.received_minor < refund.amount_minor:
        return Result.WAITING  # The refund was faster than the payment's own news.
    move(refund, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at, **_settled(refund, seen))
    Payment.objects.filter(pk=refund.payment_id).update(refunded_minor=F("refunded_minor") + refund.amount_minor)
    refund.payment.refunded_minor += refund.amount_minor
    _post(refund, [ledger.Line(leg, PSP_CLEARING, part, leg) for leg, part in refund.legs.items()], at=at)
    announce("refund.settled", refund, cause=cause, at=at)
    return Result.OK


def _fail(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> Result:
    if refund.status == RefundStatus.PENDING:
        move(refund, RefundStatus.FAILED, cause=cause, at=at, **_settled(refund, seen))
    elif refund.status == RefundStatus.SUCCEEDED:
        _bounce(refund, seen, cause=cause, at=at)
    else:
        return Result.STALE
    announce("refund.settled", refund, cause=cause, at=at)
    return Result.OK


def _bounce(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> None:
    """The bank sent the money back: mirror what was booked, and let a person find the buyer another way."""
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at, **_settled(refund, seen))
    Payment.objects.filter(pk=refund.payment_id).update(refunded_minor=F("refunded_minor") - refund.amount_minor)
    refund.payment.refunded_minor -= refund.amount_minor
    _post(refund, [ledger.Line(PSP_CLEARING, leg, part, leg) for leg, part in refund.legs.items()], at=at)
    _tell_of_bounce(refund)


def _tell_of_bounce(refund: Refund) -> None:
    open_case(
        "refund_bounced",
        refund,
        why="The refund had succeeded and was then sent back by the buyer's bank.",
        what_to_do="Ask the buyer for another way to be paid, then refund again; the licences are theirs meanwhile.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def _post(refund: Refund, lines: list[ledger.Line], *, at: datetime) -> None:
    ledger.post(
        f"refund:{refund.pk}:{refund.bookings}",
        lines,
        payment=refund.payment,
        currency=refund.currency,
        story_id=refund.story_id,
        at=at,
    )


def _settled(refund: Refund, seen: RefundSeen) -> dict[str, Any]:
    return {
        "hyperswitch_refund_id": seen.refund_id,
        "provider_updated_at": seen.updated_at or refund.provider_updated_at,
        "error_code": seen.error_code,
        "error_message": seen.error_message,
        "next_check_at": None,
        "bookings": refund.bookings + 1,
    }


@transaction.atomic(durable=True)
def _mark_sent(refund_id: UUID) -> Refund:
    refund = Refund.objects.locked().select_related("payment").get(pk=refund_id)
    Refund.objects.filter(pk=refund_id).update(
        first_sent_at=Coalesce("first_sent_at", Now()),
        next_check_at=Now() + ask_again_after(refund.checks),
        checks=refund.checks + 1,
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
def _record_sent(refund_id: UUID, outcome: Outcome[RefundSeen], *, cause: Cause) -> None:
    payment = Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.locked().get(pk=refund_id)
    refund.payment = payment
    calls.record(outcome, subject=refund, our_id=refund.provider_key)
    at = timezone.now()
    match outcome:
        case Accepted(value=seen) if seen.status == "failed" and refund.status == RefundStatus.PENDING:
            _fail(refund, seen, cause=cause, at=at)
        case Accepted(value=seen):
            _acknowledge(refund, seen)
        case Refused(code=code, message=message) if refund.status == RefundStatus.PENDING:
            why: dict[str, Any] = {"error_code": code, "error_message": message, "next_check_at": None}
            move(refund, RefundStatus.FAILED, cause=cause, at=at, **why)
            announce("refund.settled", refund, cause=cause, at=at)
        case Refused() | Unknown() | NotSent():
            pass  # The row stays pending and its next check is set already.


def _acknowledge(refund: Refund, seen: RefundSeen) -> None:
    Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None).update(
        hyperswitch_refund_id=seen.refund_id, next_check_at=None, checks=0
    )


def _ask_a_person(refund: Refund, why: str) -> None:
    open_case(
        "refund_in_doubt",
        refund,
        why=why,
        what_to_do="Look at the refund in the provider's dashboard; Veza keeps it pending until the provider decides.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )
