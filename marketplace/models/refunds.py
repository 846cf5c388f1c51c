"""What refunds of orders give back, item by item, and what buyers apply for. Amounts are minor units of the refund's
currency.
"""

from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from marketplace.models.orders import Order, OrderItem
from marketplace.states import REFUND_APPLICATION_MOVES, RefundApplicationStatus
from payments.models import Refund
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow


class RefundLine(KeyedRow):
    """How much of one item a refund gives back, split over whose money it is.

    Fixed when the refund is opened, unless another refund took that money before this one succeeded. Of nothing while
    the refund is in another currency: then it only says which item was requested.
    """

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="lines", db_index=False)
    item = models.ForeignKey(OrderItem, on_delete=models.PROTECT, related_name="refund_lines")
    tax_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    seller_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "item"], name="one_line_per_refund_and_item"),
            models.CheckConstraint(
                condition=Q(tax_minor__gte=0, fee_minor__gte=0, seller_minor__gte=0),
                name="refund_line_sums_not_negative",
            ),
        ]

    @property
    def total_minor(self) -> int:
        return self.tax_minor + self.fee_minor + self.seller_minor


class RefundApplicationQuerySet(LockableQuerySet["RefundApplication"]):
    def undecided(self) -> Self:
        """Applications that support has yet to decide."""
        return self.filter(status=RefundApplicationStatus.REQUESTED)


class RefundApplication(StatefulRow):
    """A refund that a buyer requested and support has to decide: more than a buyer is refunded by themselves.

    Nothing of it is under way: the licences stay, and others may refund the same items. The refund that grants it has
    the same id. `amount_minor` is what was left of its items when it was made.
    """

    class Why(models.TextChoices):
        LIMIT = "limit", "too many orders refunded in 30 days"
        EXCLUSIVE = "exclusive", "an exclusive licence that was given back before"

    moves = REFUND_APPLICATION_MOVES

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refund_applications")
    status = models.CharField(max_length=10, choices=RefundApplicationStatus, default=RefundApplicationStatus.REQUESTED)
    why = models.CharField(max_length=10, choices=Why)
    reason = models.CharField(max_length=500)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    # NULL: the buyer was promised no date.
    due_at = models.DateTimeField(null=True, blank=True)
    # Who granted or declined it; the buyer reads why it was declined.
    decided_by = models.CharField(max_length=200, blank=True)
    decision_reason = models.CharField(max_length=500, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[RefundApplicationQuerySet] = RefundApplicationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "refund request"
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=RefundApplicationStatus.values), name="refund_application_status_known"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_application_amount_positive"),
            models.CheckConstraint(
                condition=~Q(status="declined") | ~Q(decision_reason=""), name="declined_refund_has_a_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="requested"), name="refund_application_undecided"),
        ]

    @property
    def correlation_id(self) -> UUID:
        return self.order_id


class RefundApplicationItem(KeyedRow):
    """One item that a buyer applies to give back, and what was left of it then."""

    application = models.ForeignKey(RefundApplication, on_delete=models.PROTECT, related_name="lines", db_index=False)
    item = models.ForeignKey(OrderItem, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_application_item_amount_positive"),
            models.UniqueConstraint(fields=["application", "item"], name="an_item_once_per_refund_application"),
        ]
