"""The catalogue: products listed and changed by the sellers that own them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from marketplace.availability import price_obstacle
from marketplace.models import LicenseOffer, Product
from marketplace.standing import is_suspended
from subscriptions import access
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User


class NotASeller(NotAllowed):
    code = "not_a_seller"
    http_status = 403


class SellerSuspended(NotAllowed):
    code = "seller_suspended"
    http_status = 403


class PriceTooLow(NotAllowed):
    code = "price_too_low"


class OfferIncomplete(NotAllowed):
    code = "offer_incomplete"


@transaction.atomic
def list_product(*, product_id: UUID, seller: User, title: str, description: str, offers: Sequence[Any]) -> Product:
    """Put a product up for sale with its offers. Requesting again with the same id returns the first one.

    An offer is a mapping of `license`, `price_minor`, `currency`, and of what it sets of `tax_basis_points`, `rights`,
    `active` and `once_per_buyer`. Raises NotASeller, SellerSuspended, SubscriptionPaymentRequired, PlanDoesNotAllow,
    PriceTooLow.
    """
    refuse_unless_may_sell(seller)
    product, is_new = Product.objects.get_or_create(
        pk=product_id, seller=seller, defaults={"title": title, "description": description}
    )
    if is_new:
        _put_offers(product, offers)
    return product


@transaction.atomic
def change_product(
    *, product_id: UUID, seller: User, changes: Mapping[str, Any], offers: Sequence[Mapping[str, Any]]
) -> Product:
    """Change a product of the seller's own; offers named by their licence are changed or added, others stay.

    What only stops sales needs no plan: unpublishing, and making an offer inactive. Orders keep the price and rights of
    their items: each holds its own copy. Raises NotFound, PriceTooLow, OfferIncomplete, and what
    `refuse_unless_may_sell` raises.
    """
    product = Product.objects.locked().filter(pk=product_id, seller=seller).first()
    if product is None:
        raise NotFound("There is no such product.")
    if not _only_stops(product, changes, offers):
        refuse_unless_may_sell(seller)
    if changes:
        Product.objects.filter(pk=product.pk).update(**changes)
    _put_offers(product, offers)
    product.refresh_from_db()
    return product


def refuse_unless_may_sell(seller: User) -> None:
    """Raises NotASeller for a user who is not a seller, SellerSuspended, and SubscriptionPaymentRequired or
    PlanDoesNotAllow for a seller whose plan does not include selling."""
    if seller.seller_since_at is None:
        raise NotASeller("Become a seller first: POST /api/v1/me/creator.")
    if is_suspended(seller.pk):
        raise SellerSuspended("You are suspended: you can take works off sale, and list none. Contact our support.")
    access.refuse_unless_may_sell(seller.pk, at=timezone.now())


def _only_stops(product: Product, changes: Mapping[str, Any], offers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing that is sold afterwards differs from what was sold before."""
    if changes and changes != {"published": False}:
        return False
    listed = set(LicenseOffer.objects.filter(product=product).values_list("license", flat=True))
    return all(offer == {"license": offer["license"], "active": False} for offer in offers) and listed.issuperset(
        offer["license"] for offer in offers
    )


def _put_offers(product: Product, offers: Sequence[Mapping[str, Any]]) -> None:
    for offer in offers:
        terms = {name: value for name, value in offer.items() if name != "license"}
        row = LicenseOffer.objects.filter(product=product, license=offer["license"]).first()
        if row is None and not {"price_minor", "currency"} <= set(terms):
            raise OfferIncomplete(f"A new offer, {offer['license']}, needs `price_minor` and `currency`.")
        if {"price_minor", "currency"} & set(terms):
            currency = terms.get("currency") or (row.currency if row else "")
            _refuse_low_price(terms.get("price_minor", row.price_minor if row else 0), currency)
        LicenseOffer.objects.update_or_create(product=product, license=offer["license"], defaults=terms)


def _refuse_low_price(price_minor: int, currency: str) -> None:
    reason = price_obstacle(price_minor, currency)
    if reason is not None:
        raise PriceTooLow(reason.for_seller)
