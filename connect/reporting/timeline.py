"""What happened to the sellers' part of a story, in sentences, and what happens next."""

from uuid import UUID

from django.db.models import Q

from connect.models import SellerTransfer, SetOff, TransferReversal, WaitingFor
from connect.states import TRANSFER_UNSENT, ReversalStatus, TransferStatus
from veza.core.models import StatusChange
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine

_WAITS = {
    WaitingFor.ACCOUNT: "waits until the seller's Stripe account can receive transfers",
    WaitingFor.PLATFORM_BALANCE: "waits until our balance at Stripe is high enough",
    WaitingFor.DISPUTE: "waits until the buyer's dispute is decided",
    WaitingFor.DEBT: "is owed by the seller, whose Stripe balance was too low",
}


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """Transfers planned and sent, what was kept back, and what was taken back again, in no order."""
    return [*_transfers(correlation_id), *_set_offs(correlation_id), *_reversals(correlation_id)]


def next_steps(correlation_id: UUID) -> list[str]:
    """What will happen to transfers that are not at rest, and when."""
    rows = SellerTransfer.objects.filter(order=correlation_id).select_related("seller").order_by("pk")
    return [step for row in rows if (step := _next_step(row))]


def _transfers(correlation_id: UUID) -> list[TimelineLine]:
    told = []
    for row in SellerTransfer.objects.filter(order=correlation_id).select_related("seller"):
        planned = f"A transfer of {format_amount(row.amount_minor, row.currency)} to {row.seller.email} was planned."
        told.append(TimelineLine(row.created_at, planned, "open"))
        if row.completed_at is not None and row.sent_minor:
            sent = f"Stripe sent {row.amount()} to {row.seller.email} ({row.stripe_transfer_id})."
            told.append(TimelineLine(row.completed_at, sent, "open"))
    return told


def _set_offs(correlation_id: UUID) -> list[TimelineLine]:
    """Told in both orders: the one whose money was kept back, and the one it was owed for."""
    told = []
    rows = SetOff.objects.filter(Q(transfer__order=correlation_id) | Q(debt__order=correlation_id))
    for one in rows.select_related("transfer__seller", "debt"):
        undone = f" {format_amount(one.undone_minor, one.currency)} of it is owed again." if one.undone_minor else ""
        seller = one.transfer.seller.email
        if one.transfer.order_id == correlation_id:
            text = f"{one.amount()} was kept back from {seller}, who owed it for order {one.debt.order_id}.{undone}"
        else:
            text = f"{one.amount()} that {seller} owed was kept back from order {one.transfer.order_id}.{undone}"
        told.append(TimelineLine(one.created_at, text, "open"))
    return told


def _reversals(correlation_id: UUID) -> list[TimelineLine]:
    rows = list(TransferReversal.objects.filter(correlation_id=correlation_id).select_related("transfer__seller"))
    ends = StatusChange.objects.filter(subject_id__in=[row.pk for row in rows])
    ended_at = dict(ends.values_list("subject_id", "at"))
    told = []
    for row in rows:
        at, seller = ended_at.get(row.pk, row.created_at), row.transfer.seller.email
        match row.status:
            case ReversalStatus.MADE:
                text = f"Stripe took back {row.amount()} from {seller} ({row.stripe_reversal_id})."
            case ReversalStatus.REFUSED:
                why = row.error_message or row.error_code
                text = f"Stripe did not take back {row.amount()} from {seller}: {why.rstrip('.')}."
            case _:
                text = f"Stripe is asked to take back {row.amount()} from {seller}."
        told.append(TimelineLine(at, text, "open"))
    return told


def _next_step(row: SellerTransfer) -> str:
    what = f"The transfer of {row.amount()} to {row.seller.email}"
    if row.status == TransferStatus.REVERSAL_PENDING:
        what = f"{row.owed()} of {row.seller.email}"
    elif row.status == TransferStatus.PERMANENTLY_FAILED:
        return f"{what} was given up and waits for a person: {row.last_error.rstrip('.')}."
    elif row.status not in TRANSFER_UNSENT:
        return ""
    when = f"{row.next_retry_at:%d %B, %H:%M:%S}" if row.next_retry_at else "once a person says so"
    if waits := _WAITS.get(WaitingFor(row.waiting_for)):
        return f"{what} {waits}; looked at again {when}."
    if row.status == TransferStatus.REVERSAL_PENDING:
        return f"{what} is taken back {when}."
    return f"{what} is sent {when}."
