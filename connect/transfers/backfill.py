"""Transfers that Stripe made and whose id we do not have: found again by account, time and order.

Metadata is no filter at Stripe, so the transfers to the account around the time we booked ours are listed and compared
here. Several that fit mean that the seller may have been paid twice: they are reported, and none is picked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from connect.models import ConnectedAccount, SellerTransfer
from connect.stripe import client
from connect.stripe.objects import RemoteTransfer
from connect.transfers.transfer_outcomes import several_found
from connect.worker.waiting import change
from veza.core import calls
from veza.core.outcomes import Accepted

# Our booking follows Stripe's by seconds; a transfer in doubt was looked for up to days later.
AROUND = timedelta(days=3)


class Found(StrEnum):
    """What looking for one transfer came to."""

    ONE = "one"
    NONE = "none"
    SEVERAL = "several"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Match:
    """A transfer of ours and what fits it at Stripe."""

    transfer: SellerTransfer
    found: Found
    stripe_transfer_ids: tuple[str, ...] = ()
    why: str = ""


def without_id() -> QuerySet[SellerTransfer]:
    """Transfers that were sent and have no id, the oldest first. One that only paid a debt never had any."""
    missing = Q(stripe_transfer_id__isnull=True) | Q(stripe_transfer_id="")
    sent = SellerTransfer.objects.filter(missing, completed_at__isnull=False, amount_minor__gt=F("set_off_minor"))
    return sent.order_by("pk")


def matches(*, store: bool, around: timedelta = AROUND) -> Iterator[Match]:
    """Look for each of them at Stripe. With `store` each id is kept as soon as it is found, in a commit of its own.

    Stopping loses nothing: what was stored is not looked for again.
    """
    for transfer_id in list(without_id().values_list("pk", flat=True)):
        match = _look_for(SellerTransfer.objects.get(pk=transfer_id), around)
        if store and match.found is Found.ONE:
            _store(transfer_id, match.stripe_transfer_ids[0])
        elif store and match.found is Found.SEVERAL:
            _report(transfer_id, match)
        yield match


def _look_for(transfer: SellerTransfer, around: timedelta) -> Match:
    destination = transfer.destination or _account_of(transfer.seller_id)
    if not destination or transfer.completed_at is None:
        return Match(transfer, Found.NONE, why="The seller has no account at Stripe.")
    listed = client.list_transfers(
        destination=destination,
        made_from=transfer.completed_at - around,
        made_until=transfer.completed_at + around,
    )
    calls.record(listed, subject=transfer, our_id=str(transfer.pk))
    if not isinstance(listed, Accepted):
        return Match(transfer, Found.NO_ANSWER, why=getattr(listed, "why", "") or getattr(listed, "message", ""))
    fitting = [snapshot.transfer_id for snapshot in listed.value if _fits(snapshot, transfer)]
    taken = set(
        SellerTransfer.objects.filter(stripe_transfer_id__in=fitting).values_list("stripe_transfer_id", flat=True)
    )
    names = tuple(name for name in fitting if name not in taken)
    found = Found.NONE if not names else Found.ONE if len(names) == 1 else Found.SEVERAL
    return Match(transfer, found, names)


def _fits(snapshot: RemoteTransfer, transfer: SellerTransfer) -> bool:
    if snapshot.our_id not in ("", str(transfer.pk)):
        return False
    same = (snapshot.order_id, snapshot.amount_minor, snapshot.currency)
    return same == (str(transfer.order_id), transfer.sent_minor, transfer.currency)


def _account_of(seller_id: UUID) -> str:
    account = ConnectedAccount.objects.filter(seller=seller_id).first()
    return (account.stripe_account_id or "") if account else ""


@transaction.atomic(durable=True)
def _store(transfer_id: UUID, stripe_transfer_id: str) -> None:
    transfer = SellerTransfer.objects.locked().get(pk=transfer_id)
    if not transfer.stripe_transfer_id:
        # Without an id, nothing Stripe said of a reversal can have found it: it is read.
        change(transfer, stripe_transfer_id=stripe_transfer_id, refresh_due_at=Now())


@transaction.atomic(durable=True)
def _report(transfer_id: UUID, match: Match) -> None:
    several_found(SellerTransfer.objects.get(pk=transfer_id), match.stripe_transfer_ids)
