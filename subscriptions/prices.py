"""What a whole period of a plan costs."""

from dataclasses import dataclass

from subscriptions.models import Plan
from veza.core.money import basis_points_of


@dataclass(frozen=True)
class Price:
    """The price of one period before tax, and the tax on top of it, in minor units of `currency`."""

    net_minor: int
    tax_minor: int
    currency: str


def price_of(plan: Plan) -> Price:
    """What a new subscriber of the plan pays for a period that begins now."""
    tax_minor = basis_points_of(plan.price_minor, plan.tax_basis_points, plan.currency)
    return Price(plan.price_minor, tax_minor, plan.currency)
