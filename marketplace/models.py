"""Products on sale, orders, and licences. Amounts are minor units of `currency`."""

from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from marketplace.states import LICENSE_MOVES, ORDER_MOVES, LicenseStatus, OrderStatus
from payments.models import Refund
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow


class ProductQuerySet(models.QuerySet["Product"]):
    def for_sale(self) -> Self:
        """Products that a buyer may see."""
        return self.filter(published=True)


class Product(KeyedRow):
    """A creator's work, sold under one or more licences."""

    seller = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="products", db_index=False
    )
    title = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    published = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = ProductQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["-created_at", "-id"], condition=Q(published=True), name="product_for_sale_newest_first"
            ),
            models.Index(fields=["title", "id"], condition=Q(published=True), name="product_for_sale_by_title"),
            models.Index(fields=["seller", "-created_at", "-id"], name="product_seller_newest_first"),
        ]


class LicenseKind(models.TextChoices):
    PERSONAL = "personal"
    COMMERCIAL = "commercial"
    EXCLUSIVE = "exclusive"


class OfferQuerySet(LockableQuerySet["LicenseOffer"]):
    def for_sale(self) -> Self:
        """Offers that can be ordered now."""
        return self.filter(active=True, product__published=True)


class LicenseOffer(KeyedRow):
    """One licence of one product, at a price before tax. An order item keeps its own copy of the terms."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="offers", db_index=False)
    license = models.CharField(max_length=12, choices=LicenseKind)
    price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    tax_basis_points = models.PositiveIntegerField(default=0)
    rights = models.JSONField(default=dict)
    active = models.BooleanField(default=True)

    objects = OfferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(price_minor__gte=0), name="offer_price_not_negative"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="offer_currency_code"),
            models.CheckConstraint(condition=Q(tax_basis_points__lte=10_000), name="offer_tax_at_most_whole"),
            models.UniqueConstraint(fields=["product", "license"], name="one_offer_per_product_and_license"),
        ]
        indexes = [
            models.Index(
                fields=["license", "price_minor", "product"],
                condition=Q(active=True),
                name="offer_by_license_and_price",
            ),
        ]


class CartItem(KeyedRow):
    """A licence offer in a buyer's cart. A cart is its items."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cart_items", db_index=False
    )
    offer = models.ForeignKey(LicenseOffer, on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "offer"], name="an_offer_once_per_cart")]


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
    # No longer available when the payment arrived: no licence, no share for the seller, and an automatic refund.
    withheld = models.BooleanField(default=False)

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
