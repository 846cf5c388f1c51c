"""What refunds of orders give back, item by item. Amounts are minor units of the refund's currency."""

from django.db import models
from django.db.models import Q

from marketplace.models.orders import OrderItem
from payments.models import Refund
from veza.core.models import KeyedRow


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
