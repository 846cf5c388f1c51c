"""Transfers that Stripe made and whose id Veza does not have: matched again by account, time and order.

Metadata is no filter at Stripe, so the transfers to the account around the time we booked ours are listed and compared
here. Several matches mean that the seller may have been paid twice: they are reported, and none is picked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from connect.models import LOCKED_TRANSFER, ConnectedAccount, SellerTransfer
from connect.stripe import client
from connect.stripe.objects import RemoteTransfer
from connect.transfers.transfer_outcomes import open_ambiguous_review
from connect.worker.retry_policy import update_fields
from veza.core import calls, writes
from veza.core.outcomes import Accepted

# Our booking follows Stripe's by seconds; a transfer in doubt was matched up to days later.
AROUND = timedelta(days=3)


class MatchCount(StrEnum):
    """How many of Stripe's transfers match one of ours."""

    ONE = "one"
    NONE = "none"
    SEVERAL = "several"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Match:
    """A transfer of ours and what matches it at Stripe."""

    transfer: SellerTransfer
    count: MatchCount
    stripe_transfer_ids: tuple[str, ...] = ()
    why: str = ""


def without_id() -> QuerySet[SellerTransfer]:
    """Transfers that were sent and have no id, the oldest first. One that only paid a debt never had any."""
    has_none = Q(stripe_transfer_id__isnull=True) | Q(stripe_transfer_id="")
    rows = SellerTransfer.objects.filter(has_none, completed_at__isnull=False, amount_minor__gt=F("withheld_minor"))
    return rows.order_by("pk")


def find_matches(*, store: bool, around: timedelta = AROUND) -> Iterator[Match]:
    """Match each of them at Stripe. With `store` each id is stored as soon as it is found, in a commit of its own.

    Stopping loses nothing: a transfer whose id is stored is not matched again.
    """
    for transfer_id in list(without_id().values_list("pk", flat=True)):
        match = _match(SellerTransfer.objects.get(pk=transfer_id), around)
        if store and match.count is MatchCount.ONE:
            _store(transfer_id, match.stripe_transfer_ids[0])
        elif store and match.count is MatchCount.SEVERAL:
            _report(transfer_id, match)
        yield match


def _match(transfer: SellerTransfer, around: timedelta) -> Match:
    destination = transfer.destination or _account_of(transfer.seller_id)
    if not destination or transfer.completed_at is None:
        return Match(transfer, MatchCount.NONE, why="The seller has no account at Stripe.")
    page = client.list_transfers(
        destination=destination,
        made_from=transfer.completed_at - around,
        made_until=transfer.completed_at + around,
    )
    calls.record(page, subject=transfer, our_id=str(transfer.pk))
    if not isinstance(page, Accepted):
        return Match(transfer, MatchCount.NO_ANSWER, why=getattr(page, "why", "") or getattr(page, "message", ""))
    candidates = [snapshot.transfer_id for snapshot in page.value if _fits(snapshot, transfer)]
    others = SellerTransfer.objects.filter(stripe_transfer_id__in=candidates)
    ids_in_use = set(others.values_list("stripe_transfer_id", flat=True))
    ids = tuple(candidate for candidate in candidates if candidate not in ids_in_use)
    count = MatchCount.NONE if not ids else MatchCount.ONE if len(ids) == 1 else MatchCount.SEVERAL
    return Match(transfer, count, ids)


def _fits(snapshot: RemoteTransfer, transfer: SellerTransfer) -> bool:
    if snapshot.our_id not in ("", str(transfer.pk)):
        return False
    theirs = (snapshot.order_id, snapshot.amount_minor, snapshot.currency)
    return theirs == (str(transfer.order_id), transfer.sent_minor, transfer.currency)


def _account_of(seller_id: UUID) -> str:
    account = ConnectedAccount.objects.filter(seller=seller_id).first()
    return (account.stripe_account_id or "") if account else ""


@writes.atomic()
def _store(transfer_id: UUID, stripe_transfer_id: str) -> None:
    transfer = LOCKED_TRANSFER.get(transfer_id)
    if not transfer.stripe_transfer_id:
        # Without an id, no webhook about a reversal can have matched the row: it is refreshed.
        update_fields(transfer, stripe_transfer_id=stripe_transfer_id, refresh_due_at=Now())


@writes.atomic()
def _report(transfer_id: UUID, match: Match) -> None:
    open_ambiguous_review(SellerTransfer.objects.get(pk=transfer_id), match.stripe_transfer_ids)
