"""A comparison with Hyperswitch's own lists: what it has and we do not is imported, what differs is read by its id.

Settled is not final: a bank returns a refund after weeks, a payment fails after it succeeded, and the webhook may be
lost. The lists are of what was created in a period, not of what changed, so every object is compared at several ages
(veza/core/comparisons.py). What is open on our side is refreshed by id besides (payments/reconciliation/refresh.py).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import Q
from django.utils import timezone

from payments.collection.payment_changes import HOLDS_NOTHING, OPEN_AT_HYPERSWITCH
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch import client
from payments.hyperswitch.objects import RemoteDispute, RemotePayment, RemoteRefund, Unreadable
from payments.inbox.intake import HandlingResult, Result
from payments.models import Dispute, Payment, Refund
from payments.reconciliation.refresh import refresh_dispute, refresh_payment, refresh_refund
from payments.refunds.refund_updates import apply_refund
from payments.states import RefundStatus
from payments.webhooks import Apply, apply_ours
from veza.core import writes
from veza.core.causes import Cause
from veza.core.comparisons import Findings, Period, due_periods, mark_compared
from veza.core.ids import row_id
from veza.core.outcomes import Accepted, Outcome
from veza.core.sweeps import beat

log = structlog.get_logger(__name__)
WORKER = "payments.compare_lists"
# Old payments rarely change. Refunds and disputes are few and do change: each is compared daily for its first days.
PAYMENT_AGES = (1, 7, 30, 90, 180)
REFUND_AND_DISPUTE_AGES = (0, 1, 2, 3, 4, 5, 6, 7, 30, 90, 180)


class ListEntry(Protocol):
    """What every object on a list has."""

    @property
    def payment_id(self) -> str: ...

    @property
    def profile_id(self) -> str: ...

    @property
    def status(self) -> str: ...


Snapshot = TypeVar("Snapshot", bound=ListEntry)
Row = TypeVar("Row", Payment, Refund, Dispute)


@dataclass(frozen=True)
class Listing(Generic[Snapshot, Row]):
    """One of Hyperswitch's lists, and how an object on it is found, compared, refreshed and imported.

    `apply` is None for payments: all of ours are rows before they are at Hyperswitch.
    """

    kind: str
    ages_days: Sequence[int]
    page: Callable[..., Outcome[client.Page[Snapshot]]]
    id_of: Callable[[Snapshot], str]
    find: Callable[[Sequence[str]], Mapping[str, Row]]
    agrees: Callable[[Snapshot, Row], bool]
    refresh: Callable[..., str]
    apply: Apply[Snapshot] | None = None


def _find_payments(ids: Sequence[str]) -> dict[str, Payment]:
    keys = {key: one for one in ids if (key := row_id("pay", one)) is not None}
    return {keys[payment.pk]: payment for payment in Payment.objects.filter(pk__in=keys)}


def _payment_agrees(snapshot: RemotePayment, payment: Payment) -> bool:
    if snapshot.status != payment.provider_status:
        return False
    captured_minor, currency = payment.captured_funds()
    if snapshot.status in HOLDS_NOTHING:
        return captured_minor == 0
    reported_minor = captured_minor if snapshot.received_minor is None else snapshot.received_minor
    return reported_minor == captured_minor and (not captured_minor or snapshot.currency == currency)


def _find_refunds(ids: Sequence[str]) -> dict[str, Refund]:
    keys = {key: one for one in ids if (key := row_id("ref", one)) is not None}
    refunds = Refund.objects.filter(Q(hyperswitch_refund_id__in=ids) | Q(pk__in=keys))
    return {refund.hyperswitch_refund_id or keys[refund.pk]: refund for refund in refunds}


def _refund_agrees(snapshot: RemoteRefund, refund: Refund) -> bool:
    if snapshot.amount_minor != refund.amount_minor:
        return False
    match snapshot.status:
        case "succeeded":
            return refund.status == RefundStatus.SUCCEEDED
        case "failed":
            return refund.status in (RefundStatus.FAILED, RefundStatus.BOUNCED)
        case _:
            return refund.status == RefundStatus.PENDING


def _find_disputes(ids: Sequence[str]) -> dict[str, Dispute]:
    return {one.hyperswitch_dispute_id: one for one in Dispute.objects.filter(hyperswitch_dispute_id__in=ids)}


def _dispute_agrees(snapshot: RemoteDispute, dispute: Dispute) -> bool:
    terms = (snapshot.status.removeprefix("dispute_"), snapshot.stage, snapshot.amount_minor, snapshot.currency)
    return terms == (dispute.status, dispute.stage, dispute.amount_minor, dispute.currency)


DISPUTES = Listing(
    "dispute",
    REFUND_AND_DISPUTE_AGES,
    client.list_disputes,
    lambda one: one.dispute_id,
    _find_disputes,
    _dispute_agrees,
    refresh_dispute,
    apply_dispute,
)
REFUNDS = Listing(
    "refund",
    REFUND_AND_DISPUTE_AGES,
    client.list_refunds,
    lambda one: one.refund_id,
    _find_refunds,
    _refund_agrees,
    refresh_refund,
    apply_refund,
)
PAYMENTS = Listing(
    "payment",
    PAYMENT_AGES,
    client.list_payments,
    lambda one: one.payment_id,
    _find_payments,
    _payment_agrees,
    refresh_payment,
)


def compare(*, cause: Cause, now: datetime | None = None) -> Findings:
    """Import disputes and refunds that we do not have, and read by id whatever differs, of the ages that are due.

    One that cannot be applied is logged and counted, and the others continue. Disputes come first: their evidence has a
    deadline. A period whose list could not be read to its end is compared again the next time. Coming to the end leaves
    a heartbeat, which reports a list that could not be read.
    """
    now = now or timezone.now()
    findings = Findings()
    _compare(DISPUTES, now, findings, cause=cause)
    _compare(REFUNDS, now, findings, cause=cause)
    _compare(PAYMENTS, now, findings, cause=cause)
    log.info("drift_compared", origin="reconcile", **asdict(findings))
    beat(WORKER, findings.tally())
    return findings


def _compare(listing: Listing[Snapshot, Row], now: datetime, findings: Findings, *, cause: Cause) -> None:
    for period in due_periods(f"hyperswitch {listing.kind}s", listing.ages_days, now=now):
        for page in _pages(listing, period, findings):
            if page is None:
                return  # The next list may be readable; the older periods of this one are not tried.
            _compare_page(listing, page, findings, cause=cause)
        mark_compared(period)


def _pages(
    listing: Listing[Snapshot, Row], period: Period, findings: Findings
) -> Iterator[list[Snapshot | Unreadable] | None]:
    """The pages of one period; None, and no more, when one could not be read."""
    start, is_first = "", True
    while is_first or start:
        is_first = False
        outcome = listing.page(since=period.since, until=period.until, start=start)
        findings.calls += 1
        if not isinstance(outcome, Accepted):
            log.warning("drift_list_not_read", origin="reconcile", path=outcome.call.path, status=outcome.call.status)
            findings.add_unread_list(outcome)
            yield None
            return
        start = outcome.value.next_start
        findings.entries += len(outcome.value.entries)
        yield outcome.value.entries


def _compare_page(
    listing: Listing[Snapshot, Row], entries: list[Snapshot | Unreadable], findings: Findings, *, cause: Cause
) -> None:
    ours = listing.find([listing.id_of(one) for one in entries if not isinstance(one, Unreadable)])
    for snapshot in entries:
        if isinstance(snapshot, Unreadable):
            findings.add_failure(f"a {listing.kind} could not be read: {snapshot}")
            log.error("drift_unreadable", origin="reconcile", kind=listing.kind, error=str(snapshot))
            continue
        try:
            _compare_one(listing, snapshot, ours.get(listing.id_of(snapshot)), findings, cause=cause)
        except SoftTimeLimitExceeded:
            raise  # The time of the whole comparison is over: this object is not at fault.
        except Exception as error:
            findings.add_failure(f"{listing.id_of(snapshot)}: {type(error).__name__}: {error}")
            log.exception("drift_failed", origin="reconcile", **_labels(listing, snapshot))


def _compare_one(
    listing: Listing[Snapshot, Row], snapshot: Snapshot, row: Row | None, findings: Findings, *, cause: Cause
) -> None:
    if row is None and listing.apply is not None:
        _import(listing, snapshot, findings, cause=cause)
    elif row is None:
        _report_unknown(listing, snapshot, findings)
    elif not listing.agrees(snapshot, row):
        result = listing.refresh(row.pk, cause=cause)
        findings.refreshed += 1
        log.info("drift", origin="reconcile", **_labels(listing, snapshot), result=result)


def _report_unknown(listing: Listing[Snapshot, Row], snapshot: Snapshot, findings: Findings) -> None:
    """Money at Hyperswitch that no row of ours is about, such as a payment made in its dashboard, is in no book."""
    if snapshot.status in OPEN_AT_HYPERSWITCH | HOLDS_NOTHING:
        return
    findings.add_failure(f"{listing.id_of(snapshot)} is {snapshot.status} at Hyperswitch and not known here")
    log.error("drift_unknown", origin="reconcile", **_labels(listing, snapshot), status=snapshot.status)


def _labels(listing: Listing[Snapshot, Row], snapshot: Snapshot) -> dict[str, str]:
    return {"kind": listing.kind, "id": listing.id_of(snapshot), "payment": snapshot.payment_id}


def _import(listing: Listing[Snapshot, Row], snapshot: Snapshot, findings: Findings, *, cause: Cause) -> None:
    result = _apply(listing, snapshot, cause=cause)
    payment_key: UUID | None = row_id("pay", snapshot.payment_id)
    if result.text == Result.WAITING and payment_key is not None:
        # We do not know yet that the payment was received: apply the payment first, then this.
        refresh_payment(payment_key, cause=cause)
        result = _apply(listing, snapshot, cause=cause)
    findings.imports += result.text == Result.OK
    log.info("drift", origin="reconcile", **_labels(listing, snapshot), result=result.text)


@writes.atomic()
def _apply(listing: Listing[Snapshot, Any], snapshot: Snapshot, *, cause: Cause) -> HandlingResult:
    assert listing.apply is not None, "only what is made outside Veza is imported"
    return apply_ours(listing.apply, snapshot, cause=cause, at=timezone.now())
