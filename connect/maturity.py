"""What of a seller's money may not be paid out yet, by our own books.

The transfer of a sale is made at once, so that a reversal finds it. But a share stays in the seller's account at Stripe
until its sale is as old as PAYOUT_AFTER, or as finance has set for this seller: then its buyer cannot give it back any
more by themselves. Of an older sale, what is disputed, in a pending refund, in a refund that support has yet to decide
about, to be reversed or owed stays as well.

Only young sales and what is at stake are read, never a seller's whole history.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Max, Min, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Greatest, TruncDate

from connect.models import PayoutTerms, SellerTransfer
from connect.states import TransferStatus
from marketplace.models import Order
from marketplace.undecided_refunds import seller_shares_requested
from payments.ledger.chart_of_accounts import seller_account
from payments.models import Dispute, Payment, Refund
from payments.states import RefundStatus
from veza.core.accounts import refuse_own
from veza.core.causes import Cause

# A transfer is planned in the commit that completes its order; a worker's clock may differ from the database's.
CLOCKS_DIFFER_BY = timedelta(hours=1)
_IS_AT_STRIPE = Q(stripe_transfer_id__isnull=False) | Q(completed_at__isnull=False) | Q(in_doubt_since__isnull=False)
# The part of a transfer that is not asked back, and the part that is to be reversed.
_SHARE = Greatest(F("amount_minor") - F("withheld_minor") - F("reversal_target_minor") - F("offset_minor"), Value(0))
_OUTSTANDING = F("reversal_target_minor") - F("reversed_minor")


@dataclass(frozen=True)
class Maturity:
    """An amount that is maturing, and when all of it may be paid out."""

    amount_minor: int
    matures_at: datetime


@dataclass
class Reserve:
    """Of one currency, in minor units.

    `maturing` is by day, the earliest first; `matures_at` is when the first cent of it matures. `held_minor` waits for
    a decision about its order or is to be reversed. `kept_minor` is how much of both has to stay in the account at
    Stripe: what was not sent yet is not there.
    """

    maturing: list[Maturity] = field(default_factory=list)
    matures_at: datetime | None = None
    held_minor: int = 0
    kept_minor: int = 0

    @property
    def maturing_minor(self) -> int:
        return sum(day.amount_minor for day in self.maturing)

    def add_maturing(self, amount_minor: int, *, first_at: datetime, last_at: datetime) -> None:
        """Add what matures between two times of one day."""
        if amount_minor > 0:
            self.maturing.append(Maturity(amount_minor, last_at))
            self.maturing.sort(key=lambda day: day.matures_at)
            self.matures_at = min(first_at, self.matures_at or first_at)


def terms_of(seller_id: UUID) -> "QuerySet[PayoutTerms]":
    """What finance has set for the seller, the newest first: that is in force."""
    return PayoutTerms.objects.filter(seller=seller_id).order_by("-set_at", "-id")


def payout_after_of(seller_id: UUID) -> timedelta:
    """How old a sale of this seller has to be before its share may be paid out."""
    own: timedelta | None = terms_of(seller_id).values_list("payout_after", flat=True).first()
    return settings.PAYOUT_AFTER if own is None else own


@transaction.atomic
def set_payout_after(*, seller_id: UUID, payout_after: timedelta | None, cause: Cause) -> PayoutTerms:
    """Set for one seller how old a sale has to be; None: as PAYOUT_AFTER says. It applies to earlier sales too.

    Raises OwnAccount.
    """
    refuse_own(seller_id, cause)
    return PayoutTerms.objects.create(
        seller_id=seller_id, payout_after=payout_after, reason=cause.reason, set_by=cause.actor
    )


def reserves_of(seller_id: UUID, *, at: datetime, payout_after: timedelta | None = None) -> dict[str, Reserve]:
    """By currency, what of the seller's money may not be paid out at `at`; or could not, if a sale had to be
    `payout_after` old.
    """
    payout_after = payout_after_of(seller_id) if payout_after is None else payout_after
    reserves: dict[str, Reserve] = defaultdict(Reserve)
    at_stake = _at_stake(seller_id)
    own = SellerTransfer.objects.filter(seller=seller_id).exclude(status=TransferStatus.CANCELLED).order_by()
    undisputed = own.exclude(order__in=list(at_stake))
    sold_since = at - payout_after
    young = Q(created_at__gt=sold_since - CLOCKS_DIFFER_BY, order__completed_at__gt=sold_since)
    _add_young(undisputed.filter(young), payout_after, reserves)
    _add_owed(undisputed.exclude(order__completed_at__gt=sold_since), reserves)
    for order in Order.objects.filter(pk__in=at_stake).order_by("pk"):
        _add_order(order, own, at_stake[order.pk], payout_after, reserves[order.currency], at=at)
    return dict(reserves)


def _add_young(rows: "QuerySet[SellerTransfer]", payout_after: timedelta, reserves: dict[str, Reserve]) -> None:
    """All that is left of a young sale is maturing, and what is to be reversed of it is held."""
    days = rows.annotate(day=TruncDate("order__completed_at")).values("currency", "day")
    sums = days.annotate(
        share=Sum(_SHARE),
        owed=Sum(_OUTSTANDING),
        there=_sum_at_stripe(_SHARE),
        first=Min("order__completed_at"),
        last=Max("order__completed_at"),
    )
    for row in sums:
        reserve = reserves[row["currency"]]
        first_at, last_at = row["first"] + payout_after, row["last"] + payout_after
        reserve.add_maturing(row["share"], first_at=first_at, last_at=last_at)
        reserve.held_minor += row["owed"]
        reserve.kept_minor += row["there"] + row["owed"]


def _add_owed(rows: "QuerySet[SellerTransfer]", reserves: dict[str, Reserve]) -> None:
    """What is to be reversed of older sales, and what could not be reversed."""
    debts = rows.filter(status__in=(TransferStatus.REVERSAL_PENDING, TransferStatus.PERMANENTLY_FAILED))
    for row in debts.values("currency").annotate(owed=Sum(_OUTSTANDING)):
        reserves[row["currency"]].held_minor += row["owed"]
        reserves[row["currency"]].kept_minor += row["owed"]


def _add_order(
    order: Order,
    own: "QuerySet[SellerTransfer]",
    at_stake_minor: int | None,
    payout_after: timedelta,
    reserve: Reserve,
    *,
    at: datetime,
) -> None:
    """An order that waits for a decision: what is at stake is held, and the rest matures."""
    rows = own.filter(order=order)
    sums = rows.aggregate(share=Sum(_SHARE), owed=Sum(_OUTSTANDING), there=_sum_at_stripe(_SHARE))
    share, outstanding, there = (sums[name] or 0 for name in ("share", "owed", "there"))
    at_stake = share if at_stake_minor is None else min(share, at_stake_minor)
    matures_at = (order.completed_at or at) + payout_after
    is_young = matures_at > at
    if is_young:
        reserve.add_maturing(share - at_stake, first_at=matures_at, last_at=matures_at)
    reserve.held_minor += outstanding + at_stake
    reserve.kept_minor += outstanding + (there if is_young else min(there, at_stake))


def _sum_at_stripe(amount: Any) -> Any:
    return Sum(Case(When(_IS_AT_STRIPE, then=amount), default=Value(0)))


def _at_stake(seller_id: UUID) -> dict[UUID, int | None]:
    """By order, how much of the seller's share an open dispute, a pending refund, or a refund that support has yet to
    decide about asks for; None: that is not known.
    """
    account, sums = seller_account(seller_id), Counter(seller_shares_requested(seller_id))
    of_orders = {"payment__purpose": Payment.Purpose.ORDER, "allocation__has_key": account}
    disputes = Dispute.objects.filter(funds_location=Dispute.FundsLocation.SUSPENSE, **of_orders)
    refunds = Refund.objects.filter(status=RefundStatus.PENDING, **of_orders)
    for order_id, allocation in _allocations(disputes, refunds):
        sums[order_id] += allocation[account]
    return {**sums, **dict.fromkeys(_orders_of_unknown_amount(seller_id))}


def _allocations(*rows: "QuerySet[Any]") -> Iterable[tuple[UUID, dict[str, int]]]:
    for each in rows:
        yield from each.values_list("payment__purpose_id", "allocation")


def _orders_of_unknown_amount(seller_id: UUID) -> Iterable[UUID]:
    """The seller's orders of which a dispute or a refund takes an amount that finance has not entered yet."""
    facts = (Dispute.objects.in_doubt(), Refund.objects.of_unknown_amount())
    orders = {order_id for rows in facts for order_id in rows.values_list("payment__purpose_id", flat=True)}
    own = SellerTransfer.objects.filter(seller=seller_id, order__in=orders).order_by()
    return own.values_list("order_id", flat=True).distinct() if orders else ()
