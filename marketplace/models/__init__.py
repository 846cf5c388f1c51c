"""Products on sale, orders, refunds, licences and restricted sellers. Amounts are minor units of `currency`."""

from marketplace.models.catalogue import (
    CartItem,
    LicenseKind,
    LicenseOffer,
    OfferQuerySet,
    Product,
    ProductQuerySet,
    Terms,
)
from marketplace.models.orders import License, Order, OrderItem
from marketplace.models.refunds import RefundApplication, RefundApplicationItem, RefundLine
from marketplace.models.sellers import RestrictionKind, SellerRestriction, SellerRestrictionQuerySet

__all__ = [
    "CartItem",
    "License",
    "LicenseKind",
    "LicenseOffer",
    "OfferQuerySet",
    "Order",
    "OrderItem",
    "Product",
    "ProductQuerySet",
    "RefundApplication",
    "RefundApplicationItem",
    "RefundLine",
    "RestrictionKind",
    "SellerRestriction",
    "SellerRestrictionQuerySet",
    "Terms",
]
