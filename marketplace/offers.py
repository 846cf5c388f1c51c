"""Which offers a buyer may order now, and why not the others. Ordering, the cart and another payment all ask here."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from marketplace.availability import EXCLUSIVE_SOLD, INACTIVE_OFFER, UNPUBLISHED, Reason, reasons_against
from marketplace.models import License, LicenseOffer, OfferQuerySet
from marketplace.states import HELD_STATUSES
from veza.core.errors import NotAllowed


class OfferNotFound(NotAllowed):
    code = "offer_not_found"


class OfferNotAvailable(NotAllowed):
    code = "offer_not_available"
    http_status = 409


class AlreadyOwned(NotAllowed):
    code = "already_owned"
    http_status = 409


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
    """Offers with their products, of which `refusals_of` says whether they can be ordered."""
    return LicenseOffer.objects.filter(*conditions).select_related("product").defer("product__description")


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
    """By offer id, why the buyer cannot order it now: each error names the work. Those not named can be ordered."""
    reasons = reasons_against([offer.pk for offer in offers], at=timezone.now()) if offers else {}
    owned_ids = _owned_ids(offers, buyer_id)
    refusals: dict[UUID, NotAllowed] = {}
    for offer in offers:
        if offer.product.seller_id == buyer_id:
            refusals[offer.pk] = OrderNotPossible(f"{offer.product.title!r} is your own work.")
        elif (reason := reasons.get(offer.pk)) is not None:
            refusals[offer.pk] = _refusal_for(offer, reason)
        elif offer.pk in owned_ids:
            refusals[offer.pk] = AlreadyOwned(
                f"You have the {offer.license} licence of {offer.product.title!r}: one is all you need."
            )
    return refusals


def _refusal_for(offer: LicenseOffer, reason: Reason) -> NotAllowed:
    title = offer.product.title
    if reason in (UNPUBLISHED, INACTIVE_OFFER):
        return OfferNotFound(f"{title!r} is no longer on sale under a {offer.license} licence.")
    if reason == EXCLUSIVE_SOLD:
        return ExclusiveSold(f"The exclusive licence of {title!r} is already sold: it is not for sale.")
    return OfferNotAvailable(f"{title!r} cannot be ordered. {reason.for_buyer}")


def _owned_ids(offers: Collection[LicenseOffer], buyer_id: UUID) -> set[UUID]:
    """The offers whose licence the buyer holds, and of which one is all they need."""
    limited = [offer.pk for offer in offers if settings.ONCE_PER_BUYER and offer.is_once_per_buyer()]
    if not limited:
        return set()
    held_licenses = License.objects.filter(offer__in=limited, holder=buyer_id, status__in=HELD_STATUSES)
    return set(held_licenses.values_list("offer", flat=True))
