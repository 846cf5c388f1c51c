"""What a subscription costs: the price of the version of its plan that its subscriber agreed to."""

from dataclasses import dataclass

from subscriptions.models import Plan, Subscription
from veza.core.money import basis_points_of


@dataclass(frozen=True)
class Price:
    """The price of one period before tax, and the tax on top of it, in minor units of `currency`."""

    net_minor: int
    tax_minor: int
    currency: str


def price_of(plan: Plan) -> Price:
    """What a whole period of this version of a plan costs."""
    tax_minor = basis_points_of(plan.price_minor, plan.tax_basis_points, plan.currency)
    return Price(plan.price_minor, tax_minor, plan.currency)


def plan_at_renewal(subscription: Subscription) -> Plan:
    """The version of a plan that the next period is of, and so its price: the reminder and the charge both ask here."""
    return subscription.next_plan or subscription.plan
