"""Products on sale, and the carts that hold their offers. Prices are minor units of `currency`, before tax."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from veza.core.models import KeyedRow, LockableQuerySet
from veza.core.money import basis_points_of


@dataclass(frozen=True)
class Terms:
    """What a buyer agrees to: the price, the tax on top in minor units of `currency`, and the rights."""

    price_minor: int
    tax_minor: int
    currency: str
    rights: dict[str, Any]

    @property
    def total_minor(self) -> int:
        return self.price_minor + self.tax_minor


class ProductQuerySet(LockableQuerySet["Product"]):
    """Works. Which of them are for sale, `availability` says."""


class Product(KeyedRow):
    """A creator's work, sold under one or more licences."""

    seller = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="products", db_index=False
    )
    title = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    published = models.BooleanField(default=True)
    # Staff took it off sale; the seller reads why. `published` stays the seller's own choice.
    taken_off_sale_at = models.DateTimeField(null=True, blank=True)
    taken_off_sale_reason = models.TextField(blank=True, db_default="")
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
    """Offers. Which of them can be ordered, `availability` says."""


class LicenseOffer(KeyedRow):
    """One licence of one product, at a price before tax. An order item keeps its own copy of the terms."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="offers", db_index=False)
    license = models.CharField(max_length=12, choices=LicenseKind)
    price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    tax_basis_points = models.PositiveIntegerField(default=0)
    rights = models.JSONField(default=dict)
    active = models.BooleanField(default=True)
    # Whether a buyer who holds the licence is refused a second one. NULL: as its kind implies.
    once_per_buyer = models.BooleanField(null=True, blank=True)

    objects = OfferQuerySet.as_manager()

    @property
    def tax_minor(self) -> int:
        return basis_points_of(self.price_minor, self.tax_basis_points, self.currency)

    @property
    def total_minor(self) -> int:
        """What a buyer pays: the price and the tax on top."""
        return self.price_minor + self.tax_minor

    @property
    def terms(self) -> Terms:
        """What a buyer who orders it now agrees to."""
        return Terms(self.price_minor, self.tax_minor, self.currency, self.rights)

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

    def is_once_per_buyer(self) -> bool:
        """Whether one licence is all that a buyer needs: the seller's word, else any but a commercial one."""
        if self.once_per_buyer is not None:
            return self.once_per_buyer
        return self.license != LicenseKind.COMMERCIAL


class CartItem(KeyedRow):
    """A licence offer in a buyer's cart, on the terms that the buyer was shown. A cart is its items."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cart_items", db_index=False
    )
    offer = models.ForeignKey(LicenseOffer, on_delete=models.CASCADE, related_name="+", db_index=False)
    price_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    rights = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "offer"], name="an_offer_once_per_cart"),
            models.CheckConstraint(
                condition=Q(price_minor__gte=0, tax_minor__gte=0), name="cart_item_sums_not_negative"
            ),
        ]

    @property
    def total_minor(self) -> int:
        """What the buyer was shown to pay: the price and the tax on top."""
        return self.price_minor + self.tax_minor

    @property
    def terms(self) -> Terms:
        """What the buyer was shown."""
        return Terms(self.price_minor, self.tax_minor, self.currency, self.rights)
