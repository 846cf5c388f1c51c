"""What a subscription costs: the price of the version of its plan that its subscriber agreed to."""

from subscriptions.models import Plan, Subscription


def plan_at_renewal(subscription: Subscription) -> Plan:
    """The version of a plan that the next period is of, and so its price: the reminder and the charge both ask here."""
    return subscription.next_plan or subscription.plan
