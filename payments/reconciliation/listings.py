"""A daily comparison with Hyperswitch's own lists: what it has and we do not is imported.

The lists are of what was created in a period, not of what changed: what is open on our side is refreshed by id instead
(payments/reconciliation/refresh.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch import client
from payments.hyperswitch.objects import RemoteDispute, RemoteRefund, Unreadable
from payments.inbox.intake import HandlingResult, Result
from payments.models import Dispute, Refund
from payments.reconciliation.refresh import refresh_payment
from payments.refunds.refund_updates import apply_refund
from payments.webhooks import Apply, apply_ours
from veza.core import writes
from veza.core.causes import Cause
from veza.core.ids import row_id
from veza.core.outcomes import Accepted, Outcome
from veza.core.sweeps import Tally, beat

log = structlog.get_logger(__name__)
WORKER = "payments.compare_lists"
# Each object is compared on eight days: an outage of a week loses nothing.
WINDOW = timedelta(days=8)


class ListEntry(Protocol):
    """What every object on a list has."""

    @property
    def payment_id(self) -> str: ...

    @property
    def profile_id(self) -> str: ...

    @property
    def status(self) -> str: ...


Snapshot = TypeVar("Snapshot", bound=ListEntry)


@dataclass(frozen=True)
class Listing(Generic[Snapshot]):
    """One of Hyperswitch's lists, and how an object on it is compared and applied."""

    kind: str
    page: Callable[..., Outcome[list[Snapshot | Unreadable]]]
    id_of: Callable[[Snapshot], str]
    is_known: Callable[[Snapshot], bool]
    apply: Apply[Snapshot]


@dataclass
class Findings:
    """How many objects were on the lists, how many of them were imported or failed, whether every page could be read,
    and the last error.
    """

    entries: int = 0
    imports: int = 0
    failures: int = 0
    complete: bool = True
    last_error: str = ""


def _is_known_refund(snapshot: RemoteRefund) -> bool:
    return Refund.objects.filter(hyperswitch_refund_id=snapshot.refund_id, status=snapshot.status).exists()


def _is_known_dispute(snapshot: RemoteDispute) -> bool:
    status = snapshot.status.removeprefix("dispute_")
    return Dispute.objects.filter(hyperswitch_dispute_id=snapshot.dispute_id, status=status).exists()


DISPUTES = Listing("dispute", client.list_disputes, lambda one: one.dispute_id, _is_known_dispute, apply_dispute)
REFUNDS = Listing("refund", client.list_refunds, lambda one: one.refund_id, _is_known_refund, apply_refund)


def compare(*, cause: Cause, until: datetime | None = None) -> Findings:
    """Import disputes and refunds of the last days that we do not have, or have with another status.

    One that cannot be applied is logged and counted, and the others continue. Disputes come first: their evidence has a
    deadline. Coming to the end leaves a heartbeat, which reports a list that could not be read.
    """
    until = until or timezone.now() + timedelta(minutes=1)  # Hyperswitch's clock may be ahead of ours.
    findings = Findings()
    _compare(DISPUTES, until, findings, cause=cause)
    _compare(REFUNDS, until, findings, cause=cause)
    log.info("drift_compared", origin="reconcile", **asdict(findings))
    beat(WORKER, Tally(findings.entries, findings.failures + (not findings.complete), findings.last_error))
    return findings


def _compare(listing: Listing[Snapshot], until: datetime, findings: Findings, *, cause: Cause) -> None:
    for snapshot in _objects(listing, until, findings):
        if isinstance(snapshot, Unreadable):
            findings.failures += 1
            findings.last_error = f"a {listing.kind} could not be read: {snapshot}"
            log.error("drift_unreadable", origin="reconcile", kind=listing.kind, error=str(snapshot))
            continue
        try:
            if not listing.is_known(snapshot):
                _import(listing, snapshot, findings, cause=cause)
        except SoftTimeLimitExceeded:
            raise  # The time of the whole comparison is over: this object is not at fault.
        except Exception as error:
            findings.failures += 1
            findings.last_error = f"{listing.id_of(snapshot)}: {type(error).__name__}: {error}"
            log.exception("drift_failed", origin="reconcile", **_labels(listing, snapshot))


def _labels(listing: Listing[Snapshot], snapshot: Snapshot) -> dict[str, str]:
    return {"kind": listing.kind, "id": listing.id_of(snapshot), "payment": snapshot.payment_id}


def _objects(listing: Listing[Snapshot], until: datetime, findings: Findings) -> Iterator[Snapshot | Unreadable]:
    offset = 0
    while True:
        outcome = listing.page(since=until - WINDOW, until=until, offset=offset)
        if not isinstance(outcome, Accepted):
            log.warning("drift_list_not_read", origin="reconcile", path=outcome.call.path, status=outcome.call.status)
            findings.complete = False
            findings.last_error = f"{outcome.call.path} could not be read (status {outcome.call.status})"
            return
        yield from outcome.value
        findings.entries += len(outcome.value)
        offset += len(outcome.value)
        if len(outcome.value) < client.PAGE:
            return


def _import(listing: Listing[Snapshot], snapshot: Snapshot, findings: Findings, *, cause: Cause) -> None:
    result = _apply(listing, snapshot, cause=cause)
    payment_key = row_id("pay", snapshot.payment_id)
    if result.text == Result.WAITING and payment_key is not None:
        # We do not know yet that the payment was received: apply the payment first, then this.
        refresh_payment(payment_key, cause=cause)
        result = _apply(listing, snapshot, cause=cause)
    findings.imports += result.text == Result.OK
    log.info("drift", origin="reconcile", **_labels(listing, snapshot), result=result.text)


@writes.atomic()
def _apply(listing: Listing[Snapshot], snapshot: Snapshot, *, cause: Cause) -> HandlingResult:
    return apply_ours(listing.apply, snapshot, cause=cause, at=timezone.now())
