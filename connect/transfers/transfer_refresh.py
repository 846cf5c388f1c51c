"""A look at Stripe after it told us that something happened to a transfer: what is new is booked.

The news itself is only a nudge: deliveries come late, twice and out of order, the transfer as it is read now does
not.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer
from connect.reversals.external_reversals import adopt
from connect.reversals.reversal_outcomes import go_on
from connect.states import ReversalStatus, TransferStatus
from connect.stripe import client
from connect.stripe.objects import RemoteTransfer
from connect.worker.waiting import change, update_failed_review
from veza.core import calls
from veza.core.causes import Cause, by_sweep
from veza.core.outcomes import Accepted, Outcome, Refused
from veza.core.reviews import open_review
from veza.core.sweeps import TICK_FOR, Queue, Tally, tick

log = structlog.get_logger(__name__)
SWEEP = "connect.look_at_transfers"
# After a look that brought no answer, the next one.
LOOK_AGAIN_AFTER = timedelta(minutes=5)


def refresh_due() -> Tally:
    """Read every transfer that Stripe has told us something about."""
    cause = by_sweep(SWEEP)
    nudged = SellerTransfer.objects.filter(refresh_due_at__isnull=False)
    return tick(
        SWEEP,
        Queue(nudged, due="refresh_due_at", lease=LOOK_AGAIN_AFTER),
        lambda row: refresh_transfer(row.pk, cause=cause),
        lasting=TICK_FOR / 2,
    )


def refresh_transfer(transfer_id: UUID, *, cause: Cause) -> Outcome[RemoteTransfer] | None:
    """Read one transfer at Stripe and book what was taken back. None when Stripe has no such transfer of ours."""
    transfer = SellerTransfer.objects.get(pk=transfer_id)
    if not transfer.stripe_transfer_id:
        return None
    outcome = client.read_transfer(transfer.stripe_transfer_id)
    calls.record(outcome, subject=transfer, our_id=transfer.stripe_transfer_id)
    if isinstance(outcome, Accepted):
        apply_transfer(transfer_id, outcome.value, asked_under=transfer.refresh_due_at, cause=cause)
    elif isinstance(outcome, Refused):
        _not_there(transfer_id, outcome, asked_under=transfer.refresh_due_at)
    return outcome


@transaction.atomic(durable=True)
def apply_transfer(transfer_id: UUID, snapshot: RemoteTransfer, *, asked_under: datetime | None, cause: Cause) -> None:
    """Book what reading the transfer showed. Our own reversal, while it is unanswered, is left to its worker.

    `asked_under` is when the look was due: if Stripe told us of something newer since, there will be another one.
    """
    transfer, at = SellerTransfer.objects.locked().get(pk=transfer_id), timezone.now()
    _looked(transfer, asked_under)
    if snapshot.reversed_minor <= transfer.reversed_minor:
        return
    intent = transfer.reversals.filter(status=ReversalStatus.SENDING).first()
    if not adopt(transfer, snapshot, intent=intent, cause=cause, at=at):
        _cannot_be_listed(transfer, snapshot)
        return
    unanswered = intent is not None and intent.status == ReversalStatus.SENDING
    given_up = transfer.status == TransferStatus.PERMANENTLY_FAILED and transfer.owed_minor > 0
    if given_up:
        update_failed_review(transfer)
    elif not unanswered:
        go_on(transfer, cause=cause, at=at)


def _looked(transfer: SellerTransfer, asked_under: datetime | None) -> None:
    if transfer.refresh_due_at == asked_under:
        change(transfer, refresh_due_at=None)


@transaction.atomic(durable=True)
def _not_there(transfer_id: UUID, refused: Refused, *, asked_under: datetime | None) -> None:
    transfer = SellerTransfer.objects.locked().get(pk=transfer_id)
    _looked(transfer, asked_under)
    open_review(
        "transfer_not_readable",
        transfer,
        why=f"Stripe told us of a change to {transfer.stripe_transfer_id} and does not show it: {refused.code}.",
        what_to_do="Look for the transfer in Stripe's dashboard and compare what was taken back.",
        amount_minor=transfer.sent_minor,
        currency=transfer.currency,
    )


def _cannot_be_listed(transfer: SellerTransfer, snapshot: RemoteTransfer) -> None:
    log.error("reversals_cannot_be_listed", transfer=str(transfer.pk), reversed_minor=snapshot.reversed_minor)
    open_review(
        "reversals_cannot_be_listed",
        transfer,
        why=f"Stripe took back {snapshot.reversed_minor} and its newest reversals do not add up to what is new.",
        what_to_do="Compare the transfer's reversals in Stripe's dashboard with ours.",
        amount_minor=snapshot.reversed_minor - transfer.reversed_minor,
        currency=transfer.currency,
    )
