"""What staff have restricted a seller in."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from veza.core.models import KeyedRow, LockableQuerySet


class SellerRestrictionQuerySet(LockableQuerySet["SellerRestriction"]):
    def in_force(self) -> Self:
        """Restrictions that staff have not ended."""
        return self.filter(ended_at__isnull=True)

    def suspensions(self) -> Self:
        return self.filter(kind=SellerRestriction.Kind.SUSPENSION)


class SellerRestriction(KeyedRow):
    """A suspension, which stops a seller's sales and money, or a hold, which stops the money alone.

    In force until staff end it. The seller reads `reason`. A hold is due for review at `review_at`.
    """

    class Kind(models.TextChoices):
        SUSPENSION = "suspension"
        HOLD = "hold"

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
