"""A daily comparison with the provider's own lists: what it knows and we do not is taken in.

The lists are of what was made in a time, not of what changed: what is open on our side is asked about by id instead
(payments/reconcile.py).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction
from django.utils import timezone

from payments.hyperswitch import client
from payments.inbox.intake import Event, NotAnEvent, Result
from payments.models import Dispute, Refund
from payments.reconciliation.refresh import refresh_payment
from payments.webhooks import DELIVERED
from veza.core.causes import Cause
from veza.core.ids import new_id, row_id
from veza.core.outcomes import Accepted, Outcome
from veza.core.sweeps import Tally, beat

log = structlog.get_logger(__name__)
WORKER = "payments.compare_lists"
# Each object is looked at on eight days: a provider that is away for a week costs nothing.
WINDOW = timedelta(days=8)
Said = Mapping[str, Any]


@dataclass
class Findings:
    """How many objects the provider listed, how many were news or could not be booked, whether every page came, and
    what went wrong last.
    """

    listed: int = 0
    news: int = 0
    failed: int = 0
    complete: bool = True
    last_error: str = ""


def compare(*, cause: Cause, until: datetime | None = None) -> Findings:
    """Take in disputes and refunds of the last days that we do not know, or know otherwise.

    One that cannot be booked is logged and counted, and stops none of the others. Disputes come first: they have a day
    by which to be answered. Coming to the end leaves a heartbeat, which tells of a list that could not be read.
    """
    until = until or timezone.now() + timedelta(minutes=1)  # The provider's clock may be ahead of ours.
    findings = Findings()
    for payload in _all(client.list_disputes, until, findings):
        _look_at("dispute", payload, _is_known_dispute, findings, cause=cause)
    for payload in _all(client.list_refunds, until, findings):
        _look_at("refund", payload, _is_known_refund, findings, cause=cause)
    log.info("drift_compared", origin="reconcile", **asdict(findings))
    beat(WORKER, Tally(findings.listed, findings.failed + (not findings.complete), findings.last_error))
    return findings


def _look_at(kind: str, payload: Said, is_known: Callable[[Said], bool], findings: Findings, *, cause: Cause) -> None:
    try:
        if not is_known(payload):
            _take_in(kind, payload, findings, cause=cause)
    except SoftTimeLimitExceeded:
        raise  # The time of the whole is over: no fault of this one.
    except Exception as error:
        findings.failed += 1
        findings.last_error = f"{payload.get(f'{kind}_id')}: {type(error).__name__}: {error}"
        log.exception("drift_failed", origin="reconcile", **_named(kind, payload))


def _named(kind: str, payload: Said) -> dict[str, str]:
    return {"kind": kind, "id": str(payload.get(f"{kind}_id")), "payment": str(payload.get("payment_id"))}


def _all(page: Callable[..., Outcome[list[Said]]], until: datetime, findings: Findings) -> Iterator[Said]:
    offset = 0
    while True:
        outcome = page(since=until - WINDOW, until=until, offset=offset)
        if not isinstance(outcome, Accepted):
            log.warning("drift_list_not_read", origin="reconcile", path=outcome.call.path, status=outcome.call.status)
            findings.complete = False
            findings.last_error = f"{outcome.call.path} could not be read (status {outcome.call.status})"
            return
        yield from outcome.value
        findings.listed += len(outcome.value)
        offset += len(outcome.value)
        if len(outcome.value) < client.PAGE:
            return


def _is_known_refund(payload: Said) -> bool:
    known = Refund.objects.filter(hyperswitch_refund_id=str(payload.get("refund_id")))
    return known.filter(status=str(payload.get("status"))).exists()


def _is_known_dispute(payload: Said) -> bool:
    known = Dispute.objects.filter(hyperswitch_dispute_id=str(payload.get("dispute_id")))
    return known.filter(status=str(payload.get("dispute_status")).removeprefix("dispute_")).exists()


def _take_in(kind: str, payload: Said, findings: Findings, *, cause: Cause) -> None:
    result = _book(kind, payload, cause=cause)
    payment_key = row_id("pay", payload.get("payment_id"))
    if result == Result.WAITING and payment_key is not None:
        # Money went back that we have not heard of coming: first the payment, then this.
        refresh_payment(payment_key, cause=cause)
        result = _book(kind, payload, cause=cause)
    findings.news += result == Result.OK
    log.info("drift", origin="reconcile", **_named(kind, payload), result=result)


def _book(kind: str, payload: Said, *, cause: Cause) -> str:
    event = Event(f"drift_{new_id().hex}", f"{kind}_listed", payload, origin="reconcile")
    try:
        with transaction.atomic(durable=True):
            return str(DELIVERED[kind](event, cause=cause, at=timezone.now()).result)
    except NotAnEvent as error:
        return f"error: {error}"
