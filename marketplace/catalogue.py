"""The catalogue: products listed and changed by the sellers that own them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from marketplace.models import LicenseOffer, Product
from subscriptions import access
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import User


class NotASeller(NotAllowed):
    code = "not_a_seller"
    http_status = 403


@transaction.atomic
def list_product(*, product_id: UUID, seller: User, title: str, description: str, offers: Sequence[Any]) -> Product:
    """Put a product up for sale with its offers. Requesting again with the same id returns the first one.

    An offer is a mapping of `license`, `price_minor`, `currency`, `tax_basis_points`, `rights`. Raises NotASeller,
    SubscriptionPaymentRequired, PlanDoesNotAllow.
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

    Orders keep the price and rights of their items: each holds its own copy. Raises NotFound, and what
    `refuse_unless_may_sell` raises.
    """
    product = Product.objects.filter(pk=product_id, seller=seller).first()
    if product is None:
        raise NotFound("There is no such product.")
    refuse_unless_may_sell(seller)
    if changes:
        Product.objects.filter(pk=product.pk).update(**changes)
    _put_offers(product, offers)
    product.refresh_from_db()
    return product


def refuse_unless_may_sell(seller: User) -> None:
    """Raises NotASeller for a user who is not a seller, and SubscriptionPaymentRequired or PlanDoesNotAllow for a
    seller whose plan does not include selling."""
    if seller.seller_since_at is None:
        raise NotASeller("Become a seller first: POST /api/v1/me/creator.")
    access.refuse_unless_may_sell(seller.pk, at=timezone.now())


def _put_offers(product: Product, offers: Sequence[Mapping[str, Any]]) -> None:
    for offer in offers:
        terms = {name: value for name, value in offer.items() if name != "license"}
        LicenseOffer.objects.update_or_create(product=product, license=offer["license"], defaults=terms)
