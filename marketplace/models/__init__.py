"""Products on sale, orders, licences and restricted sellers. Amounts are minor units of `currency`."""

from marketplace.models.catalogue import CartItem, LicenseKind, LicenseOffer, OfferQuerySet, Product, ProductQuerySet
from marketplace.models.orders import License, Order, OrderItem
from marketplace.models.refunds import RefundLine
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
    "RefundLine",
    "RestrictionKind",
    "SellerRestriction",
    "SellerRestrictionQuerySet",
]
