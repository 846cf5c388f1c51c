"""Refund applications that support has yet to decide: none is forgotten, and their money waits for the decision.

Buyer and seller both wait. The buyer was told a date; the seller's share stays in their account meanwhile.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, QuerySet, Sum
from django.db.models.functions import Now

from marketplace.allocation import REFUNDED_OR_PENDING
from marketplace.models import OrderItem, RefundApplication, RefundApplicationItem, RefundLine
from marketplace.refund_applications import (
    DECISION_LATE,
    REFUND_TO_DECIDE,
    lock_application,
    open_review_of_application,
)
from marketplace.states import RefundApplicationStatus
from veza.core import writes
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.reviews import open_review
from veza.core.sweeps import Tally, beat
from veza.core.words import format_date

WORKER = "marketplace.review_refund_applications"
# Of one tick; the next one finds the rest.
BATCH = 200
log = structlog.get_logger(__name__)


def seller_shares_requested(seller_id: UUID) -> Mapping[UUID, int]:
    """By order, how much of the seller's share is left of the items about whose refund support has yet to decide.

    In minor units of the order's currency. What a pending refund asks for is not a part of it.
    """
    lines = RefundApplicationItem.objects.filter(
        application__status=RefundApplicationStatus.REQUESTED, item__seller=seller_id
    )
    items = OrderItem.objects.filter(pk__in=lines.values("item"))
    shares = list(items.values_list("pk", "order_id", "seller_minor"))
    refunded_minor = _refunded_minor([item_id for item_id, _, _ in shares]) if shares else {}
    sums = Counter[UUID]()
    for item_id, order_id, share_minor in shares:
        sums[order_id] += max(0, share_minor - refunded_minor.get(item_id, 0))
    return sums


def _refunded_minor(item_ids: Collection[UUID]) -> Mapping[UUID, int]:
    lines = RefundLine.objects.filter(item__in=item_ids, refund__status__in=REFUNDED_OR_PENDING).order_by()
    return dict(lines.values_list("item").annotate(Sum("seller_minor")))


def review_undecided() -> int:
    """Ask support again about each undecided application whose review item was closed by hand, and once about each
    whose date has passed.

    Returns how many applications were found. One that raises is logged, counted and left to the next time. Leaves a
    heartbeat.
    """
    count, errors = 0, []
    neglected = _to_ask_about() | _to_call_late()
    for application_id in list(neglected.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        try:
            count += _review(application_id)
        except DatabaseError as error:
            errors.append(f"{application_id}: {error}")
            log.exception("refund_application_not_reviewed", application=str(application_id))
    beat(WORKER, Tally(done=count, failed=len(errors), last_error=errors[-1] if errors else ""))
    return count


def _to_ask_about() -> QuerySet[RefundApplication]:
    items = ReviewItem.objects.filter(kind=REFUND_TO_DECIDE, subject_id=OuterRef("pk"), closed_at=None)
    return RefundApplication.objects.undecided().filter(~Exists(items))


def _to_call_late() -> QuerySet[RefundApplication]:
    """Once: when its item is closed by hand, the one that asks for the decision is still open."""
    items = ReviewItem.objects.filter(
        kind=DECISION_LATE, subject_id=OuterRef("pk"), correlation_id=OuterRef("order_id")
    )
    return RefundApplication.objects.undecided().filter(~Exists(items), due_at__lte=Now())


@writes.atomic()
def _review(application_id: UUID) -> bool:
    """Under the locks of its order: one that is decided at this moment closes the items, or is found decided."""
    application = lock_application(application_id)
    assert application is not None, "an application is never deleted"
    if application.status != RefundApplicationStatus.REQUESTED:
        return False
    open_review_of_application(application)
    if _to_call_late().filter(pk=application_id).exists():
        _open_late_review(application)
    return True


def _open_late_review(application: RefundApplication) -> None:
    assert application.due_at is not None, "only a date that was promised can pass"
    amount = format_amount(application.amount_minor, application.currency)
    open_review(
        DECISION_LATE,
        application,
        why=f"The buyer was told that support would decide by {format_date(application.due_at)} about their refund of "
        f"{amount}. It is not decided. The sellers cannot have their share of it paid out meanwhile.",
        what_to_do="Support: press “Grant refund” or “Decline refund” on the application's page today.",
        amount_minor=application.amount_minor,
        currency=application.currency,
    )
