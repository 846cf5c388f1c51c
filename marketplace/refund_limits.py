"""What a refund may take without support: a seller's goodwill, and who the provider's ten refunds of a payment are for.

A refund takes whole items, all that is left of them, and with it their licences; or an amount, and the licences stay.
Sellers and staff refund amounts. A seller's end at a part of an item's price: above it a seller refunds the item, since
"99 % back, and pay me outside" would be a sale without our fee.

Hyperswitch makes MOST_REFUNDS refunds of a payment. The last two are for what empties the order, and for staff. Of the
others a seller leaves one to the buyer, and one to each other seller of whose items something is left, unless they give
back all of their own items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from marketplace.allocation import ItemShares
from marketplace.models import OrderItem, RefundLine
from payments.models import Payment, Refund
from payments.refunds.refund_requests import MOST_REFUNDS, RefundAlreadyRequested, RefundLimitReached
from payments.states import RefundStatus
from veza.core.errors import NotAllowed
from veza.core.money import basis_points_of, format_amount

# Of the provider's refunds of a payment: those kept for what empties the order, and for staff.
LAST_REFUNDS = 2
_DECIDED_BY_VEZA = (Refund.Source.EXTERNAL, Refund.Source.VOID, Refund.Source.BANK)


class BuyerRefundsWholeItems(NotAllowed):
    code = "buyer_refunds_whole_items"
    http_status = 403


class GoodwillLimitReached(NotAllowed):
    code = "seller_goodwill_limit"


class SellerRefundLimitReached(RefundLimitReached):
    code = "seller_refund_limit"


class RefundsReserved(RefundLimitReached):
    code = "refunds_reserved"


@dataclass(frozen=True)
class RefundProposal:
    """What a request comes to: the part of each item that it takes, of what is left of the whole order."""

    source: Refund.Source
    requested_by_id: UUID
    parts: Sequence[ItemShares]
    remaining: Sequence[ItemShares]

    @property
    def total_minor(self) -> int:
        return sum(part.total_minor for part in self.parts)

    @property
    def is_by_amount(self) -> bool:
        """Whether something is left of one of its items: then that licence stays."""
        remaining = _totals(self.remaining)
        return any(part.total_minor < remaining[part.item_id] for part in self.parts)

    @property
    def empties_order(self) -> bool:
        """Whether nothing is left of the order after it."""
        return self.total_minor == sum(share.total_minor for share in self.remaining)

    def sellers_left(self) -> set[UUID]:
        """The sellers of whose items something is left after it."""
        parts = _totals(self.parts)
        rest = (share for share in self.remaining if share.total_minor > parts.get(share.item_id, 0))
        return {share.seller_id for share in rest}


def refuse_beyond_limits(payment: Payment, items: Sequence[OrderItem], proposal: RefundProposal) -> None:
    """Raise the rule that a refund of a locked payment breaks.

    GoodwillLimitReached, SellerRefundLimitReached, RefundsReserved, or RefundAlreadyRequested for an amount while
    another amount of the same items is pending: that may be the same request, sent twice.
    """
    if proposal.is_by_amount:
        _refuse_second_amount(proposal)
    if proposal.source == Refund.Source.SELLER and proposal.is_by_amount:
        _refuse_above_goodwill(items, proposal, currency=payment.currency)
        _refuse_beyond_own_share(payment, proposal)
    if proposal.source != Refund.Source.SUPPORT and not proposal.empties_order:
        _refuse_reserved(payment, proposal)


def _refuse_second_amount(proposal: RefundProposal) -> None:
    """A refund under review blocks no other one: it may stay pending for ever."""
    pending = RefundLine.objects.filter(
        item__in=[part.item_id for part in proposal.parts], refund__status=RefundStatus.PENDING
    ).exclude(refund__source__in=_DECIDED_BY_VEZA)
    if timedelta(0) < settings.REFUND_REVIEW_AFTER:
        pending = pending.filter(refund__created_at__gt=timezone.now() - settings.REFUND_REVIEW_AFTER)
    if line := pending.select_related("item").first():
        raise RefundAlreadyRequested(
            f"A refund of {line.item.title!r} is already in progress. Refund an amount when it has ended, "
            "or all that is left of the item now."
        )


def _refuse_above_goodwill(items: Sequence[OrderItem], proposal: RefundProposal, *, currency: str) -> None:
    """What went back of an item without its licence counts, whoever refunded it."""
    most, remaining = settings.SELLER_GOODWILL_MAX_BASIS_POINTS, _totals(proposal.remaining)
    parts = _totals(proposal.parts)
    for item in items:
        part_minor = parts.get(item.pk, 0)
        if not part_minor or part_minor == remaining[item.pk]:
            continue  # Nothing is left of it: its licence goes back too.
        refunded_minor = item.total_minor - remaining[item.pk]
        most_minor = basis_points_of(item.total_minor, most, currency)
        if refunded_minor + part_minor > most_minor:
            rest = format_amount(max(0, most_minor - refunded_minor), currency)
            raise GoodwillLimitReached(
                f"Of {item.title!r} you may refund another {rest} while the buyer keeps the licence: "
                f"{most / 100:g} % of its price in all. Refund the whole item instead."
            )


def _refuse_beyond_own_share(payment: Payment, proposal: RefundProposal) -> None:
    most = settings.SELLER_REFUNDS_PER_PAYMENT
    by_amount = payment.refunds.filter(
        source=Refund.Source.SELLER, requested_by=proposal.requested_by_id, by_amount=True
    )
    if most and Refund.objects.counted_by_hyperswitch().filter(pk__in=by_amount.values("pk")).count() >= most:
        raise SellerRefundLimitReached(
            f"A seller may refund {most} amounts of an order. Refund whole items, or contact support."
        )


def _refuse_reserved(payment: Payment, proposal: RefundProposal) -> None:
    counted = Refund.objects.counted_by_hyperswitch().filter(payment=payment).count()
    if counted + 1 + _needed_by_others(proposal) > MOST_REFUNDS - LAST_REFUNDS:
        raise RefundsReserved(
            f"This payment can be refunded {max(0, MOST_REFUNDS - counted)} more times, and those are kept for whoever "
            "else may refund it. Refund everything that is left at once, or contact support."
        )


def _needed_by_others(proposal: RefundProposal) -> int:
    """How many refunds a seller leaves to others: one to the buyer, and one to each other seller."""
    sellers = proposal.sellers_left()
    if proposal.source != Refund.Source.SELLER or proposal.requested_by_id not in sellers:
        return 0
    return 1 + len(sellers - {proposal.requested_by_id})


def _totals(shares: Sequence[ItemShares]) -> Mapping[UUID, int]:
    return {share.item_id: share.total_minor for share in shares}
