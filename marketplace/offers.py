"""Which offers a buyer may order now, and why not the others. Ordering, the cart and another payment all ask here."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from marketplace.models import License, LicenseKind, LicenseOffer, OfferQuerySet
from marketplace.states import HELD_STATUSES
from veza.core.errors import NotAllowed


class OfferNotFound(NotAllowed):
    code = "offer_not_found"


class OrderNotPossible(NotAllowed):
    code = "order_not_possible"


class ExclusiveSold(OrderNotPossible):
    code = "exclusive_sold"


@dataclass(frozen=True)
class OrderLine:
    """One line of a requested order, with what the buyer expects it to cost: before tax, and with tax."""

    product_id: UUID
    license: str
    expected_price_minor: int | None = None
    expected_total_minor: int | None = None


def read_offers(*conditions: Q) -> OfferQuerySet:
    """Offers with their products, each with `is_on_sale`, of which `refusals_of` says whether they can be ordered."""
    is_on_sale = Exists(LicenseOffer.objects.for_sale().filter(pk=OuterRef("pk")))
    rows = LicenseOffer.objects.filter(*conditions).annotate(is_on_sale=is_on_sale)
    return rows.select_related("product").defer("product__description")


def offers_of(lines: Sequence[OrderLine]) -> list[LicenseOffer]:
    """The offers that the lines name, in their order. Raises OfferNotFound."""
    products, licenses = {line.product_id for line in lines}, {line.license for line in lines}
    rows = read_offers(Q(product__in=products, license__in=licenses))
    by_line = {(offer.product_id, offer.license): offer for offer in rows}
    for line in lines:
        if (line.product_id, line.license) not in by_line:
            raise OfferNotFound(f"Product {line.product_id} is not sold under a {line.license} licence.")
    return [by_line[line.product_id, line.license] for line in lines]


def refusals_of(offers: Collection[LicenseOffer], *, buyer_id: UUID) -> dict[UUID, NotAllowed]:
    """By offer id, why the buyer cannot order it now: each error names the work. Those not named can be ordered.

    The offers come from `read_offers`.
    """
    sold_ids = _sold_exclusives(offers)
    refusals: dict[UUID, NotAllowed] = {}
    for offer in offers:
        title = offer.product.title
        if offer.product.seller_id == buyer_id:
            refusals[offer.pk] = OrderNotPossible(f"{title!r} is your own work.")
        elif offer.pk in sold_ids:
            refusals[offer.pk] = ExclusiveSold(f"The exclusive licence of {title!r} is already sold.")
        elif not offer.is_on_sale:  # type: ignore[attr-defined]  # Annotated in `read_offers`.
            refusals[offer.pk] = OfferNotFound(f"{title!r} is no longer on sale under a {offer.license} licence.")
    return refusals


def _sold_exclusives(offers: Iterable[LicenseOffer]) -> set[UUID]:
    """The exclusive offers whose licence a buyer has."""
    exclusive_ids = [offer.pk for offer in offers if offer.license == LicenseKind.EXCLUSIVE]
    if not exclusive_ids:
        return set()
    licenses = License.objects.filter(offer__in=exclusive_ids, status__in=HELD_STATUSES)
    return set(licenses.values_list("offer_id", flat=True))
