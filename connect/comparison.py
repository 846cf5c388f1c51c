"""A comparison with Stripe's own list of transfers: what differs is read by its id, and a lost answer is booked.

Stripe keeps no list of what changed, so every transfer is compared at several ages (veza/core/comparisons.py). A payout
is read again at the later ages: a bank may return it, and Stripe lists payouts for each account by itself.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerPayout, SellerTransfer
from connect.stripe import client
from connect.stripe.objects import RemoteTransfer
from connect.transfers.transfer_outcomes import book_lost_answer, find_transfer
from connect.transfers.transfer_refresh import refresh_transfer
from veza.core import writes
from veza.core.causes import Cause, by_sweep
from veza.core.comparisons import Findings, Period, due_periods, mark_compared
from veza.core.outcomes import Accepted
from veza.core.sweeps import beat

log = structlog.get_logger(__name__)
SWEEP = "connect.compare_lists"
TRANSFER_AGES = (0, 1, 7, 30, 90, 180)
PAYOUT_AGES = (30, 90, 180)


def compare(*, now: datetime | None = None) -> Findings:
    """Compare what Stripe has with our rows, of the ages that are due.

    A transfer that cannot be compared is logged and counted, and the others continue. Coming to the end leaves a
    heartbeat, which reports a list that could not be read: it is read the next time.
    """
    cause, now, findings = by_sweep(SWEEP), now or timezone.now(), Findings()
    for period in due_periods("stripe transfers", TRANSFER_AGES, now=now):
        if not _compare_transfers(period, findings, cause=cause):
            break
        mark_compared(period)
    for period in due_periods("stripe payouts", PAYOUT_AGES, now=now):
        _read_payouts_again(period)
        mark_compared(period)
    log.info("stripe_compared", **asdict(findings))
    beat(SWEEP, findings.tally())
    return findings


def _compare_transfers(period: Period, findings: Findings, *, cause: Cause) -> bool:
    """Whether the whole period could be read."""
    for page in _pages(period, findings):
        if page is None:
            return False
        rows = SellerTransfer.objects.filter(stripe_transfer_id__in=[one.transfer_id for one in page])
        ours = {row.stripe_transfer_id: row for row in rows}
        for snapshot in page:
            try:
                _compare_one(snapshot, ours.get(snapshot.transfer_id), findings, cause=cause)
            except SoftTimeLimitExceeded:
                raise  # The time of the whole comparison is over: this transfer is not at fault.
            except Exception as error:
                findings.add_failure(f"{snapshot.transfer_id}: {type(error).__name__}: {error}")
                log.exception("stripe_comparison_failed", transfer=snapshot.transfer_id)
    return True


def _pages(period: Period, findings: Findings) -> Iterator[tuple[RemoteTransfer, ...] | None]:
    """The pages of one period; None, and no more, when one could not be read."""
    last_id, has_more = "", True
    while has_more:
        page = client.list_transfers_of_period(made_from=period.since, made_until=period.until, starting_after=last_id)
        findings.calls += 1
        if not isinstance(page, Accepted):
            findings.add_unread_list(page)
            yield None
            return
        transfers = page.value.transfers
        findings.entries += len(transfers)
        has_more = page.value.has_more and bool(transfers)
        last_id = transfers[-1].transfer_id if transfers else ""
        yield transfers


def _compare_one(snapshot: RemoteTransfer, row: SellerTransfer | None, findings: Findings, *, cause: Cause) -> None:
    if row is None:
        _book(snapshot, findings, cause=cause)
    elif row.reversed_minor != snapshot.reversed_minor:
        refresh_transfer(row.pk, cause=cause)
        findings.refreshed += 1


@writes.atomic()
def _book(snapshot: RemoteTransfer, findings: Findings, *, cause: Cause) -> None:
    """Money that left our balance and that no row of ours is about, such as a transfer by hand, is in no book."""
    transfer = find_transfer(snapshot)
    if transfer is not None and book_lost_answer(transfer, snapshot, cause=cause, at=timezone.now()):
        findings.imports += 1
    elif transfer is None and snapshot.reversed_minor < snapshot.amount_minor:
        findings.add_failure(f"{snapshot.transfer_id} was made outside Veza and is in no book")
        log.error("stripe_transfer_unknown", transfer=snapshot.transfer_id, destination=snapshot.destination)


def _read_payouts_again(period: Period) -> None:
    payouts = SellerPayout.objects.filter(created_at__gte=period.since, created_at__lte=period.until)
    payouts.filter(external_payout_id__isnull=False, next_attempt_at__isnull=True).update(next_attempt_at=Now())
