"""The sellers' part of an order's history, in sentences, and what happens next."""

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
    WaitingFor.DISPUTE: "waits until the buyer's dispute is closed",
    WaitingFor.PAYMENT: "waits until it is certain that the buyer's money is there",
    WaitingFor.RELEASE: "waits until our staff release the seller's money",
    WaitingFor.DEBT: "is owed by the seller, whose Stripe balance was too low",
}


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """Transfers planned and sent, amounts withheld, and reversals, in no order."""
    return [*_transfers(correlation_id), *_set_offs(correlation_id), *_reversals(correlation_id)]


def next_steps(correlation_id: UUID) -> list[str]:
    """What happens next to transfers that are not final, and when."""
    rows = SellerTransfer.objects.filter(order=correlation_id).select_related("seller").order_by("pk")
    return [step for row in rows if (step := _next_step(row))]


def _transfers(correlation_id: UUID) -> list[TimelineLine]:
    texts = []
    for row in SellerTransfer.objects.filter(order=correlation_id).select_related("seller"):
        text = f"A transfer of {format_amount(row.amount_minor, row.currency)} to {row.seller.email} was planned."
        texts.append(TimelineLine(row.created_at, text, "open"))
        if row.completed_at is not None and row.sent_minor:
            text = f"Stripe sent {row.amount()} to {row.seller.email} ({row.stripe_transfer_id})."
            texts.append(TimelineLine(row.completed_at, text, "open"))
    return texts


def _set_offs(correlation_id: UUID) -> list[TimelineLine]:
    """A line in both orders: the one whose money was withheld, and the one it was owed for."""
    texts = []
    rows = SetOff.objects.filter(Q(transfer__order=correlation_id) | Q(debt__order=correlation_id))
    for one in rows.select_related("transfer__seller", "debt"):
        again = f" {format_amount(one.unwound_minor, one.currency)} is owed again." if one.unwound_minor else ""
        seller = one.transfer.seller.email
        if one.transfer.order_id == correlation_id:
            text = f"{one.amount()} was withheld from {seller}, who owed it for order {one.debt.order_id}.{again}"
        else:
            text = f"{one.amount()} that {seller} owed was withheld from order {one.transfer.order_id}.{again}"
        texts.append(TimelineLine(one.created_at, text, "open"))
    return texts


def _reversals(correlation_id: UUID) -> list[TimelineLine]:
    rows = list(TransferReversal.objects.filter(correlation_id=correlation_id).select_related("transfer__seller"))
    changes = StatusChange.objects.filter(subject_id__in=[row.pk for row in rows])
    ends = dict(changes.values_list("subject_id", "at"))
    texts = []
    for row in rows:
        at, seller = ends.get(row.pk, row.created_at), row.transfer.seller.email
        match row.status:
            case ReversalStatus.MADE:
                text = f"Stripe reversed {row.amount()} from {seller} ({row.stripe_reversal_id})."
            case ReversalStatus.REFUSED:
                why = row.error_message or row.error_code
                text = f"Stripe did not reverse {row.amount()} from {seller}: {why.rstrip('.')}."
            case _:
                text = f"Stripe was asked to reverse {row.amount()} from {seller}."
        texts.append(TimelineLine(at, text, "open"))
    return texts


def _next_step(row: SellerTransfer) -> str:
    what = f"The transfer of {row.amount()} to {row.seller.email}"
    if row.status == TransferStatus.REVERSAL_PENDING:
        what = f"{row.outstanding()} of {row.seller.email}"
    elif row.status == TransferStatus.PERMANENTLY_FAILED:
        return f"{what} failed and needs review: {row.last_error.rstrip('.')}."
    elif row.status not in TRANSFER_UNSENT:
        return ""
    when = f"{row.next_retry_at:%d %b %Y, %H:%M:%S} UTC" if row.next_retry_at else "once support retries it"
    if waits := _WAITS.get(WaitingFor(row.waiting_for)):
        return f"{what} {waits}; retried {when}."
    if row.status == TransferStatus.REVERSAL_PENDING:
        return f"{what} is reversed {when}."
    return f"{what} is sent {when}."
