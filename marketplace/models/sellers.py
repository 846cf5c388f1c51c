"""What staff have restricted a seller in."""

from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from veza.core.models import KeyedRow, LockableQuerySet


class RestrictionKind(models.TextChoices):
    SUSPENSION = "suspension"
    HOLD = "hold"


class SellerRestrictionQuerySet(LockableQuerySet["SellerRestriction"]):
    def in_force(self) -> Self:
        """Restrictions that staff have not ended."""
        return self.filter(ended_at__isnull=True)

    def due_for_review(self) -> Self:
        """Restrictions in force about which staff have to decide again, by the database's clock."""
        return self.in_force().filter(review_at__lte=Now())

    def suspensions(self) -> Self:
        return self.filter(kind=SellerRestriction.Kind.SUSPENSION)


class SellerRestriction(KeyedRow):
    """A suspension, which stops a seller's sales and money, or a hold, which stops the money alone.

    In force until staff end it, and never changed otherwise: a later review date is a new row with the first one's
    `since_at`. The seller reads `reason` and `end_reason`. At `review_at` staff have to decide about it again.
    """

    Kind = RestrictionKind

    seller = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="restrictions", db_index=False
    )
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.TextField()
    imposed_by = models.CharField(max_length=200)
    review_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)
    end_reason = models.TextField(blank=True)
    since_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SellerRestrictionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=["suspension", "hold"]), name="restriction_kind_known"),
            models.CheckConstraint(condition=~Q(reason=""), name="restriction_has_a_reason"),
            models.CheckConstraint(
                condition=Q(kind="suspension") | Q(review_at__isnull=False), name="hold_has_a_review_date"
            ),
            models.UniqueConstraint(
                fields=["seller", "kind"], condition=Q(ended_at__isnull=True), name="one_restriction_of_a_kind_in_force"
            ),
        ]
        indexes = [
            models.Index(fields=["review_at"], condition=Q(ended_at__isnull=True), name="restriction_review_due"),
        ]

    @property
    def correlation_id(self) -> UUID:
        """A restriction belongs to no order: its history is the seller's."""
        return self.seller_id

    @property
    def status(self) -> str:
        return "ended" if self.ended_at else "in force"
