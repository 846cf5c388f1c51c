"""Every refund of an order as its readers may see it: the buyer, its sellers, and staff.

A seller sees what concerns their own items, with the amounts of these. Why a refund failed is told in our words: the
provider's own may name accounts, banks and rules that are no reader's business.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import TextChoices

from marketplace.models import Order, OrderItem, RefundApplication, RefundApplicationItem, RefundLine
from marketplace.refunds import source_of
from marketplace.states import RefundApplicationStatus
from payments.messages import failure_in_words
from payments.models import Payment, Refund
from payments.refunds.overdue import is_under_review
from payments.states import RefundStatus
from veza.core.models import User
from veza.core.money import format_amount
from veza.core.words import format_date

MOST_LISTED = 100


class ListedStatus(TextChoices):
    """What became of a refund, or of a buyer's application for one."""

    REQUESTED = "requested", "support has to decide"
    DECLINED = "declined", "support declined it"
    WITHDRAWN = "withdrawn", "the buyer withdrew it, or its items were refunded otherwise"
    PENDING = "pending", "it was requested from the payment provider"
    SUCCEEDED = "succeeded", "the money was sent to the buyer"
    FAILED = "failed", "no money was sent"
    RETURNED = "returned", "the money was sent, and the buyer's bank returned it"


_STATUSES = {
    RefundStatus.PENDING: ListedStatus.PENDING,
    RefundStatus.SUCCEEDED: ListedStatus.SUCCEEDED,
    RefundStatus.FAILED: ListedStatus.FAILED,
    RefundStatus.BOUNCED: ListedStatus.RETURNED,
}
_REQUESTERS: Mapping[str, str] = {
    source.value: source.value for source in (Refund.Source.BUYER, Refund.Source.SELLER, Refund.Source.SUPPORT)
}


@dataclass(frozen=True)
class ListedItem:
    id: UUID
    title: str
    amount_minor: int


@dataclass(frozen=True)
class ListedRefund:
    """`reason` is its requester's, for whoever may read it; `explanation` says what its status means."""

    id: UUID
    status: ListedStatus
    amount_minor: int
    currency: str
    items: Sequence[ListedItem]
    requested_by: str
    reason: str | None
    explanation: str | None
    created_at: datetime


@dataclass(frozen=True)
class _Reader:
    """Who reads the refunds of an order, and the titles of the items that they may see."""

    user_id: UUID
    source: Refund.Source
    titles: Mapping[UUID, str]

    @property
    def is_seller(self) -> bool:
        return self.source == Refund.Source.SELLER

    def reason(self, row: Refund | RefundApplication, source: Refund.Source | str) -> str | None:
        """Staff read every reason. What staff wrote is for colleagues, and a buyer's reason is not for sellers."""
        is_own = source == self.source and source != Refund.Source.SELLER
        if isinstance(row, Refund) and source == self.source == Refund.Source.SELLER:
            is_own = row.requested_by_id == self.user_id
        return row.reason if is_own or self.source == Refund.Source.SUPPORT else None

    def items(self, lines: Iterable[RefundLine | RefundApplicationItem]) -> list[ListedItem]:
        """The parts of a refund that the reader may see."""
        return [
            ListedItem(
                line.item_id,
                self.titles[line.item_id],
                line.total_minor if isinstance(line, RefundLine) else line.amount_minor,
            )
            for line in lines
            if line.item_id in self.titles
        ]


def refunds_of(order_id: UUID, *, reader: User, most: int = MOST_LISTED) -> list[ListedRefund]:
    """The refunds of an order that `reader` may see, newest first, at most `most` of them.

    Raises NotFound, RefundForbidden.
    """
    order = Order.objects.filter(pk=order_id).first()
    items = list(OrderItem.objects.filter(order=order_id).order_by("pk"))
    source = source_of(reader, order, items)
    own = [item for item in items if source != Refund.Source.SELLER or item.seller_id == reader.pk]
    seen_by = _Reader(reader.pk, source, {item.pk: item.title for item in own})
    listed = [*_refunds(order_id, seen_by, most=most), *_applications(order_id, seen_by, most=most)]
    return sorted(listed, key=lambda one: one.created_at, reverse=True)[:most]


def describe_refund(row: Refund | RefundApplication, *, reader: User) -> ListedRefund:
    """One refund, or application for one, that `reader` has just requested."""
    order_id = row.order_id if isinstance(row, RefundApplication) else row.payment.purpose_id
    return next(one for one in refunds_of(order_id, reader=reader) if one.id == row.pk)


def _refunds(order_id: UUID, reader: _Reader, *, most: int) -> Iterator[ListedRefund]:
    rows = Refund.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order_id)
    lines: dict[UUID, list[RefundLine]] = defaultdict(list)
    for line in RefundLine.objects.filter(item__order=order_id).order_by("item"):
        lines[line.refund_id].append(line)
    for refund in rows.order_by("-pk")[:most]:
        items = reader.items(lines[refund.pk])
        if items or not reader.is_seller:
            yield ListedRefund(
                id=refund.pk,
                status=_STATUSES[RefundStatus(refund.status)],
                amount_minor=sum(item.amount_minor for item in items) if reader.is_seller else refund.amount_minor,
                currency=refund.currency,
                items=items,
                requested_by=_REQUESTERS.get(refund.source, "veza"),
                reason=reader.reason(refund, refund.source),
                explanation=_explain(refund),
                created_at=refund.created_at,
            )


def _explain(refund: Refund) -> str | None:
    match refund.status:
        case RefundStatus.FAILED:
            return failure_in_words(refund)
        case RefundStatus.BOUNCED:
            return "The buyer's bank returned the money. It is still the buyer's: our support pays it another way."
        case RefundStatus.PENDING if is_under_review(refund):
            return "It takes longer than usual: our finance team is finding out what became of it."
    return None


def _applications(order_id: UUID, reader: _Reader, *, most: int) -> Iterator[ListedRefund]:
    """A granted one is listed as the refund that grants it, which has its id."""
    rows = RefundApplication.objects.filter(order=order_id).exclude(status=RefundApplicationStatus.GRANTED)
    for application in rows.prefetch_related("lines").order_by("-pk")[:most]:
        items = reader.items(application.lines.all())
        if items or not reader.is_seller:
            yield ListedRefund(
                id=application.pk,
                status=ListedStatus(application.status),
                amount_minor=sum(item.amount_minor for item in items),
                currency=application.currency,
                items=items,
                requested_by=_REQUESTERS[Refund.Source.BUYER],
                reason=reader.reason(application, Refund.Source.BUYER),
                explanation=_explain_application(application, reader),
                created_at=application.created_at,
            )


def _explain_application(application: RefundApplication, reader: _Reader) -> str | None:
    match application.status:
        case RefundApplicationStatus.REQUESTED if application.due_at is not None:
            return f"Our support decides by {format_date(application.due_at)}. The licences stay valid until then."
        case RefundApplicationStatus.REQUESTED:
            return "Our support decides. The licences stay valid until then."
        case RefundApplicationStatus.DECLINED if not reader.is_seller:
            return application.decision_reason
    return None


def notices_of(order: Order) -> list[str]:
    """What staff have to know first about an order: a newest refund that did not reach the buyer, and open requests."""
    notices = []
    refunds = Refund.objects.filter(payment__purpose=Payment.Purpose.ORDER, payment__purpose_id=order.pk)
    newest = refunds.exclude(source=Refund.Source.VOID).order_by("-pk").first()
    if newest is not None and newest.status in (RefundStatus.FAILED, RefundStatus.BOUNCED):
        notices.append(_tell_of_undone(newest))
    for application in RefundApplication.objects.undecided().filter(order=order).order_by("pk"):
        amount = format_amount(application.amount_minor, application.currency)
        until = f" by {format_date(application.due_at)}" if application.due_at else ""
        notices.append(f"The buyer requests a refund of {amount}: support grants or declines it{until}.")
    return notices


def _tell_of_undone(refund: Refund) -> str:
    amount = format_amount(refund.amount_minor, refund.currency)
    if refund.status == RefundStatus.BOUNCED:
        return f"The newest refund, of {amount}, was returned by the buyer's bank. The buyer does not have the money."
    error = " ".join(filter(None, (refund.error_code, refund.error_message))) or "no reason given"
    return f"The newest refund, of {amount}, failed ({error}). No money went to the buyer."
