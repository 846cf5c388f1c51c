"""What a buyer agreed to, compared with what an order would cost now: an order is at what was agreed, or refused."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from marketplace.models import CartItem, LicenseOffer, Terms
from marketplace.offers import OrderLine
from veza.core.errors import NotAllowed


class OfferChanged(NotAllowed):
    """The terms are not those that the buyer agreed to. Nothing was ordered."""

    code = "offer_changed"
    http_status = 409

    def __init__(self, difference: "Difference") -> None:
        titles = ", ".join(repr(change["title"]) for change in difference.changes)
        what = f"The price or the rights of {titles} have changed" if titles else "The total is not what you expect"
        super().__init__(f"{what}: see `changes` and `sums`. Nothing was ordered. Agree to it, then order again.")
        self.members = {"changes": difference.changes, "sums": difference.sums}


@dataclass
class Difference:
    """What differs: `changes` of single lines and `sums` of the order, each with what was expected and what is."""

    changes: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.changes) or self.sums is not None


@dataclass(frozen=True)
class Expectation:
    """What the buyer expects of a whole order: the total with tax in minor units, and its currency."""

    total_minor: int | None = None
    currency: str | None = None


def compare_cart(items: Sequence[tuple[CartItem, LicenseOffer]]) -> Difference:
    """How the offers of cart items differ from what the buyer was shown."""
    return Difference(
        [
            _change(offer, asdict(item.terms) | {"total_minor": item.total_minor}, cart_item_id=item.pk)
            for item, offer in items
            if item.terms != offer.terms
        ]
    )


def compare_lines(lines: Sequence[OrderLine], offers: Sequence[LicenseOffer]) -> Difference:
    """How the offers of requested lines differ from what the buyer expects, where a line says it."""
    difference = Difference()
    for line, offer in zip(lines, offers, strict=True):
        expected = {"price_minor": line.expected_price_minor, "total_minor": line.expected_total_minor}
        stated = {name: value for name, value in expected.items() if value is not None}
        if any(getattr(offer, name) != value for name, value in stated.items()):
            difference.changes.append(_change(offer, stated))
    return difference


def compare_sums(expectation: Expectation, offers: Sequence[LicenseOffer]) -> dict[str, Any] | None:
    """How the sums of an order differ from what the buyer expects, or None. The offers have one currency."""
    total_minor, currency = sum(offer.total_minor for offer in offers), offers[0].currency
    is_expected_total = expectation.total_minor in (None, total_minor)
    if is_expected_total and expectation.currency in (None, currency):
        return None
    expected = {"total_minor": expectation.total_minor, "currency": expectation.currency}
    return {
        "expected": {name: value for name, value in expected.items() if value is not None},
        "actual": {"total_minor": total_minor, "currency": currency},
    }


def _change(offer: LicenseOffer, expected: dict[str, Any], *, cart_item_id: UUID | None = None) -> dict[str, Any]:
    terms: Terms = offer.terms
    return {
        "cart_item_id": cart_item_id,
        "product_id": offer.product_id,
        "title": offer.product.title,
        "license": offer.license,
        "expected": expected,
        "actual": asdict(terms) | {"total_minor": terms.total_minor},
    }
