"""Transfers are refreshed from Stripe after it reported a change: external reversals are imported and booked.

The webhook only makes the row due: deliveries come late, twice and out of order, the transfer read now does not.
"""

from datetime import datetime
from uuid import UUID

import structlog
from django.utils import timezone

from connect.models import LOCKED_TRANSFER, SellerTransfer
from connect.reversals.reversal_outcomes import REVERSED_TWICE
from connect.reversals.reversal_refresh import apply_reversals, schedule_refresh
from connect.stripe import client
from connect.stripe.objects import RemoteTransfer
from connect.transfers.transfer_outcomes import SENT_TWICE, book_lost_answer
from connect.worker.retry_policy import REFRESH_LEASE, update_fields
from veza.core import calls, writes
from veza.core.causes import Cause, by_sweep
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted, Outcome, Refused
from veza.core.reviews import close_review, open_review
from veza.core.sweeps import TICK_FOR, Queue, Tally, tick

log = structlog.get_logger(__name__)
SWEEP = "connect.look_at_transfers"
NOT_READABLE, UNLISTED = "transfer_not_readable", "reversals_cannot_be_listed"


def refresh_due() -> Tally:
    """Refresh every transfer that Stripe reported a change of."""
    cause = by_sweep(SWEEP)
    rows = SellerTransfer.objects.filter(refresh_due_at__isnull=False)
    return tick(
        SWEEP,
        Queue(rows, due="refresh_due_at", lease=REFRESH_LEASE),
        lambda row: refresh_transfer(row.pk, cause=cause),
        lasting=TICK_FOR / 2,
    )


def refresh_transfer(transfer_id: UUID, *, cause: Cause) -> Outcome[RemoteTransfer] | None:
    """Read one transfer at Stripe and book what was reversed. None when Stripe does not have it.

    One whose answer was lost is looked for, and booked when it is there.
    """
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    if not transfer.stripe_transfer_id:
        return _search(transfer, cause=cause) if transfer.in_doubt_since is not None else None
    read_at = timezone.now()
    outcome = client.read_transfer(transfer.stripe_transfer_id)
    calls.record(outcome, subject=transfer, our_id=transfer.stripe_transfer_id)
    if isinstance(outcome, Accepted):
        apply_transfer(transfer_id, outcome.value, due_at=transfer.refresh_due_at, read_at=read_at, cause=cause)
        _check_duplicates(transfer)
    elif isinstance(outcome, Refused):
        _report_unreadable(transfer_id, outcome, due_at=transfer.refresh_due_at)
    else:
        _postpone(transfer_id)
    return outcome


def _search(transfer: SellerTransfer, *, cause: Cause) -> Outcome[RemoteTransfer] | None:
    page = client.list_transfers(transfer_group=str(transfer.order_id))
    calls.record(page, subject=transfer, our_id=str(transfer.order_id))
    if not isinstance(page, Accepted):
        return page
    matches = [snapshot for snapshot in page.value if snapshot.our_id == str(transfer.pk)]
    with writes.atomic():
        row = LOCKED_TRANSFER.get(transfer.pk)
        for snapshot in matches:
            book_lost_answer(row, snapshot, cause=cause, at=timezone.now())
    return Accepted(matches[0], page.call) if matches else None


@writes.atomic()
def apply_transfer(
    transfer_id: UUID, snapshot: RemoteTransfer, *, due_at: datetime | None, read_at: datetime, cause: Cause
) -> None:
    """Book what a snapshot of the transfer, read at `read_at`, shows.

    `due_at` is when the refresh was due: if Stripe reported another change since, there will be another refresh.
    """
    transfer, at = LOCKED_TRANSFER.get(transfer_id), timezone.now()
    if not apply_reversals(transfer, snapshot, read_at=read_at, cause=cause, at=at):
        _report_unlisted(transfer, snapshot)
    elif transfer.reversed_minor == snapshot.reversed_minor:
        for kind in (NOT_READABLE, UNLISTED, REVERSED_TWICE):
            close_review(kind, transfer, note="Stripe and Veza have reversed the same amount of it.")
    _end_refresh(transfer, due_at)


def _check_duplicates(transfer: SellerTransfer) -> None:
    """Close the review item about several transfers of this row once Stripe has reversed the others in full."""
    if not ReviewItem.objects.filter(kind=SENT_TWICE, subject_id=transfer.pk, closed_at__isnull=True).exists():
        return
    page = client.list_transfers(transfer_group=str(transfer.order_id))
    calls.record(page, subject=transfer, our_id=str(transfer.order_id))
    if not isinstance(page, Accepted):
        return
    own = (one for one in page.value if one.our_id == str(transfer.pk))
    others = [one for one in own if one.transfer_id != transfer.stripe_transfer_id]
    if all(one.reversed_minor == one.amount_minor for one in others):
        close_review(SENT_TWICE, transfer, note="Every other transfer of it was reversed in full.")


@writes.atomic()
def _postpone(transfer_id: UUID) -> None:
    """Without an answer it is read again when the lease is over; an unanswered reversal on its own schedule."""
    schedule_refresh(LOCKED_TRANSFER.get(transfer_id), at=timezone.now())


def _end_refresh(transfer: SellerTransfer, due_at: datetime | None) -> None:
    if transfer.refresh_due_at == due_at:
        update_fields(transfer, refresh_due_at=None)
        schedule_refresh(transfer, at=timezone.now())


@writes.atomic()
def _report_unreadable(transfer_id: UUID, refusal: Refused, *, due_at: datetime | None) -> None:
    transfer = LOCKED_TRANSFER.get(transfer_id)
    _end_refresh(transfer, due_at)
    open_review(
        NOT_READABLE,
        transfer,
        why=f"Stripe reported a change to {transfer.stripe_transfer_id} and does not show it: {refusal.code}.",
        what_to_do="Ops: find the transfer in Stripe's dashboard, then press “Refresh from Stripe” on its page.",
        amount_minor=transfer.sent_minor,
        currency=transfer.currency,
    )


def _report_unlisted(transfer: SellerTransfer, snapshot: RemoteTransfer) -> None:
    log.error("reversals_cannot_be_listed", transfer=str(transfer.pk), reversed_minor=snapshot.reversed_minor)
    open_review(
        UNLISTED,
        transfer,
        why=f"Stripe shows {snapshot.reversed_minor} reversed, and its newest reversals do not add up to it.",
        what_to_do="Compare the transfer's reversals in Stripe's dashboard with ours, then press “Refresh from Stripe” "
        "on its page.",
        amount_minor=snapshot.reversed_minor - transfer.reversed_minor,
        currency=transfer.currency,
    )
