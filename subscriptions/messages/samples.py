"""A subscription and an invoice to show messages with; they are in no table."""

from datetime import timedelta

from django.utils import timezone

from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from veza.core.ids import new_id


def sample_plan() -> Plan:
    return Plan(name="Studio", price_minor=12_00, currency="EUR", tax_basis_points=2_000)


def sample_invoice() -> SubscriptionInvoice:
    at = timezone.now()
    return SubscriptionInvoice(
        plan=sample_plan(),
        net_minor=12_00,
        tax_minor=2_40,
        total_minor=14_40,
        currency="EUR",
        period_start_at=at,
        period_end_at=at + timedelta(days=30),
        paid_at=at,
    )


def sample_subscription(status: str) -> Subscription:
    at = timezone.now()
    return Subscription(pk=new_id(), plan=sample_plan(), status=status, ended_at=at, period_start_at=at)
