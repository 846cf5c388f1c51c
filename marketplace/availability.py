"""Whether a work may be sold now, and why not. The catalogue, the cart and the order ask here.

One rule in SQL, so that a page of works of many sellers costs one statement. A payment that arrives asks
`deliverability` instead: what it may depend on is less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import BooleanField, Count, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.utils import timezone

from marketplace.models import License, LicenseKind, LicenseOffer, Product, SellerRestriction
from marketplace.ports import sellers
from marketplace.states import HELD_STATUSES
from subscriptions.access import SellingMoments, ids_of_sellers, selling_moments
from veza.core import reads
from veza.core.money import format_amount, smallest_minor


@dataclass(frozen=True)
class Reason:
    """Why an offer cannot be ordered: what a buyer reads, and the seller whose work it is."""

    code: str
    for_buyer: str
    for_seller: str = ""

    def words(self, *, is_own: bool) -> str:
        """The sentence for the seller if the work `is_own`; a buyer is not told of the seller's affairs."""
        return self.for_seller if is_own and self.for_seller else self.for_buyer


_NOT_SELLING = "Its seller does not sell at the moment."
UNPUBLISHED = Reason("unpublished", "Its seller does not offer it at the moment.", "You do not publish it.")
INACTIVE_OFFER = Reason("inactive_offer", UNPUBLISHED.for_buyer, "You do not offer this licence at the moment.")
TAKEN_OFF_SALE = Reason("taken_off_sale", "It was taken off sale.", "We took it off sale: contact our support.")
CLOSED_ACCOUNT = Reason("closed_account", _NOT_SELLING, "Your account is closed.")
SUSPENDED = Reason("suspended", _NOT_SELLING, "You are suspended: contact our support.")
STRIPE_REFUSED = Reason("stripe_refused", _NOT_SELLING, "Stripe refuses your account: see GET /api/v1/connect/account.")
NO_PLAN = Reason("no_plan", _NOT_SELLING, "Selling needs a plan that is paid for: see GET /api/v1/me/subscription.")
EXCLUSIVE_SOLD = Reason("exclusive_sold", "Its exclusive licence is sold.")
# In the order in which the first that is true is named.
_REASONS = (
    UNPUBLISHED,
    INACTIVE_OFFER,
    TAKEN_OFF_SALE,
    CLOSED_ACCOUNT,
    SUSPENDED,
    STRIPE_REFUSED,
    NO_PLAN,
    EXCLUSIVE_SOLD,
)


def products_for_sale() -> QuerySet[Product]:
    """The works that a buyer may see and order now."""
    closed = _obstacles(product="", moments=selling_moments(timezone.now()))
    return Product.objects.filter(published=True).filter(*(~is_true for is_true in closed.values()))


def reasons_against(offer_ids: Iterable[UUID], *, at: datetime) -> Mapping[UUID, Reason]:
    """The offers among these that cannot be ordered at `at`, each with the first reason, in one statement."""
    reasons: dict[UUID, Reason] = {}
    for key, price_minor, currency, *answers in _ANSWERS_ABOUT(tuple(offer_ids), *selling_moments(at)):
        reason = next((reason for reason, is_true in zip(_REASONS, answers, strict=True) if is_true), None)
        reason = reason or price_obstacle(price_minor, currency)
        if reason is not None:
            reasons[key] = reason
    return reasons


def _answers_about(offer_ids: tuple[UUID, ...], *moments: datetime) -> QuerySet[LicenseOffer, tuple[Any, ...]]:
    """The offers with their prices, and of each of `_REASONS` whether it is true."""
    obstacles = {UNPUBLISHED: Q(product__published=False), INACTIVE_OFFER: Q(active=False)}
    obstacles |= _obstacles(product="product__", moments=SellingMoments(*moments))
    columns: dict[str, Any] = {
        f"is_{reason.code}": ExpressionWrapper(is_true, output_field=BooleanField())
        for reason, is_true in obstacles.items()
    }
    offers = LicenseOffer.objects.filter(reads.is_any_of("pk", offer_ids)).annotate(**columns)
    return offers.values_list("pk", "price_minor", "currency", *(f"is_{reason.code}" for reason in _REASONS))


# Asked by every cart and order. Django would take 4 ms to write the text each time, and PostgreSQL 6 ms to plan it.
_ANSWERS_ABOUT = reads.Read(_answers_about, tuple, datetime, datetime, datetime)


def price_obstacle(price_minor: int, currency: str) -> Reason | None:
    """The reason against a price, in minor units of `currency`, that cannot be paid; else None. Zero is no obstacle."""
    step_minor = smallest_minor(currency)
    if price_minor % step_minor:
        step = format_amount(step_minor, currency)
        return Reason(
            "not_payable",
            "Its price cannot be paid exactly.",
            f"Its price is not a multiple of {step}, the smallest amount that can be paid.",
        )
    least_minor = settings.OFFER_MIN_PRICE.get(currency, 0)
    if price_minor == 0 or price_minor >= least_minor:
        return None
    least = format_amount(least_minor, currency)
    return Reason(
        "below_minimum",
        f"Its price is below the smallest that can be paid, {least}.",
        f"Its price is below the smallest that can be paid: ask for {least} at least, or nothing.",
    )


def held_exclusives(product: str) -> Exists:
    """Whether the exclusive licence of a work is held; `product` is the path to the work in the query around it."""
    held_licenses = License.objects.filter(exclusive=True, status__in=HELD_STATUSES)
    return Exists(held_licenses.filter(offer__product=OuterRef(product)))


def existing_licenses(product_ids: Iterable[UUID]) -> Mapping[UUID, Mapping[str, int]]:
    """How many licences are held of each work that has an exclusive licence to sell: they stay when it is sold."""
    with_exclusive = LicenseOffer.objects.filter(license=LicenseKind.EXCLUSIVE, product__in=list(product_ids))
    held_licenses = License.objects.filter(
        status__in=HELD_STATUSES, offer__product__in=with_exclusive.values("product")
    )
    rows = held_licenses.values("offer__product", "offer__license").annotate(count=Count("pk")).order_by()
    counts: dict[UUID, dict[str, int]] = {}
    for row in rows:
        counts.setdefault(row["offer__product"], {})[row["offer__license"]] = row["count"]
    return counts


def _obstacles(*, product: str, moments: SellingMoments) -> dict[Reason, Q]:
    """What keeps a published work from being sold; `product` is the path to the work, with its underscores."""
    seller = f"{product}seller"
    suspended = SellerRestriction.objects.in_force().suspensions().filter(seller=OuterRef(seller))
    return {
        TAKEN_OFF_SALE: Q(**{f"{product}taken_off_sale_at__isnull": False}),
        CLOSED_ACCOUNT: Q(**{f"{seller}__is_active": False}),
        SUSPENDED: Q(Exists(suspended)),
        STRIPE_REFUSED: Q(**{f"{seller}__in": sellers().refused_by_stripe()}),
        NO_PLAN: ~Q(**{f"{seller}__in": ids_of_sellers(moments)}),
        EXCLUSIVE_SOLD: Q(held_exclusives(f"{product}pk")),
    }
