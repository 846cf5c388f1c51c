"""What the provider says became of a refund, from a webhook or from asking: booked once, whatever the order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from payments.collection.payment_updates import MISMATCH, ask_about_mismatch
from payments.disputes.dispute_postings import book_disputes
from payments.hyperswitch.objects import RefundSeen
from payments.inbox.intake import Handled, Result
from payments.ledger import allocation, postings
from payments.ledger.chart_of_accounts import PSP_CLEARING, RECOVERABLE
from payments.models import Payment, Refund
from payments.review_items import tell_of_bounce, tell_of_doubt, tell_of_excess, tell_of_failure, tell_of_success
from payments.states import PaymentStatus, RefundStatus
from veza.core.causes import Cause
from veza.core.facts import announce
from veza.core.ids import new_id, row_id
from veza.core.money import written
from veza.core.reviews import close_case
from veza.core.states import may_move, move

_PUZZLE = "review"


def note_refund(seen: RefundSeen, /, *, cause: Cause, at: datetime) -> Handled:
    """Bring our refund to where the provider says it is, with everything that follows, in this transaction.

    One we do not know, of a payment we do, was made at the provider's dashboard: it is taken in.
    """
    assert connection.in_atomic_block, "what a provider said is booked in one commit"
    payment = _payment_of(seen)
    if payment is None:
        return Handled(Result.UNMATCHED)
    if payment.received_minor == 0:
        # Faster than the payment's own news: what became of the refund is booked when there is something to give back.
        Payment.objects.filter(pk=payment.pk).update(awaited=True)
        return Handled(Result.WAITING, payment.story_id)
    refund = _ours(seen) or _take_in(payment, seen, cause=cause, at=at)
    refund.payment = payment
    if _is_older(seen, refund):
        return Handled(_learn_late(refund, seen, cause=cause, at=at), refund.story_id)
    if (seen.amount_minor, seen.currency) != (refund.amount_minor, refund.currency):
        tell_of_doubt(refund, f"The provider's refund is of {written(seen.amount_minor, seen.currency)}.")
        return Handled(Result.WAITING, refund.story_id)
    match seen.status:
        case "succeeded":
            return Handled(_succeed(refund, seen, cause=cause, at=at), refund.story_id)
        case "failed":
            return Handled(fail_refund(refund, seen, cause=cause, at=at), refund.story_id)
        case "pending":
            acknowledge_refund(refund, seen)
            return Handled(Result.OK, refund.story_id)
    return Handled(_puzzle(refund, seen), refund.story_id)


def _payment_of(seen: RefundSeen) -> Payment | None:
    """The payment, locked: of the refund if that is ours, else the one the provider names."""
    refund_key, payment_key = row_id("ref", seen.refund_id), row_id("pay", seen.payment_id)
    ours = Payment.objects.locked().filter(refunds=refund_key).first() if refund_key else None
    if ours is not None or payment_key is None:
        return ours
    return Payment.objects.locked().filter(pk=payment_key).first()


def _ours(seen: RefundSeen) -> Refund | None:
    known = Q(hyperswitch_refund_id=seen.refund_id)
    if key := row_id("ref", seen.refund_id):
        known |= Q(pk=key)
    return Refund.objects.locked().filter(known).first()


def _take_in(payment: Payment, seen: RefundSeen, *, cause: Cause, at: datetime) -> Refund:
    """A refund made at the provider's dashboard. The floor whose sale it was divides it anew."""
    refund = payment.refunds.create(
        pk=row_id("ref", seen.refund_id) or new_id(),
        story_id=payment.story_id,
        amount_minor=seen.amount_minor,
        currency=seen.currency,
        legs=allocation.divide(seen.amount_minor, payment),
        source=Refund.Source.EXTERNAL,
        reason="Made at the provider's dashboard.",
        hyperswitch_refund_id=seen.refund_id,
    )
    announce("refund.taken_in", refund, cause=cause, at=at)
    return refund


def divide_refund(refund: Refund, legs: Mapping[str, int]) -> None:
    """Say whose money a refund is that was taken in or overtaken; for the reaction of the floor whose sale it was."""
    assert refund.status != RefundStatus.SUCCEEDED, "the legs are fixed when the refund is booked"
    assert sum(legs.values()) == refund.amount_minor, "the legs of a refund add up to it"
    refund.legs = dict(legs)
    refund.save(update_fields=["legs"])


def _puzzle(refund: Refund, seen: RefundSeen) -> Result:
    """`review` and words we do not know: it stays as it is, and a person looks. Saying so again is old news."""
    if refund.provider_updated_at == seen.updated_at and refund.error_code == _PUZZLE:
        return Result.STALE
    Refund.objects.filter(pk=refund.pk).update(
        hyperswitch_refund_id=seen.refund_id, provider_updated_at=seen.updated_at, error_code=_PUZZLE
    )
    tell_of_doubt(refund, f"The provider says {seen.status!r}: a person there has to look at it.")
    return Result.OK


def _is_older(seen: RefundSeen, refund: Refund) -> bool:
    known = refund.provider_updated_at
    return known is not None and seen.updated_at is not None and seen.updated_at < known


def _learn_late(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> Result:
    """Old news. One of it tells something: a success before a known failure means that the money came back."""
    if seen.status != "succeeded" or refund.status != RefundStatus.FAILED:
        return Result.STALE
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at)
    tell_of_bounce(refund)
    return Result.OK


def _succeed(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> Result:
    if not may_move(refund, RefundStatus.SUCCEEDED):
        return Result.STALE
    _keep_within_what_is_left(refund, cause=cause, at=at)
    move(refund, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at, **_settled(refund, seen))
    _count(refund, refund.amount_minor)
    _post(refund, [postings.Line(leg, PSP_CLEARING, part, leg) for leg, part in refund.legs.items()], at=at)
    tell_of_success(refund)
    _follow(refund, cause=cause, at=at)
    return Result.OK


def _count(refund: Refund, amount_minor: int) -> None:
    payment = refund.payment
    if refund.currency == payment.held_currency:
        payment.refunded_minor += amount_minor
        Payment.objects.filter(pk=payment.pk).update(refunded_minor=payment.refunded_minor)


def _keep_within_what_is_left(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """More may have been given back meanwhile than its legs allowed for, at the dashboard or by a refund thought dead.

    The floor whose sale it was divides it anew, item by item; what no account has left is to be recovered.
    """
    payment = refund.payment
    left = allocation.left_of(payment) if refund.currency == payment.held_currency else {}
    if payment.refunded_minor or allocation.within(refund.legs, left) != refund.legs:
        announce("refund.overtaken", refund, cause=cause, at=at)
    legs = allocation.within(refund.legs, left)
    if legs != refund.legs:
        divide_refund(refund, legs)
    if excess := legs.get(RECOVERABLE, 0):
        tell_of_excess(refund, excess)


def _follow(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """What follows from money that went or came back, on this floor and above."""
    payment = refund.payment
    if payment.disputes.exists():
        book_disputes(payment, at=at)
    if payment.status == PaymentStatus.MISMATCHED and payment.refunded_minor >= payment.received_minor:
        move(payment, PaymentStatus.CANCELLED, cause=cause, at=at)
        close_case(MISMATCH, payment, note="All that was received has been given back.")
        announce("payment.failed", payment, cause=cause, at=at)
    elif payment.status == PaymentStatus.CANCELLED and payment.received_minor > payment.refunded_minor:
        move(payment, PaymentStatus.MISMATCHED, cause=cause, at=at)
        ask_about_mismatch(payment, "It was cancelled because all of it had been given back, and some came back.")
    announce("refund.settled", refund, cause=cause, at=at)


def fail_refund(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> Result:
    """Book that a refund failed, or that one which had succeeded came back."""
    if refund.status == RefundStatus.PENDING:
        book_failure(refund, cause=cause, at=at, **_settled(refund, seen))
        return Result.OK
    if refund.status == RefundStatus.SUCCEEDED:
        _bounce(refund, seen, cause=cause, at=at)
        return Result.OK
    return Result.STALE


def book_failure(refund: Refund, *, cause: Cause, at: datetime, **known: Any) -> None:
    """Fail a locked refund that is pending, with what is known of why, and everything that follows."""
    move(refund, RefundStatus.FAILED, cause=cause, at=at, **known)
    tell_of_failure(refund)
    announce("refund.settled", refund, cause=cause, at=at)


def _bounce(refund: Refund, seen: RefundSeen, *, cause: Cause, at: datetime) -> None:
    """The bank sent the money back: mirror what was booked, and let a person find the buyer another way."""
    move(refund, RefundStatus.BOUNCED, cause=cause, at=at, **_settled(refund, seen))
    _count(refund, -refund.amount_minor)
    _post(refund, [postings.Line(PSP_CLEARING, leg, part, leg) for leg, part in refund.legs.items()], at=at)
    tell_of_bounce(refund)
    _follow(refund, cause=cause, at=at)


def _post(refund: Refund, lines: list[postings.Line], *, at: datetime) -> None:
    postings.post(
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


def acknowledge_refund(refund: Refund, seen: RefundSeen) -> None:
    """Keep the provider's word that it has the refund: it is no longer asked about until it is stuck."""
    Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None).update(
        hyperswitch_refund_id=seen.refund_id, next_check_at=None, checks=0
    )
