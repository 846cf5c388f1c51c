"""Refunding a buyer, in three phases: open the refund, send it to Hyperswitch, and apply what Hyperswitch reports.

Whatever Hyperswitch answers to our call, the refund stays pending: only a webhook, or a refresh, makes it succeed. A
definite refusal fails it; an answer that we could not understand changes nothing, because a refund marked failed on a
timeout and sent again under another id would pay the buyer twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.hyperswitch.objects import RemoteRefund
from payments.ledger.allocations import Funds, disputed_of, remaining_in
from payments.models import REST_IN_DOUBT, Payment, Refund
from payments.ports import purchase_of
from payments.refunds.refund_updates import acknowledge_refund, apply_refund, book_failure, fail_refund
from payments.retry_policy import DOUBT_RECHECK_AFTER, retry_after
from payments.states import RefundStatus
from veza.core import calls, writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.money import format_amount, smallest_minor
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected


class RefundAlreadyRequested(NotAllowed):
    code = "refund_already_requested"


class RefundExceedsPayment(NotAllowed):
    code = "refund_exceeds_payment"


class AmountNotPayable(NotAllowed):
    code = "amount_not_payable"
    http_status = 400


def refuse_unpayable_amount(amount_minor: int, currency: str) -> None:
    """Raise AmountNotPayable for minor units of `currency` that no provider can move exactly."""
    if amount_minor % (step_minor := smallest_minor(currency)):
        step = format_amount(step_minor, currency)
        raise AmountNotPayable(
            f"{format_amount(amount_minor, currency)} is not a multiple of {step}, the smallest amount of {currency} "
            "that can be moved."
        )


class PaymentInDoubt(NotAllowed):
    code = "payment_in_doubt"
    http_status = 409


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
    currency: str = "",
    allocation: Mapping[str, int],
    source: Refund.Source,
    reason: str,
    requested_by_id: UUID | None,
    send_after: datetime | None = None,
    by_amount: bool = False,
    beside_pending: bool = False,
) -> Refund:
    """Record a refund that was not sent yet, in the caller's transaction.

    `payment` is locked by the caller, who has looked for an earlier refund of this id; `amount_minor` is in `currency`,
    by default that which was received first, and `allocation` says whose money it is, account by account. An automatic
    refund has `send_after`: the worker sends it from then on. `beside_pending` allows it while another one is pending:
    the caller has seen to it that they are not two of the same. What is pending counts as gone either way.
    Raises PaymentInDoubt, RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    assert connection.in_atomic_block, "a refund is opened in the commit that marks its order"
    assert amount_minor > 0, "a refund pays the buyer something"
    assert sum(allocation.values()) == amount_minor, "the allocation of a refund adds up to its amount"
    assert all(amount > 0 for amount in allocation.values()), "a refund takes from accounts and gives to none"
    refuse_in_doubt(payment)
    currency = currency or payment.held_currency
    if not beside_pending and payment.has_pending_refund():
        raise RefundAlreadyRequested("A refund of this payment is already in progress.")
    _check_limits(payment, amount_minor, currency)
    refund = payment.refunds.create(
        pk=refund_id,
        correlation_id=payment.correlation_id,
        amount_minor=amount_minor,
        currency=currency,
        allocation=dict(allocation),
        source=source,
        reason=reason,
        requested_by_id=requested_by_id,
        send_after=send_after,
        by_amount=by_amount,
        next_attempt_at=send_after or timezone.now() + retry_after(0),
    )
    refund.payment = payment
    purchase_of(payment).refund_opened(refund)
    return refund


def refuse_in_doubt(payment: Payment) -> None:
    """Raise PaymentInDoubt while it is not known how much of the payment is left, or a void of it is not confirmed."""
    if is_in_doubt(payment):
        raise PaymentInDoubt("How much of this payment is left is in doubt. It can be refunded after finance decided.")


def is_in_doubt(payment: Payment) -> bool:
    """Whether no refund of the payment is opened or sent now: it is not known how much of it is left."""
    return bool(REST_IN_DOUBT(payment.pk))


def is_covered(payment: Payment) -> bool:
    """Whether what is left of the payment covers its pending refunds: a dispute or a void may have taken it since."""
    return payment.refundable_minor() >= 0


def _check_limits(payment: Payment, amount_minor: int, currency: str) -> None:
    if limit := limit_of_hyperswitch(payment):
        raise RefundLimitReached(
            f"{limit} Finance can pay the buyer from our bank account and book that as a bank refund."
        )
    refuse_excess(payment, amount_minor, currency)


def limit_of_hyperswitch(payment: Payment) -> str:
    """Why Hyperswitch refuses any further refund of the payment; empty if it does not."""
    if payment.refunds.counted_by_hyperswitch().count() >= MOST_REFUNDS:
        return f"Hyperswitch refunds a payment {MOST_REFUNDS} times."
    if payment.created_at < timezone.now() - LAST_REFUND_AFTER:
        return "Hyperswitch refunds no payment older than a year."
    return ""


def refuse_excess(payment: Payment, amount_minor: int, currency: str) -> None:
    """Raise RefundExceedsPayment unless `amount_minor` of what was received in `currency` can still be refunded."""
    refundable_minor = refundable_in(currency, payment)
    if amount_minor > refundable_minor:
        raise RefundExceedsPayment(f"Only {format_amount(refundable_minor, currency)} can still be refunded.")


def refundable_in(currency: str, payment: Payment) -> int:
    """What was received in `currency` and is neither refunded, voided, disputed, nor promised by a pending refund."""
    if currency == payment.held_currency:
        return payment.refundable_minor()
    return sum(remaining_in(currency, payment).values()) - sum(disputed_of(payment, currency).values())


def may_be_refunded(payment: Payment, funds: Funds) -> bool:
    """Whether a refund of `funds` could be opened now: what would be refused is not offered."""
    try:
        refuse_in_doubt(payment)
        _check_limits(payment, funds.total_minor, funds.currency)
    except (PaymentInDoubt, RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached):
        return False
    return bool(funds.allocation) and not payment.has_pending_refund()


def send_now(refund_id: UUID, *, cause: Cause) -> None:
    """Send it for a caller who waits. While Hyperswitch is down the worker sends it later."""
    if not HEALTH.is_down():
        send_refund(refund_id, cause=cause)


def send_refund(refund_id: UUID, *, cause: Cause) -> Outcome[RemoteRefund] | None:
    """Send the refund to Hyperswitch and record the outcome. Safe to repeat: the id stays the same.

    One that is not pending any more is not sent, and None returned: a slow process must not send a failed refund. Nor
    is one whose payment is in doubt, which waits; one that was never sent and whose money has gone since is failed.
    """
    refund = _mark_sent(refund_id, cause=cause)
    if refund is None:
        return None
    outcome = client.create_refund(_fields(refund), currency=refund.currency, idempotency_key=str(refund.pk))
    _record_outcome(refund_id, outcome, is_first=refund.first_sent_at is None, cause=cause)
    return outcome


def check_refund(refund_id: UUID, *, cause: Cause) -> Outcome[RemoteRefund] | None:
    """Move a due refund on if it is still pending: send one that was never sent, refresh one that is unanswered.

    An unanswered automatic refund is sent again under its id, while its payment has the money. One requested by hand is
    only refreshed, and left to the reconciler when it becomes an orphan. What Hyperswitch has already, an external
    refund above all, is never sent. Returns the outcome of the call, if there was one.
    """
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if refund.status != RefundStatus.PENDING:
        _stop_checking(refund)
        return None
    is_remote = refund.hyperswitch_refund_id is not None
    if not is_remote and (refund.first_sent_at is None or may_send_again(refund)):
        outcome = send_refund(refund_id, cause=cause)  # Under the same id: this makes no second refund.
        with writes.atomic():
            HEALTH.open_review_if_rejected(outcome, refund)
        return outcome
    if is_orphan(refund):
        _stop_checking(refund)
        return None
    return _refresh_unanswered(refund, cause=cause)


def may_send_again(refund: Refund) -> bool:
    """Whether a refund that was sent without an answer is sent again under its id, rather than only read."""
    return refund.send_after is not None and not is_in_doubt(refund.payment) and is_covered(refund.payment)


def _stop_checking(refund: Refund) -> None:
    Refund.objects.filter(pk=refund.pk).update(next_attempt_at=None)


def _refresh_unanswered(refund: Refund, *, cause: Cause) -> Outcome[RemoteRefund]:
    outcome = client.read_refund(refund.provider_key, force_sync=True)
    with writes.atomic():
        if isinstance(outcome, Accepted):  # This locks the payment, before the refund is updated.
            apply_refund(outcome.value, cause=cause, at=timezone.now())
        rows = Refund.objects.filter(pk=refund.pk, status=RefundStatus.PENDING, hyperswitch_refund_id=None)
        attempts = refund.attempts + (not auth_rejected(outcome))
        rows.update(next_attempt_at=Now() + retry_after(refund.attempts), attempts=attempts)
        calls.record(outcome, subject=refund, our_id=refund.provider_key)
        HEALTH.open_review_if_rejected(outcome, refund)
    return outcome


def orphan_after() -> timedelta:
    """How long after it was sent an unanswered refund is an orphan: no request of ours can be in progress then."""
    return max(settings.RECONCILE_REFUND_ORPHAN_AFTER, timedelta(seconds=2 * settings.HYPERSWITCH_DEADLINE_SECONDS))


def is_orphan(refund: Refund) -> bool:
    """Whether a refund was sent, never answered, and left alone long enough for the reconciler to decide.

    By the database's clock, which recorded when it was sent: ours may be ahead, and a request still in progress.
    """
    rows = Refund.objects.filter(pk=refund.pk, hyperswitch_refund_id=None)
    return rows.filter(first_sent_at__lte=Now() - orphan_after()).exists()


@writes.atomic()
def fail_orphan(refund_id: UUID, *, cause: Cause, at: datetime) -> bool:
    """Fail a refund that Hyperswitch does not know, so that it can be requested again. False if it has moved on."""
    refund = _lock_refund(refund_id)
    if refund.status != RefundStatus.PENDING or refund.hyperswitch_refund_id is not None:
        return False
    assert refund.first_sent_at is not None, "a refund that was never sent is sent, not failed"
    error = {"error_code": "never_arrived", "error_message": "Hyperswitch does not know this refund."}
    book_failure(refund, cause=cause, at=at, next_attempt_at=None, **error)
    return True


def _lock_refund(refund_id: UUID) -> Refund:
    """The refund with its payment, whose lock is that of everything about it."""
    assert connection.in_atomic_block, "a lock lasts until the end of its transaction"
    payment = Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.get(pk=refund_id)
    assert refund.payment_id == payment.pk, "a refund stays with its payment"
    refund.payment = payment
    return refund


@writes.atomic()
def _mark_sent(refund_id: UUID, *, cause: Cause) -> Refund | None:
    """Commit that it is about to be sent; None if it is not to be sent (now)."""
    refund = _lock_refund(refund_id)
    if refund.status != RefundStatus.PENDING:
        return None
    if is_in_doubt(refund.payment):
        Refund.objects.filter(pk=refund_id).update(next_attempt_at=Now() + DOUBT_RECHECK_AFTER)
        return None
    if refund.first_sent_at is None and not is_covered(refund.payment):
        message = "A dispute, a void or another refund took its money before it was sent."
        error = {"error_code": RefundExceedsPayment.code, "error_message": message}
        book_failure(refund, cause=cause, at=timezone.now(), next_attempt_at=None, **error)
        return None
    assert refund.source != Refund.Source.EXTERNAL, "an external refund exists at Hyperswitch and is never sent"
    assert refund.source != Refund.Source.VOID, "a void happened at Hyperswitch: sent, it would pay the buyer"
    assert sum(refund.allocation.values()) == refund.amount_minor, "the allocation of a refund adds up to its amount"
    Refund.objects.filter(pk=refund_id).update(
        first_sent_at=Coalesce("first_sent_at", Now()),
        next_attempt_at=Now() + retry_after(refund.attempts),
        attempts=refund.attempts + 1,
    )
    return refund


def _fields(refund: Refund) -> Mapping[str, Any]:
    assert refund.amount_minor > 0, "a refund always has an amount: without one Hyperswitch refunds everything"
    assert refund.payment.has_received(refund.currency), "a refund is in a currency that was received"
    return {
        "refund_id": refund.provider_key,
        "payment_id": refund.payment.provider_key,
        "amount": refund.amount_minor,
        "reason": "requested_by_customer",
        "refund_type": "instant",
        "metadata": {"refund": str(refund.pk)},
    }


@writes.atomic()
def _record_outcome(refund_id: UUID, outcome: Outcome[RemoteRefund], *, is_first: bool, cause: Cause) -> None:
    """Record the outcome of sending. `is_first`: nothing can have reached Hyperswitch before this attempt."""
    refund = _lock_refund(refund_id)
    calls.record(outcome, subject=refund, our_id=refund.provider_key)
    at = timezone.now()
    match outcome:
        case Accepted(value=snapshot) if snapshot.status == "failed" and refund.status == RefundStatus.PENDING:
            fail_refund(refund, snapshot, cause=cause, at=at)
        case Accepted(value=snapshot):
            acknowledge_refund(refund, snapshot)
        case Refused(code=code, message=message) if refund.status == RefundStatus.PENDING:
            error: dict[str, Any] = {"error_code": code, "error_message": message, "next_attempt_at": None}
            book_failure(refund, cause=cause, at=at, **error)
        case NotSent() if is_first and refund.hyperswitch_refund_id is None:
            # It was never sent and so is no orphan: the worker sends it.
            writes.update(refund, first_sent_at=None)
        case Refused() | Unknown() | NotSent():
            pass  # The row stays pending and its next attempt is scheduled already.
