"""Refreshing from Hyperswitch what should be final by now, because a webhook may never arrive.

The answer is applied by the same verb as a webhook's object. It has no row in the webhook log, which records what was
sent to us; the call is a ProviderCall, and what followed names `reconcile` as its cause. Without an answer nothing
changes, and only that row waits longer.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from payments.collection import payment_requests
from payments.collection.payment_changes import UNDECIDED_AT_HYPERSWITCH
from payments.collection.payment_updates import apply_payment
from payments.disputes import dispute_updates
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.inbox.intake import HandlingResult, Result
from payments.models import Dispute, Payment, Refund
from payments.refunds import refund_requests
from payments.refunds.refund_updates import apply_refund
from payments.retry_policy import (
    CONFIRM_AFTER,
    FIRST_PAUSE,
    RECONCILE_LEASE,
    UNANSWERED_DISPUTE_AFTER,
    UNDECIDED_PAYMENT_INTERVAL,
)
from payments.states import PAYMENT_OPEN, PaymentStatus, RefundStatus
from veza.core import calls, writes
from veza.core.causes import Cause
from veza.core.models import KeyedRow
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import must_stop
from veza.core.sweeps import TICK_FOR, Queue, Tally, tick

log = structlog.get_logger(__name__)
Row = TypeVar("Row", Payment, Refund, Dispute)
StuckRow = TypeVar("StuckRow", bound=KeyedRow)
Snapshot = TypeVar("Snapshot")
# Payments, refunds, orphans and disputes.
KINDS = 4
BATCH = 50
# How many calls run side by side: an answer takes Hyperswitch long, and one at a time would not use its rate.
CONCURRENT_CALLS = 8
SUPERSEDED = "superseded by an update"
WAITS_FOR_DOUBT = "waits: payment in doubt"
_FIELDS_OF_UPDATE = ("status", "stage", "amount_minor", "posting_batches", "next_attempt_at")
_DUE = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=Now())
_OPEN_PAYMENT = (PaymentStatus.PENDING, PaymentStatus.PROCESSING)
# Hyperswitch's staff, or a capture of the rest, will still change it.
_UNDECIDED = Q(status=PaymentStatus.MISMATCHED, provider_status__in=UNDECIDED_AT_HYPERSWITCH)
_UNSETTLED = Q(status__in=[*_OPEN_PAYMENT, PaymentStatus.MISMATCHED]) & (
    ~Q(status=PaymentStatus.MISMATCHED) | Q(provider_status__in=UNDECIDED_AT_HYPERSWITCH)
)
_GIVEN_UP = (PaymentStatus.FAILED, PaymentStatus.CANCELLED)


class _StuckRows(Queue[StuckRow]):
    """Stuck rows, those without a scheduled refresh included: a batch of them becomes due before each claim, so that
    the sweep of due rows helps with a large backlog and no statement marks all of it.
    """

    def claim(self) -> list[StuckRow]:
        unscheduled = self.rows.filter(next_attempt_at__isnull=True).select_for_update(skip_locked=True, no_key=True)
        with transaction.atomic():
            keys = list(unscheduled.values_list("pk", flat=True)[: self.batch])
            if keys:
                self._rows_of(keys).update(next_attempt_at=Now())
        return super().claim()


def stuck_payments() -> models.QuerySet[Payment]:
    """Payments that Hyperswitch has and that it has not settled after RECONCILE_ORDER_STUCK_AFTER."""
    old = Q(created_at__lte=Now() - settings.RECONCILE_ORDER_STUCK_AFTER)
    return Payment.objects.filter(_UNSETTLED, old, _DUE, hyperswitch_payment_id__isnull=False)


def stuck_refunds() -> models.QuerySet[Refund]:
    """Refunds that Hyperswitch has and that are still pending after RECONCILE_REFUND_STUCK_AFTER."""
    old = Q(created_at__lte=Now() - settings.RECONCILE_REFUND_STUCK_AFTER)
    return Refund.objects.filter(old, _DUE, status=RefundStatus.PENDING, hyperswitch_refund_id__isnull=False)


def orphan_refunds() -> models.QuerySet[Refund]:
    """Refunds that were sent and never answered, so long ago that no request can be in progress any more."""
    old = Q(first_sent_at__lte=Now() - refund_requests.orphan_after())
    return Refund.objects.filter(old, _DUE, status=RefundStatus.PENDING, hyperswitch_refund_id__isnull=True)


def due_disputes() -> models.QuerySet[Dispute]:
    """Open and recent disputes whose daily refresh is due."""
    return dispute_updates.due().filter(next_attempt_at__lte=Now())


def by_reconciler(reason: str = "") -> Cause:
    """The cause of everything that follows from a refresh."""
    return Cause("reconcile", actor="payments.reconcile", reason=reason)


def run(*, cause: Cause, call_for_help: Callable[[], object] | None = None) -> dict[str, Tally]:
    """Refresh everything that is stuck, oldest due first. The four kinds share a tick's time evenly, so that no
    backlog of one delays the others.
    """

    def drain(name: str, rows: models.QuerySet[Row], refresh: Callable[..., str]) -> Tally:
        return _drain(name, rows, partial(refresh, cause=cause), call_for_help=call_for_help)

    return {
        "payments": drain("payments.reconcile", stuck_payments(), refresh_payment),
        "refunds": drain("refunds.reconcile", stuck_refunds(), refresh_refund),
        "orphans": drain("orphans.reconcile", orphan_refunds(), refresh_refund),
        "disputes": drain("disputes.reconcile", due_disputes(), refresh_dispute),
    }


def refresh_correlated(correlation_id: UUID, *, cause: Cause) -> int:
    """Refresh everything open of one order or subscription now, however young; how many rows were refreshed."""
    payments, refunds, disputes = open_rows_of(correlation_id)
    for payment in payments:
        refresh_payment(payment.pk, cause=cause)
    for refund in refunds:
        refresh_refund(refund.pk, cause=cause)
    for dispute in disputes:
        refresh_dispute(dispute.pk, cause=cause)
    return len(payments) + len(refunds) + len(disputes)


def open_rows_of(correlation_id: UUID) -> tuple[list[Payment], list[Refund], list[Dispute]]:
    """What of an order or subscription can be refreshed: open payments and refunds that were sent, and disputes."""
    payments = Payment.objects.filter(correlation_id=correlation_id, hyperswitch_payment_id__isnull=False)
    refunds = Refund.objects.filter(correlation_id=correlation_id, first_sent_at__isnull=False)
    return (
        list(payments.filter(status__in=_OPEN_PAYMENT)),
        list(refunds.filter(status=RefundStatus.PENDING)),
        list(Dispute.objects.filter(correlation_id=correlation_id)),
    )


def advance_payment(payment: Payment, *, cause: Cause) -> str:
    """Advance a due payment: refresh one that Hyperswitch has, send an open one that it never acknowledged.

    Returns the result. `cause` is that of sending; what follows from a refresh is caused by the reconciler.
    """
    if payment.hyperswitch_payment_id is None and payment.status in PAYMENT_OPEN:
        return _result_of(payment_requests.check_payment(payment.pk, cause=cause))
    return refresh_payment(payment.pk, cause=by_reconciler())


def advance_refund(refund: Refund, *, cause: Cause) -> str:
    """The same for a due refund: one that Hyperswitch has is refreshed at the reconciler's pace, never sent."""
    if refund.hyperswitch_refund_id is None:
        return _result_of(refund_requests.check_refund(refund.pk, cause=cause))
    return refresh_refund(refund.pk, cause=by_reconciler())


def _result_of(outcome: Outcome[object] | None) -> str:
    return HEALTH.stop_reason(outcome) or "moved on"


def refresh_payment(payment_id: UUID, *, cause: Cause) -> str:
    """Read a payment at Hyperswitch and apply it as its webhook would be. Returns the result."""
    payment = Payment.objects.get(pk=payment_id)
    outcome = client.read_payment(payment.provider_key, force_sync=True)
    result = _apply_answer("payment", payment, outcome, apply_payment, postpone=_postpone_payment, cause=cause)
    if isinstance(outcome, Refused) and outcome.code == client.DOES_NOT_EXIST:
        # It was cancelled, and no delayed call has made it since.
        given_up = Payment.objects.filter(pk=payment_id, hyperswitch_payment_id=None)
        given_up.filter(status__in=_GIVEN_UP).update(next_attempt_at=None)
    return result


def refresh_refund(refund_id: UUID, *, cause: Cause) -> str:
    """The same for a refund. An orphan that Hyperswitch does not know is failed, or sent again if it is automatic and
    its payment has the money; while that is in doubt it waits.
    """
    refund = Refund.objects.get(pk=refund_id)
    outcome = client.read_refund(refund.provider_key, force_sync=True)
    postpone = partial(_postpone, still_open=Q(status=RefundStatus.PENDING))
    result = _apply_answer("refund", refund, outcome, apply_refund, postpone=postpone, cause=cause)
    is_missing = isinstance(outcome, Refused) and outcome.code == client.DOES_NOT_EXIST
    if not is_missing or refund.hyperswitch_refund_id is not None or not refund_requests.is_orphan(refund):
        return result
    payment = Payment.objects.get(pk=refund.payment_id)
    if refund.send_after is not None and refund_requests.is_in_doubt(payment):
        return WAITS_FOR_DOUBT
    if refund.send_after is not None and refund_requests.is_covered(payment):
        refund_requests.send_refund(refund_id, cause=cause)
        return "sent again"
    at = timezone.now()
    if not refund_requests.fail_orphan(refund_id, cause=cause, at=at):
        return result
    outcome_of_orphan = {"became": RefundStatus.FAILED.value, "result": "orphan failed"}
    log.error("reconcile", origin="reconcile", kind="refund", **_labels(refund, at=at), **outcome_of_orphan)
    return "orphan failed"


def refresh_dispute(dispute_id: UUID, *, cause: Cause) -> str:
    """The same for a dispute; only this moves it away from an end, unless an update arrived during the call."""
    dispute = Dispute.objects.get(pk=dispute_id)
    outcome = client.read_dispute(dispute.hyperswitch_dispute_id)
    apply = partial(apply_dispute, is_answer=True)
    return _apply_answer("dispute", dispute, outcome, apply, postpone=_postpone_dispute, cause=cause)


def _apply_answer(
    kind: str,
    row: Row,
    outcome: Outcome[Snapshot],
    apply: Callable[..., HandlingResult],
    *,
    postpone: Callable[[Row, Outcome[Snapshot], str], None],
    cause: Cause,
) -> str:
    """Apply the answer and schedule the next refresh, in one commit; the result in words."""
    at = timezone.now()
    with writes.atomic():
        match outcome:
            case Accepted() | Refused() if isinstance(row, Dispute) and _is_superseded(row):
                result = SUPERSEDED
            case Accepted(value=snapshot):
                result = apply(snapshot, cause=cause, at=at).text
            case Refused(code=code):
                result = f"refused: {code}"
            case NotSent(why=why) | Unknown(why=why):
                result = why
        calls.record(outcome, subject=row, our_id=_provider_key(row))
        result = HEALTH.stop_reason(outcome) or result
        postpone(row, outcome, result)
        HEALTH.open_review_if_rejected(outcome, row)
        status = type(row)._default_manager.values_list("status", flat=True).get(pk=row.pk)
    # A refresh without a change is an answer, where a webhook without one would be a late one.
    result = "nothing new" if result == Result.STALE and status == row.status else str(result)
    log.info("reconcile", origin="reconcile", kind=kind, **_labels(row, at=at), became=status, result=result)
    return result


def _labels(row: Payment | Refund | Dispute, *, at: datetime) -> dict[str, object]:
    """The row as every log line names it: as it was before the refresh."""
    age = round((at - row.created_at).total_seconds())
    return {"id": str(row.pk), "correlation_id": str(row.correlation_id), "age_seconds": age, "status": row.status}


def _provider_key(row: Payment | Refund | Dispute) -> str:
    return row.hyperswitch_dispute_id if isinstance(row, Dispute) else row.provider_key


def _is_superseded(dispute: Dispute) -> bool:
    """Whether an update of the dispute was applied during the call: the answer may be the older of the two.

    Disputes have no clock that would show it. Leaves their payment locked.
    """
    assert connection.in_atomic_block, "the payment stays locked while the answer is applied"
    Payment.objects.locked().get(pk=dispute.payment_id)
    current = Dispute.objects.get(pk=dispute.pk)
    return any(getattr(current, field) != getattr(dispute, field) for field in _FIELDS_OF_UPDATE)


def _postpone(row: Payment | Refund, outcome: Outcome[object], result: str, *, still_open: Q) -> None:
    """Schedule the next refresh of a payment or refund: an open one later; one that an answer made final, never."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    is_answered = isinstance(outcome, Accepted)
    later = {"next_attempt_at": Now() + settings.RECONCILE_INTERVAL, "attempts": 0} if is_answered else _backoff(row)
    if must_stop(result):
        later = {"next_attempt_at": Now() + FIRST_PAUSE}
    if is_answered and result != Result.WAITING:
        rows.filter(still_open).update(**later)
        rows.exclude(still_open).update(next_attempt_at=None)
    else:
        rows.filter(still_open | Q(next_attempt_at__isnull=False)).update(**later)
    if is_answered:  # What one read contradicts, another one confirms.
        rows.filter(contradicted_at__isnull=False).update(next_attempt_at=Now() + CONFIRM_AFTER)


def _postpone_payment(payment: Payment, outcome: Outcome[object], result: str) -> None:
    _postpone(payment, outcome, result, still_open=_UNSETTLED)
    if isinstance(outcome, Accepted):
        undecided = Payment.objects.filter(_UNDECIDED, pk=payment.pk, contradicted_at=None)
        undecided.update(next_attempt_at=Now() + UNDECIDED_PAYMENT_INTERVAL)


def _postpone_dispute(dispute: Dispute, outcome: Outcome[object], result: str) -> None:
    rows = Dispute.objects.filter(pk=dispute.pk)
    if result == SUPERSEDED:
        rows.update(next_attempt_at=Now())
    elif isinstance(outcome, Accepted | Refused):
        dispute_updates.refresh_later(dispute.pk)
    else:  # If an update has made it due immediately, it stays due.
        rows.filter(next_attempt_at=dispute.next_attempt_at).update(next_attempt_at=Now() + UNANSWERED_DISPUTE_AFTER)


def _backoff(row: Payment | Refund) -> dict[str, Any]:
    """Only this row waits, twice as long each time."""
    pause = min(FIRST_PAUSE * 2 ** min(row.attempts, 10), settings.RECONCILE_INTERVAL)
    return {"next_attempt_at": Now() + pause, "attempts": min(row.attempts + 1, 1_000)}


def _drain(
    name: str,
    rows: models.QuerySet[Row],
    refresh: Callable[[UUID], str],
    *,
    call_for_help: Callable[[], object] | None,
) -> Tally:
    return tick(
        name,
        _StuckRows(rows, due="next_attempt_at", lease=RECONCILE_LEASE, batch=BATCH),
        lambda row: refresh(row.pk),
        until=must_stop,
        at_once=HEALTH.calls_at_once(CONCURRENT_CALLS),
        lasting=TICK_FOR / KINDS,
        call_for_help=call_for_help,
    )
