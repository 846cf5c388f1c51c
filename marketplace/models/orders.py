"""Orders and the licences that they grant. Amounts are minor units of the order's currency."""

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from marketplace.models.catalogue import LicenseKind, LicenseOffer
from marketplace.states import LICENSE_MOVES, ORDER_MOVES, LicenseStatus, OrderStatus
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow


class Order(StatefulRow):
    """A buyer's order. Its amounts are frozen when it is made."""

    moves = ORDER_MOVES

    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders", db_index=False)
    status = models.CharField(max_length=15, choices=OrderStatus, default=OrderStatus.PENDING)
    subtotal_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    completed_at = models.DateTimeField(null=True, blank=True)
    refund_deadline = models.DateTimeField(null=True, blank=True)
    # When the buyer last asked for another payment, after one that had failed or expired.
    reopened_at = models.DateTimeField(null=True, blank=True)
    # Since when its payment page is being closed, so that it cannot be paid any more.
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["Order"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "orders"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=OrderStatus.values), name="order_status_known"),
            models.CheckConstraint(
                condition=Q(total_minor=models.F("subtotal_minor") + models.F("tax_minor")),
                name="order_total_is_subtotal_and_tax",
            ),
            models.CheckConstraint(
                condition=Q(subtotal_minor__gte=0, tax_minor__gte=0), name="order_sums_not_negative"
            ),
        ]
        indexes = [models.Index(fields=["buyer", "-created_at"], name="order_buyer_newest_first")]

    @property
    def correlation_id(self) -> UUID:
        return self.pk


class OrderItem(KeyedRow):
    """One licence in an order: price, tax, our fee and the seller's share, frozen at sale."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="items", db_index=False)
    offer = models.ForeignKey(LicenseOffer, on_delete=models.PROTECT, related_name="order_items", db_index=False)
    seller = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sold_items")
    title = models.CharField(max_length=120)
    license = models.CharField(max_length=12, choices=LicenseKind)
    rights = models.JSONField(default=dict)
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    seller_minor = models.BigIntegerField()
    # The licences of the work that others held when its exclusive one was ordered, {kind: count}: they stay.
    held_before = models.JSONField(default=dict, db_default={})
    # No longer available when the payment arrived: no licence, no share for the seller, and an automatic refund.
    withheld = models.BooleanField(default=False)
    # It was in the buyer's cart, and returns there if the order ends unpaid.
    from_cart = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(net_minor=models.F("fee_minor") + models.F("seller_minor")),
                name="item_net_is_fee_and_share",
            ),
            models.CheckConstraint(
                condition=Q(net_minor__gte=0, tax_minor__gte=0, fee_minor__gte=0, seller_minor__gte=0),
                name="item_sums_not_negative",
            ),
            models.UniqueConstraint(fields=["order", "offer"], name="an_offer_once_per_order"),
        ]

    @property
    def total_minor(self) -> int:
        """What the buyer pays for this item: the price and the tax on top."""
        return self.net_minor + self.tax_minor


class License(StatefulRow):
    """The buyer's right to use a work. It depends on the payment of its item."""

    moves = LICENSE_MOVES

    item = models.OneToOneField(OrderItem, on_delete=models.PROTECT, related_name="granted_license")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="licenses")
    offer = models.ForeignKey(LicenseOffer, on_delete=models.PROTECT, related_name="licenses")
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="licenses", db_index=False
    )
    status = models.CharField(max_length=10, choices=LicenseStatus, default=LicenseStatus.ACTIVE)
    exclusive = models.BooleanField(default=False)
    rights = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "licenses"
        verbose_name = "licence"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=LicenseStatus.values), name="license_status_known"),
            models.UniqueConstraint(
                fields=["offer"],
                condition=Q(exclusive=True, status__in=["active", "suspended"]),
                name="an_exclusive_license_is_held_once",
            ),
        ]
        indexes = [models.Index(fields=["holder", "-created_at"], name="license_holder_newest_first")]

    @property
    def correlation_id(self) -> UUID:
        return self.order_id
